"""The items of a subscription: which may stand together, and how they change."""

from typing import Any

from mainstem.sandbox.stripe.goods import catalog
from mainstem.sandbox.stripe.goods.pricing import interval_of, is_metered
from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.state.account import StripeAccount
from mainstem.sandbox.stripe.state.compose import items_of
from mainstem.sandbox.stripe.state.store import Json
from mainstem.sandbox.stripe.wire import params
from mainstem.sandbox.stripe.wire.errors import StripeError, no_such
from mainstem.sandbox.stripe.wire.params import Fields

_ITEM: Fields = {
    "metadata": params.metadata,
    "price": params.identifier,
    "price_data": catalog.PRICE_DATA,
    "quantity": params.count,
}
NEW = params.record(_ITEM)
"""An item of a subscription that is being made."""

CHANGED = params.record({**_ITEM, "id": params.identifier, "deleted": params.boolean})
"""An item of a subscription that is being changed: with an id it is one that there is."""


def price_of(account: StripeAccount, wanted: dict[str, Any], name: str) -> Json:
    """Return the recurring price that an item is to have.

    Raises:
        StripeError: none is given, or it is of another kind or no longer active.
    """
    if wanted.get("price_data") is not None:
        price = catalog.price_of_data(account, wanted["price_data"])
    elif "price" in wanted:
        price = account.store.get("price", wanted["price"], param=f"{name}[price]")
        if not price["active"]:
            raise StripeError(
                "The price specified is inactive. This field only accepts active prices.",
                param=f"{name}[price]",
            )
    else:
        raise StripeError(
            f"Missing required param: {name}[price].", code="parameter_missing", param=f"{name}[price]"
        )
    _check_quantity(price, wanted, name)
    if price["recurring"] is None:
        raise StripeError(
            "The price specified is set to `type=one_time` but this field only accepts prices with "
            "`type=recurring`.",
            param=f"{name}[price]",
        )
    return price


def _check_quantity(price: Json, wanted: dict[str, Any], name: str) -> None:
    # https://github.com/pay-rails/pay/issues/193
    if is_metered(price) and wanted.get("quantity") is not None:
        raise StripeError("You cannot set the quantity for metered plans.", param=f"{name}[quantity]")


def quantity_of(price: Json, wanted: dict[str, Any]) -> int | None:
    """Return the quantity that an item has of a price, None of a metered one."""
    return None if is_metered(price) else int(wanted.get("quantity", 1))


def check_currency(account: StripeAccount, customer: Json, currency: str) -> None:
    """Check that a customer can pay in a currency.

    Source: https://github.com/Automattic/woocommerce-payments/issues/7732.

    Raises:
        StripeError: a live subscription, a pending invoice item or a balance is in another one.
    """
    mine = customer["id"]
    held = account.store.select(
        "subscription", lambda one: bool(one["customer"] == mine and is_live(one))
    ) + account.store.select("invoiceitem", lambda one: bool(one["customer"] == mine and not one["invoice"]))
    others = [one["currency"] for one in held if one["currency"] != currency]
    if customer["balance"] and customer["currency"] not in (None, currency):
        others.append(customer["currency"])
    if others:
        raise StripeError(
            "You cannot combine currencies on a single customer. This customer has an active subscription, "
            f"subscription schedule, discount, quote, or invoice item with currency {others[0]}."
        )


def check_alike(prices: list[Json]) -> None:
    """Check that prices can stand in one subscription.

    Raises:
        StripeError: they differ in currency or interval.
    """
    if len({(price["currency"], interval_of(price)) for price in prices}) > 1:
        raise StripeError(
            "Currency and interval fields must match across all prices of one subscription.", param="items"
        )


def add(account: StripeAccount, subscription: Json, price: Json, wanted: dict[str, Any]) -> Json:
    """Add an item in the subscription's present period; nothing is told yet."""
    item = account.new(
        "subscription_item",
        current_period_end=subscription["current_period_end"],
        current_period_start=subscription["current_period_start"],
        metadata=params.merged({}, wanted.get("metadata", {})),
        price=price["id"],
        quantity=quantity_of(price, wanted),
        subscription=subscription["id"],
    )
    subscription["items"].append(item["id"])
    return item


def change(account: StripeAccount, subscription: Json, wanted: list[dict[str, Any]]) -> None:
    """Add, change and remove items; nothing is told yet.

    Raises:
        StripeError: an item is not the subscription's, no item would be left, or prices do not match.
    """
    _check(account, subscription, wanted)
    for one in wanted:
        _change_one(account, subscription, one)


def _check(account: StripeAccount, subscription: Json, wanted: list[dict[str, Any]]) -> None:
    prices = {item["id"]: item["price"] for item in items_of(account.store, subscription)}
    for index, one in enumerate(wanted):
        given = one.get("id", f"new {index}")
        if "id" in one and given not in prices:
            raise no_such("subscription_item", given, param=f"items[{index}][id]")
        if one.get("deleted"):
            del prices[given]
            continue
        if one.get("price_data") is not None or "id" not in one or "price" in one:
            one["price"] = prices[given] = price_of(account, one, f"items[{index}]")["id"]
            one.pop("price_data", None)
        _check_quantity(account.store.get("price", prices[given]), one, f"items[{index}]")
    if not prices:
        raise StripeError("A subscription must have at least one active plan.", param="items")
    check_alike([account.store.get("price", price) for price in prices.values()])


def _change_one(account: StripeAccount, subscription: Json, wanted: dict[str, Any]) -> None:
    if "id" not in wanted:
        add(account, subscription, account.store.get("price", wanted["price"]), wanted)
        return
    item = account.store.get("subscription_item", wanted["id"])
    if wanted.get("deleted"):
        subscription["items"].remove(item["id"])
        account.store.remove(item)
        return
    if "metadata" in wanted:
        item["metadata"] = params.merged(item["metadata"], wanted["metadata"])
    item |= {field: wanted[field] for field in ("price", "quantity") if field in wanted}
    price = account.store.get("price", item["price"])
    item["quantity"] = quantity_of(price, {"quantity": item["quantity"] or 1})
