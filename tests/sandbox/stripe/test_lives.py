"""Whatever is asked of an account, and however the clock moves, its events tell the whole truth."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from properties import examples

from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stripe.edge import calendar
from mainstem.sandbox.stripe.goods import catalog, payment_methods
from mainstem.sandbox.stripe.hosted import checkout, purchases
from mainstem.sandbox.stripe.hosted.purchases import Payer
from mainstem.sandbox.stripe.invoicing.ending import is_live
from mainstem.sandbox.stripe.state.account import Dunning, StripeAccount
from mainstem.sandbox.stripe.state.compose import composed
from mainstem.sandbox.stripe.subscribers import customers, subscribing, subscription_items, subscriptions
from mainstem.sandbox.stripe.wire.errors import DeclinedError, StripeError

DAY = 86_400
CARDS = ("4242424242424242", "4000000000000002", "4000000000000341")
"""One that pays, one that is refused at once and one that is refused when it is charged."""
UNTOLD = {
    "customer": {"next_invoice_sequence"},
    "invoiceitem": {"invoice"},
    "payment_method": {"customer"},  # when its customer is deleted
}
"""What changes without an event, as at Stripe."""


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = datetime(2027, 1, 31, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def everything(account: StripeAccount) -> dict[str, Any]:
    """Return all that an account holds, with each object's position."""
    kinds = account.store.kinds()
    shelves = {kind: account.store.shelf(kind) for kind in kinds}
    return {
        "objects": {
            kind: [(shelf.position(held["id"]), held) for held in shelf] for kind, shelf in shelves.items()
        },
        "stubs": account.store._stubs,
        "events": list(account.events),
        "due": sorted((at, count, key) for key, (at, count) in account.agenda._entries.items()),
    }


class Lives(RuleBasedStateMachine):
    """Customers with good and bad cards, and subscriptions that begin, change, renew and end."""

    people: Bundle[str] = Bundle("people")
    lives: Bundle[str] = Bundle("lives")
    offers: Bundle[str] = Bundle("offers")

    def __init__(self) -> None:
        super().__init__()
        self.hand = Hand()
        self.archive = Archive()
        self.account = StripeAccount(self.hand, dunning=Dunning(), archive=self.archive)
        self.prices: dict[str, str] = {}

    @initialize()
    def open_shop(self) -> None:
        for name, amount, interval in (("week", 300, "week"), ("month", 999, "month"), ("free", 0, "month")):
            price = catalog.create_price(
                self.account,
                {
                    "currency": "usd",
                    "unit_amount": str(amount),
                    "recurring": {"interval": interval},
                    "product_data": {"name": name},
                },
            )
            self.prices[name] = price["id"]

    @rule(target=people, card=st.sampled_from(["pm_card_visa", "pm_card_chargeCustomerFail"]))
    def come(self, card: str) -> str:
        made = customers.create(
            self.account,
            {"payment_method": card, "invoice_settings": {"default_payment_method": card}},
        )
        return str(made["id"])

    @rule(person=people, card=st.sampled_from(["pm_card_visa", "pm_card_chargeCustomerFail"]))
    def change_card(self, person: str, card: str) -> None:
        method = payment_methods.attach(self.account, card, {"customer": person})
        default = {"invoice_settings": {"default_payment_method": method["id"]}}
        customers.update(self.account, person, default)

    @rule(
        target=lives,
        person=people,
        price=st.sampled_from(["week", "month", "free"]),
        trial=st.sampled_from(["0", "2", "10"]),
        behavior=st.sampled_from(["allow_incomplete", "default_incomplete", "error_if_incomplete"]),
    )
    def subscribe(self, person: str, price: str, trial: str, behavior: str) -> Any:
        given = {
            "customer": person,
            "items": [{"price": self.prices[price]}],
            "trial_period_days": trial,
            "payment_behavior": behavior,
        }
        try:
            return subscribing.create(self.account, given)["id"]
        except DeclinedError:
            return multiple()

    @rule(
        life=lives,
        change=st.sampled_from(
            [
                {"cancel_at_period_end": "true"},
                {"cancel_at_period_end": "false"},
                {"metadata": {"seen": "1"}},
                {"trial_end": "now"},
                {"billing_cycle_anchor": "now"},
            ]
        ),
    )
    def change(self, life: str, change: dict[str, Any]) -> None:
        if is_live(self.account.store.get("subscription", life)):
            subscriptions.update(self.account, life, change)

    @rule(life=lives, quantity=st.integers(0, 4), behavior=st.sampled_from(["none", "always_invoice"]))
    def change_quantity(self, life: str, quantity: int, behavior: str) -> None:
        subscription = self.account.store.get("subscription", life)
        if is_live(subscription):
            given = {"quantity": str(quantity), "proration_behavior": behavior}
            subscription_items.update(self.account, subscription["items"][0], given)

    @rule(life=lives, price=st.sampled_from(["week", "month"]))
    def change_price(self, life: str, price: str) -> None:
        subscription = self.account.store.get("subscription", life)
        if is_live(subscription):
            subscription_items.update(self.account, subscription["items"][0], {"price": self.prices[price]})

    @rule(life=consumes(lives))
    def cancel(self, life: str) -> None:
        if is_live(self.account.store.get("subscription", life)):
            subscriptions.cancel(self.account, life, {"prorate": "true"})

    @rule(person=consumes(people))
    def leave(self, person: str) -> None:
        customers.delete(self.account, person, {})

    @rule(
        target=offers,
        person=st.one_of(st.none(), people),
        price=st.sampled_from(["week", "month", "free"]),
        trial=st.sampled_from(["0", "10"]),
        collection=st.sampled_from(["always", "if_required"]),
    )
    def offer(self, person: str | None, price: str, trial: str, collection: str) -> str:
        given = {
            "mode": "subscription",
            "line_items": [{"price": self.prices[price], "quantity": "1"}],
            "success_url": "http://127.0.0.1:9/",
            "payment_method_collection": collection,
            "subscription_data": {"trial_period_days": trial},
            **({} if person is None else {"customer": person}),
        }
        return str(checkout.create(self.account, given, "http://127.0.0.1:9")["id"])

    @rule(offer=offers, number=st.sampled_from([*CARDS, ""]), later=st.booleans())
    def buy(self, offer: str, number: str, later: bool) -> None:
        session = self.account.store.get("checkout.session", offer)
        was_open, before = session["status"] == "open", deepcopy(everything(self.account))
        act = purchases.pay_later if later else purchases.pay
        try:
            act(self.account, session, Payer(number, "ada@example.com"))
        except StripeError:
            assert everything(self.account) == before
        else:
            assert was_open
            assert session["status"] == "complete"

    @rule(offer=offers, arrives=st.booleans())
    def settle(self, offer: str, arrives: bool) -> None:
        session = self.account.store.get("checkout.session", offer)
        if purchases.is_under_way(self.account, session):
            (purchases.succeed if arrives else purchases.fail)(self.account, session)

    @rule(seconds=st.integers(1, 40 * DAY))
    def wait(self, seconds: int) -> None:
        self.hand.at += timedelta(seconds=seconds)
        calendar.fall_due(self.account, self.account.now)

    @invariant()
    def events_come_in_order_of_time(self) -> None:
        times = [event.created for event in self.account.events]
        assert times == sorted(times)

    @invariant()
    def nothing_is_overdue(self) -> None:
        first = self.account.agenda.first()
        assert first is None or first > self.account.now

    @invariant()
    def the_last_event_of_each_object_shows_it_as_it_is(self) -> None:
        last = {}
        for event in self.account.events:
            told = msgspec.json.decode(event.after)
            last[told["id"]] = told
        for session in self.account.store.shelf("checkout.session"):
            # Stripe tells nothing of one that is open.
            assert session["status"] == "open" or last[session["id"]] == composed(self.account.store, session)
        for kind in ("customer", "subscription", "invoice", "invoiceitem", "payment_method"):
            for held in self.account.store.shelf(kind):
                untold = dict.fromkeys(UNTOLD.get(kind, set()))
                shown = composed(self.account.store, held)
                assert {**last[held["id"]], **untold} == {**shown, **untold}

    @invariant()
    def a_session_has_sold_what_it_says(self) -> None:
        for session in self.account.store.shelf("checkout.session"):
            assert (session["status"] == "complete") == (session["subscription"] is not None)
            assert (session["status"] == "open") == (session["url"] is not None)
            assert session["status"] != "open" or session["expires_at"] > self.account.now
            if session["subscription"] is not None:
                subscription = self.account.store.get("subscription", session["subscription"])
                assert subscription["customer"] == session["customer"]
                arrived = subscription["status"] not in ("incomplete", "incomplete_expired")
                assert arrived or session["payment_status"] == "unpaid"

    @invariant()
    def what_is_recalled_is_what_is_held(self) -> None:
        self.archive.commit()
        recalled = StripeAccount(self.hand, dunning=Dunning(), archive=self.archive)
        assert everything(recalled) == everything(self.account)

    @invariant()
    def what_is_paid_and_what_remains_is_what_is_due(self) -> None:
        for invoice in self.account.store.shelf("invoice"):
            assert invoice["amount_paid"] + invoice["amount_remaining"] == invoice["amount_due"]
            assert (invoice["status"] == "paid") == invoice["paid"]

    @invariant()
    def a_live_subscription_is_inside_its_period(self) -> None:
        for held in self.account.store.shelf("subscription"):
            if held["status"] in ("active", "trialing", "past_due"):
                assert held["current_period_start"] <= self.account.now < held["current_period_end"]
                assert self.account.agenda.first() is not None


Lives.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase
