"""The story: what happens to one person's subscription, step by step, and what must then be true."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from mainstem.sandbox.demo.actors import Actors
from mainstem.sandbox.demo.expectations import (
    FXA_ID,
    OWNER,
    Expectation,
    Person,
    count_paid_invoices,
    expect_everywhere,
    find_period_end,
)
from mainstem.sandbox.stack.programs import DEMO_PRICE

EMAIL = "mainstem-demo@example.com"
NEWSLETTER = "common-voice"

ACTIVE = "Your subscription is active."
OVER = "This checkout was completed, but its subscription is not active now."


Act = Callable[[Actors, Person], Awaitable[None]]
Expect = Callable[[Actors, Person], Awaitable[list[Expectation]]]


@dataclass(frozen=True)
class Step:
    """One step: what is done, and what is expected of the system once it is settled."""

    title: str
    act: Act
    expect: Expect


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


async def put_on_sale(actors: Actors, person: Person) -> None:
    """Make a product and its price, at Stripe and by Stripe's own SDK, under the key that billing sells."""
    v1 = actors.seller.v1
    product = await v1.products.create_async({"name": "Mainstem Demo"})
    await v1.prices.create_async(
        {
            "product": product.id,
            "lookup_key": DEMO_PRICE,
            "currency": "usd",
            "unit_amount": 999,
            "recurring": {"interval": "month"},
        }
    )
    person.product = product.id


async def expect_price(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether the mirror knows what is on sale."""
    amount = await actors.database.fetchval(
        "SELECT unit_amount FROM stripe.price WHERE product = $1", person.product
    )
    return [Expectation("the mirror has the price", 999, amount)]


async def go_to_checkout(actors: Actors, person: Person) -> None:
    """Register the person with billing, and have them click on `buy` twice at once."""
    await actors.caller.register(OWNER, EMAIL)
    person.checkouts = list(await asyncio.gather(*[actors.caller.buy(OWNER) for _ in range(2)]))


async def expect_one_checkout(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether there is one customer and one checkout, and nothing is bought yet."""
    customer = await actors.caller.find_customer(OWNER)
    links = await actors.database.fetch(
        "SELECT description FROM stripe.customer WHERE id = $1 AND email = $2", customer, EMAIL
    )
    return [
        Expectation("both clicks lead to one checkout", 1, len(set(person.checkouts))),
        Expectation("the customer at Stripe is the person", [FXA_ID], [row[0] for row in links]),
        Expectation("nothing is bought yet", [], await actors.caller.list_subscriptions(OWNER)),
    ]


async def pay(actors: Actors, person: Person) -> None:
    """Open the checkout's page and pay; Stripe leads back to billing's page."""
    browser = actors.browser
    await browser.open(person.checkouts[0])
    await browser.click("pay", name="Demo")
    await browser.stay()
    person.arrival = browser.url


async def expect_bought(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether the page that the browser came back to said so, and everyone knows."""
    said = Expectation(f"the page to come back to said: {ACTIVE}", ACTIVE, actors.browser.page.says)
    return [said, *await expect_active(actors, person)]


async def expect_active(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether the subscription is active everywhere, and note which it is and when its period ends."""
    bought = await actors.caller.list_subscriptions(OWNER)
    person.subscription = bought[0]["id"] if bought else ""
    person.period_ends.append(await find_period_end(actors, person))
    return [
        Expectation("the application sees one that is active", ["active"], [one["status"] for one in bought]),
        *await expect_everywhere(actors, person, "active"),
        Expectation("one invoice is paid", 1, await count_paid_invoices(actors, person)),
    ]


async def let_a_month_pass(actors: Actors, person: Person) -> None:
    """Move the clock to the end of the period."""
    await actors.world.move_to(person.period_ends[-1])


async def expect_renewal(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether the next period has begun everywhere, and its invoice is paid."""
    last, now = person.period_ends[-1], await find_period_end(actors, person)
    person.period_ends.append(now)
    return [
        Expectation("the mirror's period went on", expected=True, seen=now > last),
        *await expect_everywhere(actors, person, "active"),
        Expectation("two invoices are paid", 2, await count_paid_invoices(actors, person)),
    ]


async def cancel(actors: Actors, person: Person) -> None:
    """Cancel at the end of the period, on the page of the portal that asks."""
    browser = actors.browser
    await browser.open(await actors.caller.manage(OWNER, "cancel", redirect_to=person.arrival))
    await browser.click("confirm-cancel")


async def expect_cancelling(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether the browser was led back, and everyone knows that the end is coming."""
    back = Expectation("the portal led back", person.arrival, actors.browser.url)
    return [back, *await expect_cancelling_everywhere(actors, person)]


async def expect_cancelling_everywhere(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether everyone knows that the end is coming."""
    held = await actors.caller.list_subscriptions(OWNER)
    return [
        *await expect_everywhere(actors, person, "cancelling"),
        Expectation("it cannot be cancelled again", [False], [one["is_cancelable"] for one in held]),
    ]


async def expect_canceled(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether everyone knows that it is over, and nothing was given up on the way."""
    dead = await actors.database.fetchval("SELECT count(*) FROM inbox.event WHERE status = 'dead'")
    return [
        *await expect_everywhere(actors, person, "canceled"),
        Expectation("no dead letters", 0, dead),
    ]


async def visit_the_portal(actors: Actors, _person: Person) -> None:
    """Open the portal's first page."""
    await actors.browser.open(await actors.caller.manage(OWNER, "manage_subscription"))


async def expect_nothing_to_cancel(actors: Actors, person: Person) -> list[Expectation]:
    """Return whether portal, application and page to come back to all say that there is nothing left."""
    browser = actors.browser
    found = browser.page
    ways = [given for given in found.links if given.startswith(("cancel-", "update-sub"))]
    refusal = await actors.caller.get_refusal(OWNER, "cancel")
    await browser.open(person.arrival)
    return [
        Expectation(
            "the portal shows no subscription", "There is none.", found.texts.get("no-subscriptions")
        ),
        Expectation("the portal offers nothing to cancel", [], ways),
        Expectation("billing sends nobody to cancel", "user has no active subscriptions", refusal),
        Expectation(f"the page to come back to says: {OVER}", OVER, browser.page.says),
    ]


STORY: Sequence[Step] = (
    Step("A token for the client `demo`", ask_for_a_token, expect_a_token),
    Step("A contact is created", create_contact, expect_main_row),
    Step("A plan goes on sale at Stripe", put_on_sale, expect_price),
    Step("The person is sent to checkout", go_to_checkout, expect_one_checkout),
    Step("They pay there, and come back", pay, expect_bought),
    Step("A month passes, and it renews", let_a_month_pass, expect_renewal),
    Step("It is cancelled at the portal", cancel, expect_cancelling),
    Step("The period ends", let_a_month_pass, expect_canceled),
    Step("The portal has nothing left to cancel", visit_the_portal, expect_nothing_to_cancel),
)
