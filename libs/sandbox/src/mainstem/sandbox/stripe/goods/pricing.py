"""Amounts that a price makes of a quantity, and their fields in objects."""

from decimal import ROUND_HALF_UP, Decimal

from mainstem.sandbox.stripe.goods.periods import Interval
from mainstem.sandbox.stripe.state.store import Json


def is_metered(price: Json) -> bool:
    """Return whether usage is charged for, so that the price takes no quantity."""
    return bool(price["recurring"] and price["recurring"]["usage_type"] == "metered")


def amount_of(price: Json, quantity: int | None) -> int:
    """Return what a quantity costs for one period, in the currency's smallest unit; None is no usage yet."""
    if quantity is None:
        return 0
    return int((Decimal(price["unit_amount_decimal"]) * quantity).to_integral_value(ROUND_HALF_UP))


def interval_of(price: Json) -> Interval:
    """Return how often a recurring price is charged."""
    return Interval(price["recurring"]["interval"], price["recurring"]["interval_count"])


def price_details(price: Json | None) -> Json | None:
    """Return the `pricing` of a line or an invoice item."""
    if price is None:
        return None
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }
