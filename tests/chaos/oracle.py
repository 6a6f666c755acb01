"""The oracle: what must be everywhere in the end, from what Stripe holds and what callers were promised.

Written for this purpose alone, and simpler than what it judges: it sees the end only, all at once.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.chaos.people import NEWSLETTERS, Person

Json = dict[str, Any]
Rows = dict[str, Json]

ORIGINS = {"subscription_item_details": "subscription", "invoice_item_details": "invoiceitem"}
"""Where a line comes from: Stripe's word today, and the mirror's."""

PLAIN = {
    "customer": ("description", "email", "name", "default_source", "metadata", "livemode"),
    "product": ("name", "active", "metadata", "livemode"),
    "price": ("product", "active", "currency", "unit_amount", "type", "metadata", "livemode"),
    "subscription": (
        *("customer", "status", "currency", "collection_method", "default_payment_method"),
        *("default_source", "latest_invoice", "cancel_at_period_end", "metadata", "livemode"),
    ),
    "subscription_item": ("subscription", "quantity"),
    "invoice": (
        *("customer", "status", "currency", "total", "amount_due", "amount_paid", "billing_reason"),
        *("amount_remaining", "attempt_count"),
        *("collection_method", "default_payment_method", "default_source", "number", "metadata", "livemode"),
    ),
    "invoice_line": ("amount", "currency", "quantity", "invoice"),
}
"""By table, what the mirror keeps under Stripe's name and as Stripe says it."""

TIMES = {
    "customer": ("created",),
    "product": ("created",),
    "price": ("created",),
    "subscription": (
        *("created", "start_date", "trial_start", "trial_end", "cancel_at", "canceled_at", "ended_at"),
    ),
    "subscription_item": ("created", "current_period_start", "current_period_end"),
    "invoice": ("created", "due_date", "period_start", "period_end"),
    "invoice_line": (),
}
"""By table, what Stripe counts in seconds."""


@dataclass(frozen=True)
class Holdings:
    """What the sandbox's Stripe holds: objects by kind and id."""

    kinds: Mapping[str, Rows]
    events: Sequence[Json]

    @classmethod
    def of(cls, holdings: Mapping[str, Sequence[Json]]) -> "Holdings":
        """Read the stand-in's own listing."""
        kinds = {kind: {one["id"]: one for one in held} for kind, held in holdings.items() if kind != "event"}
        return cls(kinds, holdings["event"])

    def all(self, kind: str) -> Rows:
        """Return the objects of a kind."""
        return self.kinds.get(kind, {})

    def deleted_customers(self) -> Rows:
        """Return the customers that were deleted, as they were last."""
        ends = (one["data"]["object"] for one in self.events if one["type"] == "customer.deleted")
        return {one["id"]: one for one in ends}


def mirror(holdings: Holdings) -> dict[str, Rows]:
    """Return the mirror's rows by table and id; of each the columns that can be known."""
    kinds = {table: holdings.all("line_item" if table == "invoice_line" else table) for table in PLAIN}
    rows = {
        table: {given: _row(table, held) for given, held in found.items()} for table, found in kinds.items()
    }
    for given, held in holdings.deleted_customers().items():
        # What came between the last fetch and the end nobody saw; the load waited for these.
        rows["customer"][given] = {"deleted": True, "description": held["description"]}
    return rows


def _row(table: str, held: Json) -> Json:
    row = {name: held[name] for name in PLAIN[table]}
    row |= {name: _time(held[name]) for name in TIMES[table]}
    return row | _NESTED.get(table, _nothing)(held)


def _nothing(_: Json) -> Json:
    return {"deleted": False}


def _customer(held: Json) -> Json:
    method = held["invoice_settings"]["default_payment_method"]
    return {"invoice_settings_default_payment_method": method, "deleted": False}


def _price(held: Json) -> Json:
    recurring = held["recurring"]
    return {
        "recurring_interval": recurring["interval"],
        "recurring_interval_count": recurring["interval_count"],
        "deleted": False,
    }


def _item(held: Json) -> Json:
    return {"price": held["price"]["id"]}


def _invoice(held: Json) -> Json:
    details = held["parent"]["subscription_details"] if held["parent"] else None
    return {"subscription": details and details["subscription"], "deleted": False}


def _line(held: Json) -> Json:
    origin = held["parent"]["type"]
    details = held["parent"][origin]
    price = held["pricing"]["price_details"]
    return {
        "type": ORIGINS[origin],
        "price": price["price"],
        "product": price["product"],
        "invoice_item": details.get("invoice_item"),
        "subscription": details.get("subscription"),
        "subscription_item": details.get("subscription_item"),
        "period_start": _time(held["period"]["start"]),
        "period_end": _time(held["period"]["end"]),
    }


_NESTED = {
    "customer": _customer,
    "price": _price,
    "subscription_item": _item,
    "invoice": _invoice,
    "invoice_line": _line,
}


def products(holdings: Holdings) -> Rows:
    """Return the product subscriptions by owner and product, from Stripe's objects as they are in the end.

    By the rule set `mainstem`: all customers of an owner count, an attempt never paid does not.
    """
    deleted = holdings.deleted_customers()
    links = {**holdings.all("customer"), **deleted}
    entries: defaultdict[tuple[str, str], list[_Entry]] = defaultdict(list)
    for item in holdings.all("subscription_item").values():
        subscription = holdings.all("subscription")[item["subscription"]]
        customer = subscription["customer"]
        link = links[customer]["description"]
        if link and subscription["status"] not in ATTEMPTS:
            entries[link, item["price"]["product"]].append(_Entry(subscription, item, customer in deleted))
    return {f"{link} {product}": _product(link, product, found) for (link, product), found in entries.items()}


ATTEMPTS = {"incomplete", "incomplete_expired"}
HOLDING = {"active", "trialing", "past_due"}


@dataclass(frozen=True)
class _Entry:
    """An item of a subscription; `is_over` if the customer is deleted."""

    subscription: Json
    item: Json
    is_over: bool

    @property
    def holds(self) -> bool:
        """Whether the owner has the product by it."""
        return not self.is_over and self.subscription["status"] in HOLDING

    @property
    def ends(self) -> bool:
        """Whether an end is set."""
        return bool(self.subscription["cancel_at"] or self.subscription["cancel_at_period_end"])

    @property
    def age(self) -> tuple[bool, int, int, str, str]:
        """What decides which entry is the latest."""
        one, item = self.subscription, self.item
        return self.holds, item["current_period_end"], one["created"], one["id"], item["id"]


def _product(link: str, product: str, entries: Sequence[_Entry]) -> Json:
    latest = max(entries, key=lambda one: one.age)
    subscription, item = latest.subscription, latest.item
    price = item["price"]
    count = len({one.subscription["id"] for one in entries})
    segment, changed = _segment(latest, count)
    return {
        "owner_kind": "fxa_id",
        "owner_value": link,
        "payment_service": "stripe",
        "account": "default",
        "product_id": product,
        "customer": subscription["customer"],
        "subscription_id": subscription["id"],
        "item_id": item["id"],
        "segment": segment,
        "changed": _time(changed),
        "sub_count": count,
        "price_id": price["id"],
        "currency": price["currency"],
        "amount": price["unit_amount"],
        "interval": price["recurring"]["interval"],
        "interval_count": price["recurring"]["interval_count"],
        "status": subscription["status"],
        "created": _time(subscription["created"]),
        "start": _time(subscription["start_date"]),
        "current_period_start": _time(item["current_period_start"]),
        "current_period_end": _time(item["current_period_end"]),
        "canceled_at": _time(subscription["canceled_at"]),
        "cancel_at_period_end": latest.ends,
        "rules": "mainstem",
        "ended_at": _time(subscription["ended_at"]),
    }


def _segment(latest: _Entry, count: int) -> tuple[str, int]:
    one, again = latest.subscription, "re-" if count > 1 else ""
    if latest.holds and latest.ends:
        return f"{again}cancelling", one["canceled_at"] or one["start_date"]
    if latest.holds:
        return f"{again}active", one["start_date"]
    if latest.is_over or one["status"] == "canceled":
        return f"{again}canceled", one["ended_at"] or one["canceled_at"] or one["created"]
    return "other", one["created"]


def contacts(people: Iterable[Person]) -> Rows:
    """Return what the contact API must say of everybody who was created, by id."""
    return {
        one.contact_id: {
            "primary_email": one.email,
            "fxa_id": one.fxa_id,
            **one.fields,
            "newsletters": sorted(one.newsletters),
        }
        for one in people
        if one.is_contact
    }


def acoustic_main(people: Iterable[Person]) -> Rows:
    """Return the rows of Acoustic's main table by contact."""
    return {
        one.contact_id: {
            "email": one.email,
            "fxa_id": one.fxa_id,
            **one.fields,
            **{column: "1" if name in one.newsletters else "0" for name, column in NEWSLETTERS.items()},
        }
        for one in people
        if one.is_contact
    }


def acoustic_products(people: Iterable[Person], derived: Rows) -> Rows:
    """Return the rows of Acoustic's product table by contact and product."""
    by_owner: defaultdict[str, list[Json]] = defaultdict(list)
    for row in derived.values():
        by_owner[row["owner_value"]].append(row)
    return {
        f"{one.contact_id} {row['product_id']}": {name: _told(row[name]) for name in row if name in TOLD}
        for one in people
        if one.is_contact
        for row in by_owner[one.fxa_id]
    }


TOLD = frozenset(
    {
        *("payment_service", "product_id", "segment", "changed", "sub_count", "price_id", "currency"),
        *("amount", "interval", "interval_count", "status", "created", "start", "current_period_start"),
        *("current_period_end", "canceled_at", "cancel_at_period_end", "ended_at"),
    }
)
"""What of a product subscription Acoustic is told."""


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, datetime):
        return value.strftime("%m/%d/%Y %H:%M:%S")
    return "" if value is None else str(value)


def _time(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
