"""Accounts that hang or fail delay no other account, and nothing is lost or done twice by it."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping

import pytest
import stripe_events as events
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import BOUNDED, examples

from mainstem.ingest.pipeline.fetches import FetchSource
from mainstem.ingest.pipeline.payloads import PayloadSource
from mainstem.ingest.pipeline.run import Pipeline
from mainstem.ingest.providers.protocol import FetchError

FINE, FAILS, HANGS = "fine", "fails", "hangs"
BEHAVIOURS = st.sampled_from([FINE, FAILS, HANGS])


class Provider:
    """One account's provider: it answers, refuses, or answers nothing until it is let."""

    livemode = False

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.let = asyncio.Event()
        self.asked: dict[str, int] = defaultdict(int)

    async def fetch(self, _object_type: str, object_id: str) -> bytes | None:
        self.asked[object_id] += 1
        if self.behaviour == HANGS:
            await self.let.wait()
            raise FetchError("no answer in 10 s")
        if self.behaviour == FAILS:
            raise FetchError("Stripe answered 401")
        return json.dumps(events.customer(object_id)).encode()

    async def identity(self) -> str:
        return "acct_1"

    def connected(self, _account_id: str) -> "Provider":
        return self


def opened(ingest: Ingest, providers: Mapping[str, Provider], limit: int = 30) -> Pipeline:
    epochs = dict.fromkeys(providers, 0)
    source = FetchSource("stripe", epochs, providers, database=ingest.pool, concurrency=10, limit=limit)
    return ingest.pipeline(source)


async def record(ingest: Ingest, accounts: list[str]) -> None:
    for number, account in enumerate(accounts):
        await ingest.record(
            events.event("customer.updated", events.customer(f"cus_{number}")), account=account
        )


async def left(ingest: Ingest, accounts: list[str]) -> int:
    (row,) = await ingest.rows(
        "SELECT count(*) AS left FROM inbox.event WHERE status <> 'done' AND account = ANY($1::varchar[])",
        accounts,
    )
    return int(row["left"])


@settings(BOUNDED, max_examples=examples(15))
@given(
    behaviours=st.lists(BEHAVIOURS, min_size=1, max_size=8),
    order=st.lists(st.integers(0, 7), min_size=1, max_size=60),
    limit=st.integers(1, 30),
)
async def test_events_of_accounts_that_answer_are_done_while_others_hang(
    ingest: Ingest, behaviours: list[str], order: list[int], limit: int
) -> None:
    await empty(ingest)
    providers = {f"acct_{number}": Provider(one) for number, one in enumerate(behaviours)}
    accounts = [f"acct_{number % len(behaviours)}" for number in order]
    await record(ingest, accounts)
    fine = [name for name, one in providers.items() if one.behaviour == FINE]
    pipeline = opened(ingest, providers, limit)
    async with asyncio.timeout(60):
        # Each round may have room for one event of each account only; none waits for a fetch that hangs.
        while await left(ingest, fine):
            await pipeline.start()
            await asyncio.sleep(0)
    for one in providers.values():
        one.let.set()
        one.behaviour = FINE
    await pipeline.finish()
    # Another worker, which knows of no failures.
    another = opened(ingest, providers, limit)
    while await left(ingest, list(providers)):
        ingest.clock.move(hours=2)
        while await another.work():
            pass
    rows = await ingest.rows("SELECT account, id FROM stripe.customer")
    assert {(row["account"], row["id"]) for row in rows} == {
        (account, f"cus_{number}") for number, account in enumerate(accounts)
    }
    for name in fine:
        assert set(providers[name].asked.values()) <= {1}
    assert len(await ingest.rows("SELECT FROM stripe.revision")) == len(accounts)


async def test_what_an_account_answered_is_settled_while_another_of_the_batch_hangs(ingest: Ingest) -> None:
    providers = {"acct_a": Provider(HANGS), "acct_b": Provider(FINE)}
    await empty(ingest)
    await record(ingest, ["acct_a", "acct_b"] * 3)
    working = asyncio.create_task(opened(ingest, providers).work())
    async with asyncio.timeout(30):
        while await left(ingest, ["acct_b"]):  # noqa: ASYNC110 -- Postgres is what is waited for
            await asyncio.sleep(0.01)
    assert not working.done()
    providers["acct_a"].let.set()
    assert await working == 6


async def test_an_account_that_does_not_answer_is_asked_no_more_and_its_events_are_left_alone(
    ingest: Ingest,
) -> None:
    providers = {"acct_a": Provider(FAILS)}
    await empty(ingest)
    await record(ingest, ["acct_a"] * 40)
    pipeline = opened(ingest, providers)
    await pipeline.work()
    asked = sum(providers["acct_a"].asked.values())
    assert asked < 30
    for _ in range(5):
        ingest.clock.move(hours=2)
        assert await pipeline.work() == 0
    assert sum(providers["acct_a"].asked.values()) == asked
    rows = await ingest.rows("SELECT claims, failures FROM inbox.event WHERE failures = 0")
    assert [row["claims"] for row in rows] == [0] * 10


@pytest.mark.parametrize("many", [3_000])
async def test_a_backlog_of_one_account_does_not_delay_another_in_payload_mode(
    ingest: Ingest, many: int
) -> None:
    await empty(ingest)
    hog = [events.event("customer.updated", events.customer(f"cus_{number}")) for number in range(many)]
    await ingest.record(*hog, account="acct_a")
    await ingest.record(events.event("customer.updated", events.customer("cus_x")), account="acct_b")
    pipeline = ingest.pipeline(PayloadSource("stripe", {"acct_a": 0, "acct_b": 0}))
    await pipeline.work()
    assert await left(ingest, ["acct_b"]) == 0
    assert await left(ingest, ["acct_a"]) > many - 200
