"""The load: actors who sell, change and cancel subscriptions, and tell of contacts, whatever happens."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

from tests.chaos.callers import Application, RefusedError, Seller
from tests.chaos.pace import Pace
from tests.chaos.people import FIELDS, Customer, Person, a_person
from tests.chaos.shop import Catalogue
from tests.chaos.tables import Tables

ACTORS = 8
COUNTRIES = ("de", "fr", "us", "jp")
CARDS = ("pm_card_visa", "pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail")
MIRRORED_SECONDS = 5.0
MOST_ITEMS = 4


class Actor:
    """Somebody who does one thing after the other, to people of their own and to what all share."""

    def __init__(
        self,
        number: int,
        dice: random.Random,
        *,
        seller: Seller,
        application: Application,
        tables: Tables,
        shop: Catalogue,
    ) -> None:
        self._number = number
        self._dice = dice
        self._seller = seller
        self._application = application
        self._tables = tables
        self._shop = shop
        self.people: list[Person] = []
        self.acts: Counter[str] = Counter()

    async def act(self) -> None:
        """Do one thing, until it is done."""
        names = list(self._ways)
        [name] = self._dice.choices(names, [self._ways[name][0] for name in names])
        try:
            if await self._ways[name][1](self) is not False:
                self.acts[name] += 1
        except RefusedError:
            # A card that is declined, or a subscription that came to its end meanwhile.
            self.acts["refused"] += 1

    async def _come(self) -> None:
        """Have somebody new come, as a contact first, or as a customer."""
        person = a_person(self._number + ACTORS * len(self.people), self._dice)
        self.people.append(person)
        if self._dice.random() < 0.5:
            await self._become_contact(person)
        await self._buy(await self._become_customer(person))

    async def _join(self) -> bool | None:
        person = self._somebody(lambda one: not one.is_contact)
        if person is None:
            return False
        await self._become_contact(person)
        return None

    async def _become_contact(self, person: Person) -> None:
        person.newsletters |= set(self._dice.sample(["common-voice", "hubs", "miti"], 1))
        await self._application.create(person.as_new())
        person.is_contact = True

    async def _become_customer(self, person: Person) -> Customer:
        form = {
            "description": person.fxa_id,
            "email": person.email,
            "payment_method": (card := self._dice.choice(CARDS)),
            "invoice_settings": {"default_payment_method": card},
            "metadata": {"number": person.number},
        }
        customer = Customer((await self._seller.post("/v1/customers", form))["id"])
        person.customers.append(customer)
        return customer

    async def _buy(self, customer: Customer) -> None:
        prices = self._shop.daily if self._dice.random() < 0.05 else self._shop.weekly
        chosen = self._dice.sample(prices, self._dice.choice((1, 1, 1, 2)))
        form = {
            "customer": customer.id,
            "items": [{"price": price} for price in chosen],
            **({"trial_period_days": 2} if self._dice.random() < 0.1 else {}),
        }
        subscription = await self._seller.post("/v1/subscriptions", form)
        customer.subscriptions[subscription["id"]] = [one["id"] for one in subscription["items"]["data"]]

    async def _buy_more(self) -> bool | None:
        person = self._somebody(lambda one: bool(one.customers))
        if person is None:
            return False
        await self._buy(self._dice.choice(person.customers))
        return None

    async def _come_again(self) -> bool | None:
        """Have somebody become a second customer, who now holds what is theirs."""
        person = self._somebody(lambda one: len(one.customers) == 1)
        if person is None:
            return False
        await self._buy(await self._become_customer(person))
        return None

    async def _change_contact(self) -> bool | None:
        person = self._somebody(lambda one: one.is_contact and bool(one.untouched()))
        if person is None:
            return False
        name = self._dice.choice(person.untouched())
        if name in FIELDS:
            value = self._dice.choice(COUNTRIES)
            await self._application.change(person.contact_id, {"email": {name: value}})
            person.fields[name] = value
        else:
            await self._application.change(person.contact_id, {"newsletters": [{"name": name}]})
            person.newsletters.add(name)
        return None

    async def _change_items(self) -> bool | None:
        found = self._subscription()
        if found is None:
            return False
        _, subscription, items = found
        item = self._dice.choice(items)
        change = self._dice.choice(
            (
                {"id": item, "quantity": self._dice.randint(1, 5)},
                {"id": item, "price": self._dice.choice(self._shop.weekly)},
                {"price": self._dice.choice(self._shop.weekly)},
                {"id": item, "deleted": True},
            )
        )
        if ("id" not in change and len(items) >= MOST_ITEMS) or ("deleted" in change and len(items) == 1):
            return False
        behavior = self._dice.choice(("none", "create_prorations", "always_invoice"))
        answer = await self._seller.post(
            f"/v1/subscriptions/{subscription}", {"items": [change], "proration_behavior": behavior}
        )
        items[:] = [one["id"] for one in answer["items"]["data"]]
        return None

    async def _change_terms(self) -> bool | None:
        found = self._subscription()
        if found is None:
            return False
        change = self._dice.choice(
            (
                {"cancel_at_period_end": True},
                {"cancel_at_period_end": False},
                {"metadata": {"turn": self._dice.randint(1, 99)}},
            )
        )
        await self._seller.post(f"/v1/subscriptions/{found[1]}", change)
        return None

    async def _cancel(self) -> bool | None:
        found = self._subscription()
        if found is None:
            return False
        customer, subscription, _ = found
        await self._seller.delete(f"/v1/subscriptions/{subscription}")
        del customer.subscriptions[subscription]
        return None

    async def _change_customer(self) -> bool | None:
        person = self._somebody(lambda one: bool(one.customers))
        if person is None:
            return False
        customer = self._dice.choice(person.customers)
        change = {"name": f"Name {self._dice.randint(1, 99)}", "metadata": {"turn": self._dice.randint(1, 9)}}
        await self._seller.post(f"/v1/customers/{customer.id}", change)
        return None

    async def _hand_over(self) -> bool | None:
        """Have a customer change hands: what was one person's is another's."""
        giver = self._somebody(lambda one: bool(one.customers))
        taker = self._dice.choice(self.people) if self.people else None
        if giver is None or taker is None or giver is taker:
            return False
        customer = self._dice.choice(giver.customers)
        await self._seller.post(f"/v1/customers/{customer.id}", {"description": taker.fxa_id})
        giver.customers.remove(customer)
        taker.customers.append(customer)
        return None

    async def _delete_customer(self) -> bool | None:
        """Delete a customer whose present link the mirror knows: a tombstone keeps what was known."""
        person = self._somebody(lambda one: bool(one.customers))
        if person is None:
            return False
        customer = self._dice.choice(person.customers)
        if not await self._tables.knows(customer.id, person.fxa_id, MIRRORED_SECONDS):
            return False
        await self._seller.delete(f"/v1/customers/{customer.id}")
        person.customers.remove(customer)
        return None

    async def _touch_catalogue(self) -> None:
        """Change what everybody's subscriptions name."""
        kind, ids = self._dice.choice(
            (("products", self._shop.products), ("prices", (*self._shop.weekly, *self._shop.daily)))
        )
        change = {"metadata": {"turn": self._dice.randint(1, 999)}}
        await self._seller.post(f"/v1/{kind}/{self._dice.choice(ids)}", change)

    def _somebody(self, fits: Callable[[Person], bool]) -> Person | None:
        found = [person for person in self.people if fits(person)]
        return self._dice.choice(found) if found else None

    def _subscription(self) -> tuple[Customer, str, list[str]] | None:
        found = [
            (customer, subscription, items)
            for person in self.people
            for customer in person.customers
            for subscription, items in customer.subscriptions.items()
        ]
        return self._dice.choice(found) if found else None

    _ways: ClassVar[Mapping[str, tuple[float, Callable[["Actor"], Awaitable[bool | None]]]]] = {
        "person came": (6, _come),
        "contact created": (4, _join),
        "contact changed": (12, _change_contact),
        "subscription bought": (4, _buy_more),
        "second customer": (2, _come_again),
        "items changed": (10, _change_items),
        "terms changed": (8, _change_terms),
        "subscription canceled": (3, _cancel),
        "customer changed": (6, _change_customer),
        "customer handed over": (2, _hand_over),
        "customer deleted": (1, _delete_customer),
        "catalogue changed": (4, _touch_catalogue),
    }
    """What is done, how often in comparison, and how."""


class Load:
    """All actors at once, until they are told to stop."""

    def __init__(self, actors: Sequence[Actor], pace: Pace) -> None:
        self._actors = actors
        self._pace = pace
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Act until stopped; what is begun then is ended."""
        async with asyncio.TaskGroup() as group:
            for actor in self._actors:
                group.create_task(self._keep_acting(actor))

    def stop(self) -> None:
        """Have nothing more begun."""
        self._stopping.set()
        self._pace.end()

    async def _keep_acting(self, actor: Actor) -> None:
        while not self._stopping.is_set():
            await actor.act()
            await self._pace.turn()

    @property
    def people(self) -> list[Person]:
        """Everybody who ever came."""
        return [person for actor in self._actors for person in actor.people]

    @property
    def acts(self) -> dict[str, int]:
        """Return how often each thing was done."""
        total: Counter[str] = Counter()
        for actor in self._actors:
            total += actor.acts
        return dict(sorted(total.items()))
