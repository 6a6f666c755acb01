"""Trial notices: `customer.subscription.trial_will_end`, sent before a trial ends."""

from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.due import NOTICE
from mainstem.sandbox.stripe.state.store import Json


def give_late_notice(account: StripeAccount, subscription: Json) -> None:
    """Tell at once that a trial ends, if the time for that has passed already."""
    late = subscription["status"] == "trialing" and subscription["trial_end"] - NOTICE <= account.now
    if late and not subscription["_noticed"]:
        give_notice(account, subscription)


def give_notice(account: StripeAccount, subscription: Json) -> None:
    """Tell that a trial ends."""
    subscription["_noticed"] = True
    account.record("customer.subscription.trial_will_end", subscription)
