"""The fields of Stripe's objects, era by era.

An object is held with the fields of both eras at once, and loses the other era's when it is shown.
The key sets stand in `templates/`: today's are those of Stripe's published fixtures (less
`invoice.subscription`, which lingers there and is in no SDK since 2025-03-31), those of before are the typed
fields of the SDK for 2025-02-24.acacia.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire.versions import Era

KINDS = (
    "billing_portal.configuration",
    "billing_portal.session",
    "checkout.session",
    "customer",
    "event",
    "invoice",
    "invoice_payment",
    "invoiceitem",
    "item",
    "line_item",
    "payment_intent",
    "payment_method",
    "plan",
    "price",
    "product",
    "subscription",
    "subscription_item",
    "subscription_schedule",
    "webhook_endpoint",
)


@cache
def _template(kind: str) -> Json:
    file = files(__package__).joinpath("templates", f"{kind}.json")
    template: Json = msgspec.json.decode(file.read_bytes())
    return template


@cache
def _blank(kind: str) -> bytes:
    template = _template(kind)
    return msgspec.json.encode({**template["today"], **template["only_before"]})


def blank(kind: str) -> Json:
    """Return a new object of this kind with the fields of both eras, all of them empty."""
    # Decoding is a tenth of the cost of a deep copy, and this is done for every event shown.
    new: Json = msgspec.json.decode(_blank(kind))
    return new


@cache
def _hidden(kind: str, era: Era) -> frozenset[str]:
    template = _template(kind)
    return frozenset(template["only_before"] if era is Era.TODAY else template["only_today"])


def shown(value: Any, era: Era) -> Any:
    """Return a copy of an object, and of all objects inside it, as the era shows them."""
    if isinstance(value, list):
        return [shown(member, era) for member in value]
    if not isinstance(value, dict):
        return value
    kind = value.get("object")
    hidden = _hidden(kind, era) if kind in KINDS else frozenset()
    return {
        # A user's metadata may look like an object of ours.
        name: dict(member) if name == "metadata" and member else shown(member, era)
        for name, member in value.items()
        if name not in hidden
    }
