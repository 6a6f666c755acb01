"""The first story in a browser: somebody buys, comes back, opens the portal, and cancels."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from chromium import Window, find_chromium, open_chromium

from mainstem.sandbox.assembly import Options
from mainstem.sandbox.demo import story
from mainstem.sandbox.demo.actors import Actors, open_actors
from mainstem.sandbox.demo.expectations import OWNER, Expectation, Person
from mainstem.sandbox.launcher import Launcher
from mainstem.sandbox.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]


@dataclass
class Scene:
    """A stack on which a plan is on sale, and a person whom the application has sent to checkout."""

    stack: Stack
    actors: Actors
    person: Person
    window: Window


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    program = find_chromium()
    person = Person()
    async with Launcher(Options()) as stack, open_actors(stack) as actors:
        for prepare in (story.ask_for_a_token, story.create_contact, story.put_on_sale, story.go_to_checkout):
            await prepare(actors, person)
        async with open_chromium(program, tmp_path) as window:
            yield Scene(stack, actors, person, window)


async def agreed(scene: Scene, expect: story.Expect) -> Sequence[Expectation]:
    """Return what does not hold once all is settled."""
    await scene.actors.world.settle()
    return [one for one in await expect(scene.actors, scene.person) if not one.holds]


async def test_a_person_buys_returns_and_cancels_and_everybody_agrees_at_each_step(scene: Scene) -> None:
    actors, person, window = scene.actors, scene.person, scene.window

    await window.open(person.checkouts[0])
    assert await window.read_heading() == "Subscribe to Mainstem Demo"
    await window.click("pay-declined")
    assert (window.status, await window.read_notice()) == (402, "Your card was declined.")
    assert await agreed(scene, story.expect_one_checkout) == []

    await window.type("name", "Demo Person")
    await window.click("pay")
    person.arrival = await window.read_url()
    assert person.arrival.startswith(f"{scene.stack.gateway}/billing/return?session_id=cs_")
    await window.wait_for_notice(story.ACTIVE)
    assert await agreed(scene, story.expect_active) == []

    await window.open(await actors.caller.manage(OWNER, "manage_subscription", redirect_to=person.arrival))
    bought = person.subscription
    assert await window.find_text(f"status-{bought}") == "active"
    await window.click(f"cancel-{bought}")
    await window.click("confirm-cancel")
    assert await window.find_text(f"resume-{bought}") == "Do not cancel"
    assert await agreed(scene, story.expect_cancelling_everywhere) == []
    await window.click("return")
    assert (await window.read_url(), await window.read_notice()) == (person.arrival, story.ACTIVE)

    await story.let_a_month_pass(actors, person)
    assert await agreed(scene, story.expect_canceled) == []
    await window.open(person.arrival)
    assert await window.read_notice() == story.OVER
    await window.open(await actors.caller.manage(OWNER, "manage_subscription"))
    assert await window.find_text("no-subscriptions") == "There is none."

    assert window.origins == {scene.stack.gateway, scene.stack.sandbox}
