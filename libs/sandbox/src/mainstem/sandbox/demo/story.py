"""The story: what happens to one person's subscription, step by step, and what must then be true."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstem.sandbox.demo.actors import Actors

FXA_ID = "6eb6ed6ac3b64259968aa490c6c0b9df"
EMAIL = "mainstem-demo@example.com"
NEWSLETTER = "common-voice"


@dataclass
class Person:
    """What the story learns on its way."""

    contact_id: str = ""
    product: str = ""
    subscription: str = ""
    period_ends: list[datetime] = field(default_factory=list)


@dataclass(frozen=True)
class Expectation:
    """Something that must be true after a step: what was expected, and what was seen."""

    claim: str
    expected: Any
    seen: Any

    @property
    def holds(self) -> bool:
        """Whether it is."""
        return bool(self.expected == self.seen)


@dataclass(frozen=True)
class Step:
    """One step: what is done, and what is expected of the system once it is settled."""

    title: str
    act: Callable[[Actors, Person], Awaitable[None]]
    expect: Callable[[Actors, Person], Awaitable[list[Expectation]]]


async def ask_for_a_token(actors: Actors, _person: Person) -> None:
    """Authenticate as the client `demo`."""
    await actors.caller.authorise()


async def expect_a_token(actors: Actors, _person: Person) -> list[Expectation]:
    """Return whether there is one."""
    return [Expectation("the gateway gave a token", expected=True, seen=bool(actors.caller.token))]


async def create_contact(actors: Actors, person: Person) -> None:
    """Create the person, who has an account and one newsletter."""
    contact = {
        "email": {"primary_email": EMAIL, "first_name": "Demo"},
        "fxa": {"fxa_id": FXA_ID, "primary_email": EMAIL},
        "newsletters": [{"name": NEWSLETTER}],
    }
    person.contact_id = await actors.caller.create_contact(contact)


async def expect_main_row(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether Acoustic's main table knows the person."""
    row = (await actors.world.acoustic())["main"].get(person.contact_id, {})
    return [
        Expectation("Acoustic's main row has the address", EMAIL, row.get("email")),
        Expectation("Acoustic's main row has the newsletter", "1", row.get("sub_common_voice")),
    ]


async def subscribe(actors: Actors, person: Person) -> None:
    """Sell the person a product, at Stripe and by Stripe's own SDK."""
    v1 = actors.seller.v1
    product = await v1.products.create_async({"name": "Mainstem Demo"})
    price = await v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 999, "recurring": {"interval": "month"}}
    )
    customer = await v1.customers.create_async({"description": FXA_ID, "email": EMAIL})
    await v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    cards = await v1.payment_methods.list_async({"customer": customer.id})
    subscription = await v1.subscriptions.create_async(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "default_payment_method": cards.data[0].id,
        }
    )
    person.product, person.subscription = product.id, subscription.id


async def expect_active(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether the subscription is active everywhere, and note when its period ends."""
    person.period_ends.append(await _period_end(actors, person))
    return [
        *await _expect_everywhere(actors, person, "active"),
        Expectation("one invoice is paid", 1, await _paid_invoices(actors, person)),
    ]


async def let_a_month_pass(actors: Actors, person: Person) -> None:
    """Move the clock to the end of the period."""
    await actors.world.move_to(person.period_ends[-1])


async def expect_renewal(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether the next period has begun everywhere, and its invoice is paid."""
    last, now = person.period_ends[-1], await _period_end(actors, person)
    person.period_ends.append(now)
    return [
        Expectation("the mirror's period went on", expected=True, seen=now > last),
        *await _expect_everywhere(actors, person, "active"),
        Expectation("two invoices are paid", 2, await _paid_invoices(actors, person)),
    ]


async def cancel(actors: Actors, person: Person) -> None:
    """Cancel at the end of the period."""
    await actors.seller.v1.subscriptions.update_async(person.subscription, {"cancel_at_period_end": True})


async def expect_cancelling(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether everyone knows that the end is coming."""
    return await _expect_everywhere(actors, person, "cancelling")


async def expect_canceled(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether everyone knows that it is over, and nothing was given up on the way."""
    dead = await actors.database.fetchval("SELECT count(*) FROM inbox.event WHERE status = 'dead'")
    return [
        *await _expect_everywhere(actors, person, "canceled"),
        Expectation("no dead letters", 0, dead),
    ]


async def _expect_everywhere(actors: Actors, person: Person, segment: str) -> list[Expectation]:
    derived = await actors.database.fetchrow(
        "SELECT segment, current_period_end FROM subscription.v1_product_subscription"
        " WHERE owner_value = $1 AND product_id = $2",
        FXA_ID,
        person.product,
    )
    products: dict[str, Any] = (await actors.world.acoustic())["product"].get(person.contact_id, {})
    row = products.get(person.product, {})
    end = derived and derived["current_period_end"].strftime("%m/%d/%Y %H:%M:%S")
    return [
        Expectation(f"the product subscription is {segment}", segment, derived and derived["segment"]),
        Expectation(f"Acoustic's product row is {segment}", segment, row.get("segment")),
        Expectation("Acoustic has the same period", end, row.get("current_period_end")),
    ]


async def _period_end(actors: Actors, person: Person) -> datetime:
    end: datetime = await actors.database.fetchval(
        "SELECT current_period_end FROM stripe.subscription_item WHERE subscription = $1", person.subscription
    )
    return end


async def _paid_invoices(actors: Actors, person: Person) -> int:
    count: int = await actors.database.fetchval(
        "SELECT count(*) FROM stripe.invoice WHERE subscription = $1 AND status = 'paid'", person.subscription
    )
    return count


STORY: Sequence[Step] = (
    Step("A token for the client `demo`", ask_for_a_token, expect_a_token),
    Step("A contact is created", create_contact, expect_main_row),
    Step("A subscription starts at Stripe", subscribe, expect_active),
    Step("A month passes, and it renews", let_a_month_pass, expect_renewal),
    Step("It is cancelled at the period's end", cancel, expect_cancelling),
    Step("The period ends", let_a_month_pass, expect_canceled),
)
