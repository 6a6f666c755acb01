"""Stripe's events as a benchmark sends them: the shapes of the sandbox, about 3.4 KB each, and signed."""

import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from mainstem.sandbox.stripe.state.shapes import blank, shown
from mainstem.sandbox.stripe.wire.versions import TODAY, Era

SECRET = "whsec_bench"
BODY_BYTES = 3_400
MONTH = 30 * 86_400
START = 1_750_000_000
"""When the mirrored subscriptions began, in Unix seconds."""
PRODUCTS = 20


@dataclass(frozen=True)
class Change:
    """One state of one subscription, by its number, as of a Unix second."""

    event_id: str
    number: int
    at: int
    canceled_at: int | None = None
    is_new: bool = False

    @property
    def kind(self) -> str:
        """The event's type."""
        return f"customer.subscription.{'created' if self.is_new else 'updated'}"


def event(change: Change) -> bytes:
    """Return the bytes of the event that announces a change."""
    content = {
        **_shown("event"),
        "id": change.event_id,
        "api_version": TODAY,
        "created": change.at,
        "data": {"object": subscription(change)},
        "livemode": False,
        "type": change.kind,
    }
    content["data"]["object"]["metadata"]["padding"] = ""
    missing = BODY_BYTES - len(_encoded(content))
    content["data"]["object"]["metadata"]["padding"] = "x" * max(0, missing)
    return _encoded(content)


def subscription(change: Change) -> dict[str, Any]:
    """Return the subscription as Stripe shows it."""
    number, canceled_at = change.number, change.canceled_at
    return {
        **_shown("subscription"),
        "id": f"sub_{number}",
        "cancel_at_period_end": canceled_at is not None,
        "canceled_at": canceled_at,
        "collection_method": "charge_automatically",
        "created": START,
        "currency": "usd",
        "customer": f"cus_{number}",
        "items": {
            "object": "list",
            "data": [_item(number, change.at)],
            "has_more": False,
            "url": f"/v1/subscription_items?subscription=sub_{number}",
        },
        "latest_invoice": f"in_{number}_{change.at}",
        "livemode": False,
        "metadata": {},
        "start_date": START,
        "status": "active",
    }


def signature(body: bytes) -> str:
    """Return the `Stripe-Signature` of a body, made now."""
    at = int(time.time())
    digest = hmac.digest(SECRET.encode(), f"{at}.".encode() + body, "sha256")
    return f"t={at},v1={digest.hex()}"


def _item(number: int, at: int) -> dict[str, Any]:
    return {
        **_shown("subscription_item"),
        "id": f"si_{number}",
        "created": START,
        "current_period_start": at,
        "current_period_end": at + MONTH,
        "metadata": {},
        "price": _price(number % PRODUCTS),
        "quantity": 1,
        "subscription": f"sub_{number}",
    }


def _price(number: int) -> dict[str, Any]:
    return {
        **_shown("price"),
        "id": f"price_{number}",
        "active": True,
        "billing_scheme": "per_unit",
        "created": START,
        "currency": "usd",
        "livemode": False,
        "metadata": {},
        "product": f"prod_{number}",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "type": "recurring",
        "unit_amount": 999,
        "unit_amount_decimal": "999",
    }


def _shown(kind: str) -> dict[str, Any]:
    return dict(shown(blank(kind), Era.TODAY))


def _encoded(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
