"""First story in a browser: a person buys, comes back, opens the portal, and cancels."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from chromium import Window, find_chromium, open_chromium
from tests.conformance.run import Stacks

from mainstem.sandbox.demo import story
from mainstem.sandbox.demo.actors import Actors, Owner, open_actors
from mainstem.sandbox.demo.expectations import OWNER, Expectation, Person
from mainstem.sandbox.stack.folder import Stack

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

PENDING = (
    "Your order is placed, but your payment has not been confirmed yet. This page looks again by itself."
)


@dataclass
class Scene:
    """A stack on which a plan is on sale, and a browser."""

    stack: Stack
    actors: Actors
    person: Person
    """Who knows the plan's product."""
    window: Window

    async def send_to_checkout(self, owner: Owner) -> None:
        """Open the checkout that the application starts for another owner."""
        await self.actors.caller.register(owner, "somebody@example.com")
        await self.window.open(await self.actors.caller.buy(owner))

    async def find_misses(self, expect: story.Expect) -> list[Expectation]:
        """Return what is not as expected of the person once all is settled."""
        await self.actors.world.settle()
        return [one for one in await expect(self.actors, self.person) if not one.holds]

    async def find_bought(self, owner: Owner) -> dict[str, Any]:
        """Return the one subscription that the application sees once all is settled."""
        await self.actors.world.settle()
        (bought,) = await self.actors.caller.list_subscriptions(owner)
        return bought


@pytest.fixture(scope="module")
async def scene(stacks: Stacks, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    program = find_chromium()
    person = Person()
    stack = await stacks.empty()
    async with open_actors(stack) as actors:
        await actors.caller.authorise()
        await story.put_on_sale(actors, person)
        async with open_chromium(program, tmp_path_factory.mktemp("chromium")) as window:
            yield Scene(stack, actors, person, window)
            assert window.origins == {stack.gateway, stack.sandbox}


async def test_a_person_buys_returns_and_cancels_and_everybody_agrees_at_each_step(scene: Scene) -> None:
    actors, person, window = scene.actors, scene.person, scene.window
    await story.create_contact(actors, person)
    await story.go_to_checkout(actors, person)

    await window.open(person.checkouts[0])
    assert await window.read_heading() == "Subscribe to Mainstem Demo"
    assert await window.click("pay-declined") == 402
    assert await window.read_notice() == "Your card was declined."
    assert await scene.find_misses(story.expect_one_checkout) == []

    await window.type("name", "Demo Person")
    await window.click("pay")
    person.arrival = window.url
    assert person.arrival.startswith(f"{scene.stack.gateway}/billing/return?session_id=cs_")
    await window.wait_for_notice(story.ACTIVE)
    assert await scene.find_misses(story.expect_active) == []

    await window.open(await actors.caller.manage(OWNER, "manage_subscription", redirect_to=person.arrival))
    bought = person.subscription
    assert await window.read_text(f"status-{bought}") == "active"
    await window.click(f"cancel-{bought}")
    await window.click("confirm-cancel")
    assert await window.read_text(f"resume-{bought}") == "Do not cancel"
    assert await scene.find_misses(story.expect_cancelling_everywhere) == []
    await window.click("return")
    assert (window.url, await window.read_notice()) == (person.arrival, story.ACTIVE)

    await story.let_a_month_pass(actors, person)
    assert await scene.find_misses(story.expect_canceled) == []
    await window.open(person.arrival)
    assert await window.read_notice() == story.OVER
    await window.open(await actors.caller.manage(OWNER, "manage_subscription"))
    assert await window.read_text("no-subscriptions") == "There is none."


async def test_the_page_to_come_back_to_tells_by_itself_of_a_payment_that_comes_later(scene: Scene) -> None:
    owner = {"kind": "fxa_id", "value": "who-pays-later"}
    await scene.send_to_checkout(owner)
    checkout = scene.window.url
    await scene.window.click("pay-later")
    await scene.window.wait_for_notice(PENDING)
    assert (await scene.find_bought(owner))["status"] == "incomplete"

    await scene.actors.browser.open(checkout)
    await scene.actors.browser.click("payment-succeed")
    await scene.window.wait_for_notice(story.ACTIVE)
    assert (await scene.find_bought(owner))["status"] == "active"


async def test_a_person_takes_a_cancellation_back_and_pays_by_another_card(scene: Scene) -> None:
    owner, window = {"kind": "fxa_id", "value": "who-stays"}, scene.window
    await scene.send_to_checkout(owner)
    await window.click("pay")
    await window.wait_for_notice(story.ACTIVE)
    given = (await scene.find_bought(owner))["id"]

    await window.open(await scene.actors.caller.manage(owner, "manage"))
    await window.click(f"cancel-{given}")
    await window.click("confirm-cancel")
    assert (await scene.find_bought(owner))["cancel_at"] is not None
    await window.click(f"resume-{given}")
    assert (await scene.find_bought(owner))["cancel_at"] is None

    await window.click("update-payment-method")
    assert await window.click("save-declined") == 402
    assert await window.read_notice() == "Your card was declined."
    await window.type("card-number", "5555555555554444")
    await window.click("save-card")
    assert await window.read_text("payment-method") == "mastercard ending in 4444"
