"""Whatever Stripe's address answers, no subscription is buried, and right answers end in a right mirror."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from false_answers import HTML, MISSING, OBJECTS, OTHERS, RESTRICTED, UNRECOGNIZED, answer
from fetch_world import FetchWorld, mirrored, open_fetch_world
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import BOUNDED, examples

from mainstem.ingest.accounts.storage import ProviderAccount, accept, agree
from mainstem.sandbox.stand_ins.faults import Fault, Kind

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

RIGHT, CUT, OTHER = "right", "cut", "other object"
ANSWERS: dict[str, tuple[int, str]] = {
    "missing": (404, MISSING),
    "unrecognized": (404, UNRECOGNIZED),
    "page 404": (404, HTML),
    "page 403": (403, HTML),
    "refused": (403, RESTRICTED),
    "page": (200, HTML),
    "null": (200, "null"),
}
OBJECT = st.sampled_from([RIGHT, CUT, OTHER, *ANSWERS])
ACCOUNT = st.sampled_from([RIGHT, "other account", "page 404", "refused"])
ROUND = st.tuples(st.lists(OBJECT, min_size=8, max_size=8), ACCOUNT)


@pytest.fixture
async def stripe(tmp_path: Path) -> AsyncIterator[FetchWorld]:
    async with open_fetch_world(tmp_path) as opened:
        yield opened


@settings(BOUNDED, max_examples=examples(25))
@given(rounds=st.lists(ROUND, min_size=1, max_size=4), deletes=st.booleans(), is_known=st.booleans())
async def test_any_answers_end_with_the_mirror_right_and_bury_no_subscription(
    ingest: Ingest,
    stripe: FetchWorld,
    rounds: Sequence[tuple[list[str], str]],
    deletes: bool,
    is_known: bool,
) -> None:
    objects = await _begin(ingest, stripe, is_known=is_known)
    for number, (answers, account) in enumerate(rounds):
        for (kind, object_id), name in zip(objects, answers, strict=False):
            _script(stripe, kind, object_id, name)
        _script_account(stripe, account)
        await _work(ingest, stripe, objects, number)
        assert not any(row["deleted"] for row in await ingest.table("subscription"))
        stripe.world.faults.clear()
    if deletes:
        await stripe.shop.sdk.v1.customers.delete_async(objects[0][1])
    async with ingest.pool.transaction() as connection:
        await accept(connection, "stripe", "default", None)
    await _work(ingest, stripe, objects, len(rounds))
    assert set((await ingest.statuses()).values()) <= {"done", "ignored"}
    assert await mirrored(ingest) == stripe.truth()


async def _begin(ingest: Ingest, stripe: FetchWorld, *, is_known: bool) -> list[tuple[str, str]]:
    """Sell two subscriptions in a world that begins anew; return all objects."""
    await empty(ingest)
    stripe.world.faults.clear()
    await stripe.world.stand_in.reset()
    async with ingest.pool.transaction() as connection:
        await agree(connection, "stripe", [ProviderAccount("default", (), "sk_test_1")])
    first = await stripe.shop.subscription()
    await stripe.shop.subscription(customer=str(first.customer))
    objects = [(kind, given) for kind, held in stripe.truth().items() if kind in OBJECTS for given in held]
    if is_known:
        await _work(ingest, stripe, objects, -1)
    return objects


async def _work(ingest: Ingest, stripe: FetchWorld, objects: Sequence[tuple[str, str]], number: int) -> None:
    """Record an event of each object, and work off what is due, retries too."""
    await ingest.record(*(_hint(kind, given, number) for kind, given in objects))
    pipeline = ingest.pipeline(stripe.source(ingest.pool), failures_to_dead=1)
    while await pipeline.work():
        pass
    ingest.clock.move(hours=2)


def _hint(kind: str, object_id: str, number: int) -> bytes:
    name = "customer.subscription" if kind == "subscription" else kind
    one = f"evt_{object_id}_{number}"
    return events.event(f"{name}.updated", {"id": object_id, "object": kind}, one=one)


def _script(stripe: FetchWorld, kind: str, object_id: str, name: str) -> None:
    path = f"/{object_id}$"
    if name == CUT:
        stripe.world.faults.add(Fault("stripe", Kind.TRUNCATE, path=path, remaining=None))
    elif name == OTHER:
        stripe.world.faults.add(answer(path, 200, json.dumps(OBJECTS[kind]), remaining=None))
    elif name != RIGHT:
        stripe.world.faults.add(answer(path, *ANSWERS[name], remaining=None))


def _script_account(stripe: FetchWorld, name: str) -> None:
    if name != RIGHT:
        another = json.dumps({"id": OTHERS, "object": "account"})
        given: Any = ANSWERS.get(name, (200, another))
        stripe.world.faults.add(answer("^/v1/account$", *given, remaining=None))
