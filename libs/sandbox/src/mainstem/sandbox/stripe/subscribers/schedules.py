"""Subscription schedules, as far as they decide the end of a subscription: made of one, changed and released.

https://docs.stripe.com/api/subscription_schedules
"""

from mainstem.sandbox.stripe.invoicing import ending
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.form import Tree
from mainstem.sandbox.stripe.wire.params import Fields

_KIND = "subscription_schedule"
_CREATE: Fields = {"from_subscription": params.identifier}
_UPDATE: Fields = {"end_behavior": params.one_of("cancel", "release")}


def create(account: StripeAccount, given: Tree) -> Json:
    """Have a schedule manage a subscription from now on.

    Raises:
        StripeError: there is no such subscription, or a schedule manages it already.
    """
    wanted = params.read(given, _CREATE, required=("from_subscription",))
    subscription = account.store.get("subscription", wanted["from_subscription"], param="from_subscription")
    if subscription["schedule"] is not None:
        raise StripeError(
            "You cannot migrate a subscription that is already attached to a schedule: "
            f"`{subscription['schedule']}`.",
            param="from_subscription",
        )
    schedule = account.new(
        _KIND,
        billing_mode=subscription["billing_mode"],
        customer=subscription["customer"],
        current_phase={
            "end_date": subscription["current_period_end"],
            "start_date": subscription["current_period_start"],
        },
        end_behavior="release",
        status="active",
        subscription=subscription["id"],
    )
    with account.changing(subscription, "customer.subscription.updated"):
        subscription["schedule"] = schedule["id"]
    return schedule


def update(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Change what happens when the schedule ends: `cancel` ends its subscription, and shows that there."""
    schedule = _active(account, given)
    wanted = params.read(tree, _UPDATE, required=("end_behavior",))
    schedule["end_behavior"] = wanted["end_behavior"]
    subscription = account.store.get("subscription", schedule["subscription"])
    with account.changing(subscription, "customer.subscription.updated"):
        if wanted["end_behavior"] == "cancel":
            ending.end_later(account, subscription, schedule["current_phase"]["end_date"])
        else:
            ending.go_on(subscription)
    return schedule


def release(account: StripeAccount, given: str, tree: Tree) -> Json:
    """Let the subscription go on without the schedule, and without the end that it had set."""
    params.read(tree, {})
    schedule = _active(account, given)
    subscription = account.store.get("subscription", schedule["subscription"])
    with account.changing(subscription, "customer.subscription.updated"):
        subscription["schedule"] = None
        if schedule["end_behavior"] == "cancel":
            ending.go_on(subscription)
    schedule |= {"released_subscription": subscription["id"], "status": "released", "subscription": None}
    return schedule


def _active(account: StripeAccount, given: str) -> Json:
    schedule = account.store.get(_KIND, given)
    if schedule["status"] != "active":
        raise StripeError(f"This schedule is {schedule['status']}: it cannot be changed any more.")
    return schedule


def check_free(subscription: Json) -> None:
    """Check that a subscription's end may be changed directly.

    Source: https://github.com/dust-tt/dust/pull/32051.

    Raises:
        StripeError: a schedule manages it.
    """
    if subscription["schedule"] is not None:
        raise StripeError(
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and "
            "updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        )
