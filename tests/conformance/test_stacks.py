"""Stacks of the session: an emptied one holds nothing of the story before, and does not wait for the disk."""

from typing import Any

import pytest
from tests.conformance.run import Stacks

from mainstem.sandbox.demo import story
from mainstem.sandbox.demo.actors import Actors, open_actors
from mainstem.sandbox.demo.expectations import OWNER, Person

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

FAULT = {"target": "acoustic", "kind": "delay", "delay_seconds": 0.1, "remaining": None}
ROWS = """
SELECT (SELECT count(*) FROM stripe.price) + (SELECT count(*) FROM contact.contact)
     + (SELECT count(*) FROM inbox.event) + (SELECT count(*) FROM billing.account)
"""


async def _begin(actors: Actors) -> None:
    """Put a plan on sale, and send a person who is a contact to its checkout."""
    person = Person()
    await actors.caller.authorise()
    await story.create_contact(actors, person)
    await story.put_on_sale(actors, person)
    await actors.world.settle()
    await story.go_to_checkout(actors, person)


async def _held(actors: Actors) -> list[Any]:
    """Return what Stripe, Acoustic and the fault rules hold."""
    stripe = (await actors.world.http.get("/_sandbox/stripe")).json()
    acoustic = await actors.world.acoustic()
    faults = (await actors.world.http.get("/_sandbox/faults")).json()
    kinds = [stripe.get(kind, []) for kind in ("customer", "price", "checkout.session")]
    return [one for held in (*kinds, acoustic["main"], faults["faults"]) for one in held]


async def test_emptied_stack_holds_nothing_and_sells_a_price_that_is_made_after_it(stacks: Stacks) -> None:
    async with open_actors(await stacks.empty()) as actors:
        await _begin(actors)
        await actors.world.http.post("/_sandbox/faults", json=FAULT)
        assert len(await _held(actors)) == 5
    async with open_actors(await stacks.empty()) as actors:
        assert await _held(actors) == []
        assert await actors.database.fetchval(ROWS) == 0
        await _begin(actors)
        assert await actors.caller.find_customer(OWNER)


async def test_stack_that_need_not_be_durable_does_not_wait_for_the_disk(stacks: Stacks) -> None:
    assert await (await stacks.stage()).tables.fetchval("SHOW fsync") == "off"
