"""Account: its objects, its events, and what is still to fall due."""

import random
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from mainstem.common.clock import Clock
from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stripe.state import shapes
from mainstem.sandbox.stripe.state.agenda import Agenda
from mainstem.sandbox.stripe.state.compose import snapshot
from mainstem.sandbox.stripe.state.deliveries import Deliveries
from mainstem.sandbox.stripe.state.due import due_at
from mainstem.sandbox.stripe.state.history import Cause, History, StripeEvent
from mainstem.sandbox.stripe.state.store import Json, Store
from mainstem.sandbox.stripe.wire import versions

_LETTERS = string.ascii_letters + string.digits
_RANDOM = random.SystemRandom()
"""Ids stay unique when a test tool seeds the usual generator again and again."""

_PREFIXES = {
    "billing_portal.configuration": "bpc",
    "billing_portal.session": "bps",
    "checkout.session": "cs_test",
    "customer": "cus",
    "event": "evt",
    "invoice": "in",
    "invoice_payment": "inpay",
    "invoiceitem": "ii",
    "item": "li",
    "line_item": "il",
    "payment_intent": "pi",
    "payment_method": "pm",
    "price": "price",
    "product": "prod",
    "subscription": "sub",
    "subscription_item": "si",
    "subscription_schedule": "sub_sched",
    "webhook_endpoint": "we",
}
ACCOUNT_ID = "acct_1MainstemSandbox"
"""Id of the stand-in's account: the same in every process, since those who use it record it."""

_LENGTHS = {"checkout.session": 58, "customer": 14, "product": 14, "subscription_item": 14}
"""Length of ids behind the prefix, by kind; those of other kinds have 24 characters."""


@dataclass(frozen=True)
class Dunning:
    """The account's policy for an invoice that cannot be collected."""

    retry_after_days: tuple[int, ...] = (3, 5, 7)
    """Days from each failed attempt to the next one."""
    afterwards: Literal["canceled", "unpaid", "past_due"] = "canceled"
    """The subscription's status after the last attempt."""


def new_id(prefix: str, *, length: int = 24) -> str:
    """Return an id as Stripe makes them."""
    return f"{prefix}_{''.join(_RANDOM.choices(_LETTERS, k=length))}"


class StripeAccount:
    """The state of one account; every call of its behaviours is one atomic step, since none awaits.

    Args:
        clock: the world's time.
        api_version: the version in whose shapes the account's own events are kept.
        dunning: what is done about unpaid invoices.
        connected_id: the account's id, if it is connected to the one that the stand-in is.
        archive: where all of it is kept; what stands there is recalled. None is memory. Whoever takes a
            step commits it.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        api_version: str = versions.TODAY,
        dunning: Dunning | None = None,
        connected_id: str | None = None,
        archive: Archive | None = None,
    ) -> None:
        self.connected_id = connected_id
        self.api_version = versions.check(api_version)
        self.dunning = dunning or Dunning()
        self.has_portal = True
        """Whether the billing portal's settings were saved in the Dashboard, which has no API of its own."""
        self.archive = archive or Archive()
        self.store = Store(self.archive)
        self.events = History(self.archive)
        self.agenda = Agenda(self.archive)
        self.deliveries = Deliveries(self.archive, self.events)
        self.cause = Cause()
        self.tell: Callable[[StripeEvent], None] = _ignore_event
        self._clock = clock
        self._standing_at: int | None = None

    def itself(self) -> Json:
        """Return the account object: a part of https://docs.stripe.com/api/accounts/object."""
        return {
            "id": self.connected_id or ACCOUNT_ID,
            "object": "account",
            "business_type": None,
            "charges_enabled": True,
            "country": "US",
            "default_currency": "usd",
            "details_submitted": True,
            "metadata": {},
            "payouts_enabled": True,
            "type": "standard",
        }

    @property
    def now(self) -> int:
        """The world's time, in seconds since 1970."""
        return int(self._clock.now().timestamp()) if self._standing_at is None else self._standing_at

    @contextmanager
    def standing_at(self, at: int) -> Iterator[None]:
        """Have it be exactly `at` inside, however long the steps take."""
        self._standing_at = at
        try:
            yield
        finally:
            self._standing_at = None

    @contextmanager
    def caused_by(self, cause: Cause) -> Iterator[None]:
        """Have what happens inside be due to a request."""
        self.cause = cause
        try:
            yield
        finally:
            self.cause = Cause()

    def new(self, kind: str, **facts: Any) -> Json:
        """Hold a new object of this kind, and return it; nothing is told yet."""
        given = new_id(_PREFIXES[kind], length=_LENGTHS.get(kind, 24))
        held = {**shapes.blank(kind), "id": given, **facts}
        if "created" in held:
            held["created"] = self.now
        return self.store.add(held)

    def record(self, happened: str, held: Json, *, before: bytes | None = None) -> None:
        """Write an event of this type about an object as it now is, and tell it."""
        event = StripeEvent(
            id=new_id("evt"),
            type=happened,
            created=self.now,
            api_version=self.api_version,
            cause=self.cause,
            after=snapshot(self.store, held),
            before=before,
            account=self.connected_id,
        )
        self.events.record(event)
        self.schedule(held)
        self.tell(event)

    def schedule(self, held: Json) -> None:
        """Have an object fall due when it is to, as it now is; safe to repeat."""
        self.agenda.put((held["object"], held["id"]), due_at(held))

    @contextmanager
    def changing(self, held: Json, happened: str) -> Iterator[None]:
        """Write an event of this type about what changes inside; none if nothing does."""
        before = snapshot(self.store, held)
        yield
        if snapshot(self.store, held) != before:
            self.record(happened, held, before=before)


def _ignore_event(_: StripeEvent) -> None:
    """Nobody listens yet."""
