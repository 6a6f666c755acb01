"""Objects as Stripe shows them: held objects name each other by id, shown ones hold their parts.

A subscription shows its first items, an item its price, an invoice its first lines.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from mainstem.sandbox.stripe.state import shapes
from mainstem.sandbox.stripe.state.store import Json, Store
from mainstem.sandbox.stripe.wire import paging
from mainstem.sandbox.stripe.wire.paging import ListPage, Row, Window

_PLAN_OF_PRICE = ("id", "active", "billing_scheme", "created", "currency", "livemode", "nickname", "product")
_PLAN_OF_RECURRING = ("interval", "interval_count", "meter", "trial_period_days", "usage_type")


def composed(store: Store, held: Json) -> Json:
    """Return what an object shows, with the fields of both eras."""
    if held.get("deleted"):
        return dict(held)
    shown = {name: member for name, member in held.items() if not name.startswith("_")}
    compose = _COMPOSERS.get(held["object"])
    if compose is not None:
        compose(store, held, shown)
    return shown


def snapshot(store: Store, held: Json) -> bytes:
    """Return what an object shows now, for ever."""
    return msgspec.json.encode(composed(store, held))


def listed(page: ListPage[Json]) -> Json:
    """Return a page as Stripe writes it."""
    return {"object": "list", "data": page.data, "has_more": page.has_more, "url": page.url}


def items_of(store: Store, subscription: Json) -> list[Json]:
    """Return the items of a subscription, in its order."""
    return [store.get("subscription_item", given) for given in subscription["items"]]


def lines_of(store: Store, invoice: Json) -> list[Json]:
    """Return the lines of an invoice, in its order."""
    return [store.get("line_item", given) for given in invoice["lines"]]


def part_page(url: str, parts: list[Json], window: Window, noun: str) -> ListPage[Json]:
    """Return a page of the parts of one object, in its order."""
    row = Row(parts, lambda part: str(part["id"]))
    return paging.page(url, row, window, newest_first=False, noun=noun)


def _first(store: Store, url: str, parts: list[Json]) -> Json:
    found = part_page(url, parts, Window(), "object")
    return listed(ListPage(url, [composed(store, part) for part in found.data], found.has_more))


def _subscription(store: Store, held: Json, shown: Json) -> None:
    url = f"/v1/subscription_items?subscription={held['id']}"
    shown["items"] = _first(store, url, items_of(store, held))


def _invoice(store: Store, held: Json, shown: Json) -> None:
    shown["lines"] = _first(store, f"/v1/invoices/{held['id']}/lines", lines_of(store, held))
    if held["status"] == "uncollectible":
        shown["status_details"] = {"uncollectible": {"reason": held["_uncollectible_reason"]}}


def _priced(store: Store, held: Json, shown: Json) -> None:
    price = store.find("price", held["price"])
    shown["price"] = price
    shown["plan"] = None if price is None or price["recurring"] is None else plan(price)


def plan(price: Json) -> Json:
    """Return the plan that Stripe still shows beside a recurring price."""
    facts: dict[str, Any] = {name: price[name] for name in _PLAN_OF_PRICE}
    facts |= {name: price["recurring"][name] for name in _PLAN_OF_RECURRING}
    facts |= {"amount": price["unit_amount"], "amount_decimal": price["unit_amount_decimal"]}
    return {**shapes.blank("plan"), **facts, "metadata": price["metadata"]}


def _item(store: Store, held: Json, shown: Json) -> None:
    shown["price"] = store.find("price", held["price"])


def included(store: Store, shown: Json, name: str) -> Json | None:
    """Return what an object shows under this name only where that is expanded, None if there is no such."""
    list_members = _INCLUDED.get((shown.get("object"), name))
    return None if list_members is None else list_members(store, store.get(shown["object"], shown["id"]))


def _line_items(store: Store, session: Json) -> Json:
    return _first(store, f"/v1/checkout/sessions/{session['id']}/line_items", parts_of(store, session))


def _payments(store: Store, invoice: Json) -> Json:
    payment = store.find("invoice_payment", invoice["_payment"])
    return _first(store, f"/v1/invoice_payments?invoice={invoice['id']}", [payment] if payment else [])


def parts_of(store: Store, session: Json) -> list[Json]:
    """Return what a checkout session sells, in its order."""
    return [store.get("item", given) for given in session["_line_items"]]


_INCLUDED: dict[tuple[str | None, str], Callable[[Store, Json], Json]] = {
    ("checkout.session", "line_items"): _line_items,
    ("invoice", "payments"): _payments,
}

_COMPOSERS: dict[str, Callable[[Store, Json, Json], None]] = {
    "subscription": _subscription,
    "subscription_item": _priced,
    "invoice": _invoice,
    "item": _item,
    "line_item": _priced,
    "invoiceitem": _priced,
}
