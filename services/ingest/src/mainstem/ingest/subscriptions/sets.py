"""Built-in rule sets: `mainstem`, the default, and `ctms-1.1.0`, the reference exactly.

https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses says what Stripe's statuses mean,
https://docs.stripe.com/api/subscriptions/object#subscription_object-status_details why one is paused.
"""

from collections.abc import Mapping

from mainstem.ingest.subscriptions.language import Conclusion, RuleSet, Segment, TimeName

STATUSES = "https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses"
PAUSE = "https://docs.stripe.com/billing/subscriptions/pause"
PAUSE_ON_FAILURE = "https://docs.stripe.com/billing/revenue-recovery/smart-retries/pause-on-payment-failure"
TRIAL = "https://docs.stripe.com/billing/subscriptions/trials/free-trials"
REFERENCE = "CTMS v1.1.0"


def _holds(segment: Segment, since: tuple[TimeName, ...], reason: str) -> Conclusion:
    return Conclusion(holds=True, counts=True, segment=segment, again=True, since=since, reason=reason)


def _ended(since: tuple[TimeName, ...], reason: str) -> Conclusion:
    return Conclusion(holds=False, counts=True, segment="canceled", again=True, since=since, reason=reason)


def _other(since: tuple[TimeName, ...], reason: str) -> Conclusion:
    return Conclusion(holds=False, counts=True, segment="other", again=False, since=since, reason=reason)


def _nothing(reason: str) -> Conclusion:
    return Conclusion(holds=False, counts=False, segment=None, again=False, since=(), reason=reason)


CTMS = RuleSet(
    name="ctms-1.1.0",
    customers="newest",
    deleted_customer="as they are",
    latest="period end",
    sub_count="items",
    signals=("canceled_at",),
    cancel_at_period_end="flag",
    statuses={
        "active": _holds("active", ("start_date",), f"{REFERENCE}: active since its start"),
        "canceled": _ended(
            ("ended_at", "canceled_at"),
            f"{REFERENCE}: canceled since its end; without one CTMS fails, here the cancellation counts",
        ),
    },
    paused={},
    cancelling=_holds("cancelling", ("canceled_at",), f"{REFERENCE}: active with `canceled_at`"),
    ended=_ended(("ended_at", "canceled_at"), f"{REFERENCE} ignores that a customer is deleted: unused"),
    unknown=_other((), f"{REFERENCE}: every other status, with the fix of v1.1.1 that leaves out the prefix"),
)

MAINSTEM = RuleSet(
    name="mainstem",
    customers="all",
    deleted_customer="ended",
    latest="holds",
    sub_count="subscriptions",
    signals=("cancel_at", "cancel_at_period_end"),
    cancel_at_period_end="either signal",
    statuses={
        "active": _holds("active", ("start_date",), f"in good standing: {STATUSES}"),
        "trialing": _holds("active", ("start_date",), f"safe to provide the product: {STATUSES}"),
        "past_due": _holds(
            "active", ("start_date",), f"a renewal is unpaid while Stripe still retries, or waits: {STATUSES}"
        ),
        "unpaid": _other((), f"retries are exhausted; access is to be revoked: {STATUSES}"),
        "paused": _other(("paused_at",), f"no invoices, no service, until it is resumed: {PAUSE}"),
        "canceled": _ended(("ended_at", "canceled_at"), f"terminal: {STATUSES}"),
        "incomplete": _nothing(f"the first payment is outstanding: nothing was bought yet: {STATUSES}"),
        "incomplete_expired": _nothing(f"terminal, never paid, bills nobody: {STATUSES}"),
    },
    paused={
        "pause_requested": _other(("paused_at",), f"paused on request, which suspends service: {PAUSE}"),
        "first_payment_failure": _other(
            ("paused_at",), f"the first attempt at a renewal failed, which stops service: {PAUSE_ON_FAILURE}"
        ),
        "final_payment_failure": _other(
            ("paused_at",), f"all attempts at a renewal failed, which stops service: {PAUSE_ON_FAILURE}"
        ),
        "trial_end_without_payment_method": _other(
            ("paused_at",), f"the trial is over, and no payment method is there to go on with: {TRIAL}"
        ),
        "system": _other(("paused_at",), f"paused by Stripe itself: {PAUSE}"),
    },
    cancelling=_holds(
        "cancelling",
        ("canceled_at", "start_date"),
        "an end is set, as a date or at the end of the period: "
        "https://docs.stripe.com/billing/subscriptions/cancel",
    ),
    ended=_ended(
        ("ended_at", "canceled_at"),
        "deleting a customer cancels its subscriptions: https://docs.stripe.com/api/customers/delete",
    ),
    unknown=_other((), "a status that is not known gives nothing, and is kept in sight"),
)

SETS: Mapping[str, RuleSet] = {rules.name: rules for rules in (MAINSTEM, CTMS)}
