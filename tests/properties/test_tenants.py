"""Every row ends under its own account, in whatever order events come and however often, with two workers."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import stripe_events as events
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty
from properties import BOUNDED, examples

from mainstem.ingest.accounts.storage import ProviderAccount
from mainstem.ingest.pipeline.fetches import FetchSource
from mainstem.ingest.pipeline.payloads import PayloadSource
from mainstem.ingest.pipeline.run import Pipeline, Source

LIVE = ProviderAccount("default", ("whsec",), None, "acct_platform", livemode=True)
TEST = ProviderAccount("sandbox", ("whsec",), None, "acct_sandbox", livemode=False)
ENDPOINTS = {"default": LIVE, "sandbox": TEST}
OWNERS = (None, "acct_platform", "acct_sandbox", "acct_live_1", "acct_live_2", "acct_test_1")
"""What an event names; a connected account is received by the one endpoint of its side's platform."""
PARENTS = {"acct_live_1": "default", "acct_live_2": "default", "acct_test_1": "sandbox"}


class Delivery(NamedTuple):
    """One event at one endpoint; every event has an object of its own, but products have ids in common."""

    endpoint: str
    owner: str | None
    number: int
    is_live: bool
    by_context: bool

    @property
    def account(self) -> str:
        """The account that the event must end at."""
        names = {"acct_platform": "default", "acct_sandbox": "sandbox"}
        return self.receiver if self.owner is None else names.get(self.owner, self.owner)

    @property
    def receiver(self) -> str:
        return PARENTS.get(self.owner or "", self.endpoint)

    @property
    def is_dead(self) -> bool:
        side = ENDPOINTS[PARENTS.get(self.account, self.account)].livemode
        return self.is_live is not side

    @property
    def event_id(self) -> str:
        return f"evt_{self.account}_{self.number}_{self.is_live}"

    def body(self) -> bytes:
        named: dict[str, Any] = (
            {"context": f"org_1/{self.owner}"} if self.by_context else {"account": self.owner}
        )
        content = events.product(f"prod_{self.number}", name=self.event_id, livemode=self.is_live)
        more = {} if self.owner is None else named
        return events.event("product.updated", content, one=self.event_id, livemode=self.is_live, **more)


DELIVERIES = st.builds(
    Delivery,
    st.sampled_from(sorted(ENDPOINTS)),
    st.sampled_from(OWNERS),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)


class Stripe:
    """A provider that answers for one account, and for those connected to it with their own objects."""

    livemode = None

    def __init__(self, account: str) -> None:
        self.account = account

    def connected(self, account_id: str) -> "Stripe":
        return Stripe(account_id)

    async def identity(self) -> str:
        return self.account

    async def fetch(self, _object_type: str, object_id: str) -> bytes | None:
        await asyncio.sleep(0)
        return json.dumps(events.product(object_id, name=f"{self.account} {object_id}")).encode()


async def prepare(ingest: Ingest, deliveries: Sequence[Delivery], *, key: str | None) -> None:
    await empty(ingest)
    for account in ENDPOINTS.values():
        await ingest.agree(
            ProviderAccount(account.name, ("whsec",), key, account.provider_id, account.livemode)
        )
    await asyncio.gather(
        *(ingest.record(one.body(), account=one.receiver, configured=sorted(ENDPOINTS)) for one in deliveries)
    )


def pipelines(ingest: Ingest, source: type[PayloadSource] | None) -> list[Pipeline]:
    epochs = dict.fromkeys(ENDPOINTS, 0)

    def opened() -> Source:
        if source is not None:
            return source("stripe", epochs)
        readers = {name: Stripe(name) for name in ENDPOINTS}
        return FetchSource("stripe", epochs, readers, database=ingest.pool, concurrency=3, limit=7)

    return [ingest.pipeline(opened(), owner=f"worker-{number}") for number in range(2)]


async def work_off(ingest: Ingest, source: type[PayloadSource] | None) -> None:
    workers = pipelines(ingest, source)
    while sum(await asyncio.gather(*(one.work() for one in workers))):
        ingest.clock.move(minutes=1)


async def names(ingest: Ingest) -> Mapping[tuple[str, str], str]:
    return {(row["account"], row["id"]): row["name"] for row in await ingest.table("product")}


def expected_dead(deliveries: Sequence[Delivery]) -> set[str]:
    return {one.event_id for one in deliveries if one.is_dead}


@settings(BOUNDED, max_examples=examples(40))
@given(deliveries=st.lists(DELIVERIES, min_size=1, max_size=25), twice=st.booleans())
async def test_every_row_ends_under_its_own_account_in_payload_mode(
    ingest: Ingest, deliveries: list[Delivery], twice: bool
) -> None:
    await prepare(ingest, deliveries * (1 + twice), key=None)
    await work_off(ingest, PayloadSource)
    assert await dead(ingest) == expected_dead(deliveries)
    assert await names(ingest) == {
        (one.account, f"prod_{one.number}"): one.event_id for one in deliveries if not one.is_dead
    }


@settings(BOUNDED, max_examples=examples(25))
@given(deliveries=st.lists(DELIVERIES, min_size=1, max_size=25), twice=st.booleans())
async def test_every_row_ends_under_its_own_account_in_fetch_mode(
    ingest: Ingest, deliveries: list[Delivery], twice: bool
) -> None:
    await prepare(ingest, deliveries * (1 + twice), key="key_without_a_side")
    await work_off(ingest, None)
    assert await dead(ingest) == expected_dead(deliveries)
    assert await names(ingest) == {
        (one.account, f"prod_{one.number}"): f"{one.account} prod_{one.number}"
        for one in deliveries
        if not one.is_dead
    }


async def dead(ingest: Ingest) -> set[str]:
    statuses = await ingest.statuses()
    assert set(statuses.values()) <= {"done", "dead"}
    return {event_id for event_id, status in statuses.items() if status == "dead"}
