"""Stripe's objects as a case sends them: the first and the last of each, and entries that are tied; pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.conformance.ctms.case import Step

Json = Any
Payload = Mapping[str, Json]

ENDPOINT = "/stripe"
KINDS = ("customer", "subscription", "subscription_item", "price", "invoice")
"""Objects that CTMS takes by themselves."""

SUCCESS = 300
TIME = "%m/%d/%Y %H:%M:%S"


def objects_of(step: Step) -> list[Json]:
    """Return the objects that a step sends to ingestion and that are to be stored."""
    if step.kind == "pubsub_payload":
        return pushed(step.action)
    is_sent = step.kind == "http" and step.action["path"] == ENDPOINT and "json" in step.action
    return [step.action["json"]] if is_sent and step.expected.get("status", 0) < SUCCESS else []


def pushed(payload: Json) -> list[Json]:
    """Return the objects of a push: its values where each key is `table:id`, else the one that it is."""
    if not isinstance(payload, Mapping):
        return []
    if all(key.count(":") == 1 for key in payload):
        return [one for one in payload.values() if one is not None]
    return [payload]


class Payloads:
    """Objects sent so far, nested ones included."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], list[Payload]] = {}

    def add(self, objects: Iterable[Json]) -> None:
        """Add objects in the order in which they were sent."""
        for one in objects:
            for inner in _walk(one):
                key = (inner["object"], str(inner["id"]))
                # Put at the end: the objects stand in the order of their last payloads.
                self._sent[key] = [*self._sent.pop(key, []), inner]

    def all(self, kind: str, name: str) -> list[Payload]:
        """Return every payload of one object, the oldest first."""
        return self._sent.get((kind, name), [])

    def last(self, kind: str) -> list[Payload]:
        """Return the last whole payload of each object of a kind, in the order of these payloads."""
        found = [payloads[-1] for (name, _), payloads in self._sent.items() if name == kind]
        return [one for one in found if one.get("deleted") is not True]

    def tied(self, owner: str | None, product: str) -> list[dict[str, str]]:
        """Return the product table's columns that depend on the entry, for each tied entry of a product.

        Entries are tied if they share the greatest period end; the reference says nothing of their order.
        """
        entries = [*self._entries(owner, product)]
        latest = max((subscription["current_period_end"] for subscription, _ in entries), default=None)
        tied = [entry for entry in entries if entry[0]["current_period_end"] == latest]
        return [_columns(*entry, count=len(entries)) for entry in tied] if len(tied) > 1 else []

    def _entries(self, owner: str | None, product: str) -> Iterator[tuple[Payload, Payload]]:
        customers = [one["id"] for one in self.last("customer") if one.get("description") == owner]
        prices = {one["id"]: one for one in self.last("price")}
        for subscription in self.last("subscription"):
            if subscription["customer"] not in customers[-1:]:
                continue
            for item in subscription["items"]["data"]:
                price = prices[item["price"]["id"]]
                if price["product"] == product:
                    yield subscription, price


def _walk(value: Json) -> Iterator[Payload]:
    """Yield an object and the objects inside of it, the outer one first."""
    if isinstance(value, Mapping):
        if isinstance(value.get("object"), str) and "id" in value:
            yield value
        for inner in value.values():
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


def _columns(subscription: Payload, price: Payload, count: int) -> dict[str, str]:
    recurring = price.get("recurring") or {}
    prefix = "re-" if count > 1 else ""
    segment, changed = _segment(subscription)
    return {
        "price_id": price["id"],
        "currency": price["currency"].lower(),
        "amount": _number(price.get("unit_amount")),
        "interval": recurring.get("interval") or "",
        "interval_count": _number(recurring.get("interval_count")),
        "status": subscription["status"],
        "segment": segment if segment == "other" else f"{prefix}{segment}",
        "changed": _time(changed),
        "created": _time(subscription["created"]),
        "start": _time(subscription["start_date"]),
        "current_period_start": _time(subscription["current_period_start"]),
        "current_period_end": _time(subscription["current_period_end"]),
        "canceled_at": _time(subscription["canceled_at"]),
        "ended_at": _time(subscription["ended_at"]),
        "cancel_at_period_end": "Yes" if subscription["cancel_at_period_end"] else "No",
    }


def _segment(subscription: Payload) -> tuple[str, int | None]:
    if subscription["status"] == "active":
        canceled_at = subscription["canceled_at"]
        return ("cancelling", canceled_at) if canceled_at else ("active", subscription["start_date"])
    if subscription["status"] == "canceled":
        return "canceled", subscription["ended_at"]
    return "other", subscription["created"]


def _number(value: int | None) -> str:
    return "-1" if value is None else str(value)


def _time(seconds: int | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(TIME) if seconds else ""
