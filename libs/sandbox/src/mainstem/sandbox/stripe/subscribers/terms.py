"""Terms of a subscription: the parameters accepted when it is made and later."""

from typing import Any

from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.subscribers import items
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError
from mainstem.sandbox.stripe.wire.params import Fields

_MOST_ITEMS = 20
"""Stripe takes no more in one call; the others are added one by one."""

_END_BEHAVIOR = params.record(
    {"missing_payment_method": params.one_of("cancel", "create_invoice")},
    required=("missing_payment_method",),
)
_ANCHOR_TYPE = params.one_of("now", "unchanged")


def _anchor(value: Any, name: str) -> str:
    # Since 2026-09-30.endive it is written `billing_cycle_anchor[type]=now`.
    if isinstance(value, dict):
        return str(params.read(value, {"type": _ANCHOR_TYPE}, required=("type",), within=name)["type"])
    return str(_ANCHOR_TYPE(value, name))


_PAUSE = params.record(
    {
        "behavior": params.one_of("keep_as_draft", "mark_uncollectible", "void"),
        "resumes_at": params.moment(),
    },
    required=("behavior",),
)


def _pause(value: Any, name: str) -> dict[str, Any] | None:
    # An empty text resumes collection.
    return None if value == "" else {"resumes_at": None, **(_PAUSE(value, name) or {})}


_SHARED: Fields = {
    "cancel_at": params.moment("max_period_end", "min_period_end"),
    "cancel_at_period_end": params.boolean,
    "collection_method": params.one_of("charge_automatically", "send_invoice"),
    "days_until_due": params.count,
    "default_payment_method": params.text,
    "description": params.text,
    "metadata": params.metadata,
    "off_session": params.boolean,
    "payment_settings": params.record(
        {
            "payment_method_types": params.array(params.identifier),
            "save_default_payment_method": params.one_of("off", "on_subscription"),
        }
    ),
    "proration_behavior": params.one_of("create_prorations", "always_invoice", "none"),
    "trial_end": params.moment("now"),
    "trial_settings": params.record({"end_behavior": _END_BEHAVIOR}, required=("end_behavior",)),
}
CREATE: Fields = {
    **_SHARED,
    "billing_mode": params.record({"type": params.one_of("classic", "flexible")}, required=("type",)),
    "currency": params.identifier,
    "customer": params.identifier,
    "items": params.array(items.NEW, most=_MOST_ITEMS),
    "payment_behavior": params.one_of("allow_incomplete", "default_incomplete", "error_if_incomplete"),
    "trial_period_days": params.count,
}
UPDATE: Fields = {
    **_SHARED,
    "billing_cycle_anchor": _anchor,
    "cancellation_details": params.record({"comment": params.text, "feedback": params.text}),
    "items": params.array(items.CHANGED, most=_MOST_ITEMS),
    "pause_collection": _pause,
    "payment_behavior": params.one_of("allow_incomplete"),
}
AFTER_THE_END = frozenset({"cancellation_details", "metadata"})
"""Parameters that can still be changed after a subscription has ended."""

CANCEL: Fields = {
    "cancellation_details": UPDATE["cancellation_details"],
    "invoice_now": params.boolean,
    "prorate": params.boolean,
}

_REPLACED = (
    "collection_method",
    "days_until_due",
    "default_payment_method",
    "description",
    "pause_collection",
    "trial_settings",
)
_MERGED = ("cancellation_details", "payment_settings")


def check_moments(now: int, wanted: dict[str, Any]) -> None:
    """Check that what is to come lies ahead, and that one parameter alone says when it ends.

    Raises:
        StripeError: it does not.
    """
    if "cancel_at" in wanted and "cancel_at_period_end" in wanted:
        raise StripeError(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
            param="cancel_at_period_end",
        )
    for name in ("cancel_at", "trial_end"):
        moment = wanted.get(name)
        if isinstance(moment, int) and moment <= now:
            raise StripeError(
                "Invalid timestamp: must be an integer Unix timestamp in the future.", param=name
            )


def settings(subscription: Json, wanted: dict[str, Any]) -> None:
    """Take over what changes nothing else about the subscription."""
    if "metadata" in wanted:
        subscription["metadata"] = params.merged(subscription["metadata"], wanted["metadata"])
    subscription |= {name: wanted[name] for name in _REPLACED if name in wanted}
    for name in _MERGED:
        subscription[name] = {**subscription[name], **(wanted.get(name) or {})}
