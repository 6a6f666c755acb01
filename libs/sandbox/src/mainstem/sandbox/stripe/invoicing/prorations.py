"""Prorations: credits and charges of a change within a period, as pending invoice items."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from mainstem.sandbox.stripe.goods.pricing import amount_of, price_details
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json


@dataclass(frozen=True)
class Share:
    """An item's charge for a whole period."""

    item: str
    price: Json
    quantity: int | None
    """None of a metered price."""


def shares(account: StripeAccount, subscription: Json) -> dict[str, Share]:
    """Return what each item charges now, by its id."""
    return {
        item["id"]: Share(item["id"], account.store.get("price", item["price"]), item["quantity"])
        for item in items_of(account.store, subscription)
    }


def prorate(
    account: StripeAccount, subscription: Json, before: dict[str, Share], after: dict[str, Share]
) -> None:
    """Give back what the rest of the period was worth before, and charge what it is worth now."""
    for name, share in before.items():
        if after.get(name) != share and share.quantity is not None:
            _pend(account, subscription, share, -1, "Unused time on")
    for name, share in after.items():
        if before.get(name) != share and share.quantity is not None:
            _pend(account, subscription, share, 1, "Remaining time on")


def _pend(account: StripeAccount, subscription: Json, share: Share, sign: int, words: str) -> None:
    start, end = subscription["current_period_start"], subscription["current_period_end"]
    rest = Decimal(end - account.now) / (end - start)
    whole = amount_of(share.price, share.quantity)
    product = account.store.find("product", share.price["product"])
    day = datetime.fromtimestamp(account.now, UTC).strftime("%d %b %Y")
    details = {"subscription": subscription["id"], "subscription_item": share.item}
    amount = sign * int((whole * rest).to_integral_value(ROUND_HALF_UP))
    item = account.new(
        "invoiceitem",
        amount=amount,
        currency=subscription["currency"],
        customer=subscription["customer"],
        date=account.now,
        description=f"{words} {product['name'] if product else share.price['id']} after {day}",
        net_amount=amount,
        parent={"subscription_details": details, "type": "subscription_details"},
        period={"end": end, "start": account.now},
        price=share.price["id"],
        pricing=price_details(share.price),
        proration=True,
        quantity=share.quantity or 0,
        quantity_decimal=str(share.quantity or 0),
        subscription=subscription["id"],
        subscription_item=share.item,
        unit_amount=share.price["unit_amount"],
        unit_amount_decimal=share.price["unit_amount_decimal"],
    )
    account.record("invoiceitem.created", item)
