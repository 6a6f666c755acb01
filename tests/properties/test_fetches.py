"""In fetch mode the end is what Stripe holds, whatever happens in between.

Stripe's stand-in is the truth. It changes while workers look at it, events come late, twice or the last
first, workers die with what they hold, and some commit what they fetched long after others did.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fetch_world import FetchWorld, mirrored, open_fetch_world
from held import Held
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)
from ingest_bench import Ingest, empty, open_ingest
from properties import BOUNDED, examples
from servers import Database

from mainstem.sandbox.stand_ins.faults import Fault, Kind

# The SDK hands httpx its form in a way that httpx deprecates; only the shop posts any.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

T = TypeVar("T")
Segments = dict[tuple[str, str], str]

OWNERS = st.sampled_from(["fxa-1", "fxa-2", ""])
COMMIT = 3
"""A pipeline's transactions in fetch mode: the claim, `as_of`, then the commit of stops 4 to 6."""


class Runner:
    """Runs coroutines on a loop of its own, since hypothesis' state machines are no coroutines."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def __call__(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)


class Fetching(RuleBasedStateMachine):
    """A shop at Stripe, its events on their way, and workers that fetch."""

    customers = Bundle("customers")
    subscriptions = Bundle("subscriptions")
    slow = Bundle("slow")

    def __init__(self, run: Runner, ingest: Ingest, stripe: FetchWorld) -> None:
        super().__init__()
        self.run, self.ingest, self.stripe, self.shop = run, ingest, stripe, stripe.shop
        self.sdk = self.shop.sdk.v1
        self.recorded: set[bytes] = set()
        self.late: list[tuple[Held, asyncio.Task[int]]] = []
        self.owners: dict[str, set[str]] = {}
        self.left_behind: set[str] = set()
        self.prices: list[str] = []

    @initialize()
    def open(self) -> None:
        async def opened() -> None:
            await empty(self.ingest)
            await self.stripe.world.stand_in.reset()
            self.prices = [(await self.shop.price(amount)).id for amount in (100, 200)]

        self.run(opened())

    @rule(target=customers, owner=OWNERS)
    def a_customer_comes(self, owner: str) -> str:
        async def come() -> str:
            customer = await self.sdk.customers.create_async({"description": owner})
            await self.shop.pay_with(customer.id, "pm_card_visa")
            self.owners[customer.id] = {owner}
            return customer.id

        return self.run(come())

    @rule(customer=customers, owner=OWNERS)
    def a_customer_is_somebody_elses(self, customer: str, owner: str) -> None:
        self.owners[customer].add(owner)
        self.run(self.sdk.customers.update_async(customer, {"description": owner}))

    @rule(customer=consumes(customers))
    def a_customer_goes(self, customer: str) -> None:
        """Delete a customer: whose it was is known only to a mirror that saw it before."""
        self.left_behind |= self.owners[customer]
        self.run(self.sdk.customers.delete_async(customer))

    @rule(target=subscriptions, customer=customers, price=st.integers(0, 1))
    def somebody_subscribes(self, customer: str, price: int) -> str:
        subscription = self.run(self.shop.subscription(customer=customer, price=self.prices[price]))
        return subscription.id

    @rule(subscription=subscriptions, at_period_end=st.booleans())
    def somebody_may_leave(self, subscription: str, at_period_end: bool) -> None:
        if self._is_live(subscription):
            params: Any = {"cancel_at_period_end": at_period_end}
            self.run(self.sdk.subscriptions.update_async(subscription, params))

    @rule(subscription=subscriptions)
    def somebody_leaves(self, subscription: str) -> None:
        if self._is_live(subscription):
            self.run(self.sdk.subscriptions.cancel_async(subscription))

    @rule(price=st.integers(0, 1), note=st.sampled_from("ab"))
    def a_price_changes(self, price: int, note: str) -> None:
        self.run(self.sdk.prices.update_async(self.prices[price], {"metadata": {"note": note}}))

    @rule()
    def a_month_passes(self) -> None:
        self.run(self.stripe.world.move_to(self.stripe.world.now + 31 * 86_400))

    @rule(data=st.data())
    def some_events_arrive(self, data: st.DataObject) -> None:
        """Record a few of all events so far, some of them perhaps again."""
        signed = self.stripe.signed()
        numbers = st.lists(st.integers(0, len(signed) - 1), min_size=1, max_size=6)
        some = [signed[number] for number in data.draw(numbers)]
        self.recorded |= set(some)
        self.run(self.ingest.record(*some))

    @rule()
    def the_latest_event_arrives(self) -> None:
        latest = self.stripe.signed()[-1]
        self.recorded.add(latest)
        self.run(self.ingest.record(latest))

    @rule(limit=st.integers(1, 4), workers=st.integers(1, 3))
    def workers_work(self, limit: int, workers: int) -> None:
        async def work() -> None:
            await asyncio.gather(*(self._pipeline(f"worker-{n}", limit).work() for n in range(workers)))

        self.run(work())

    @rule(limit=st.integers(1, 4), dies=st.booleans())
    def a_worker_fetches_and_commits_late(self, limit: int, dies: bool) -> None:
        """Let a worker come up to its commit; its lease has run out by then, if it dies."""

        async def begin() -> None:
            held = Held(self.ingest.pool, COMMIT, before=True)
            source = self.stripe.source(held, limit)
            pipeline = self.ingest.pipeline(
                source, database=held, owner="slow", lease_seconds=0.0 if dies else 600.0
            )
            task = asyncio.create_task(pipeline.work())
            reached = asyncio.create_task(held.reached.wait())
            await asyncio.wait({task, reached}, return_when=asyncio.FIRST_COMPLETED)
            reached.cancel()
            self.late.append((held, task))

        self.run(begin())

    @rule()
    def the_first_late_worker_commits(self) -> None:
        if self.late:
            self.run(self._commit(*self.late.pop(0)))

    @rule(status=st.sampled_from([429, 500]))
    def stripe_fails_once(self, status: int) -> None:
        self.stripe.world.faults.add(Fault("stripe", Kind.STATUS, method="GET", status=status))

    def teardown(self) -> None:
        try:
            if self.prices:
                self.run(self._settle())
                self.run(self._compare())
        finally:
            self.run(self._end())

    async def _settle(self) -> None:
        """Let whoever is late commit, every event arrive, and everything be worked off, retries included."""
        await self._end()
        self.stripe.world.faults.clear()
        await self.ingest.record(*(one for one in self.stripe.signed() if one not in self.recorded))
        for _ in range(3):
            await asyncio.gather(*(self._drain(f"worker-{n}") for n in range(2)))
            self.ingest.clock.time += timedelta(hours=2)

    async def _compare(self) -> None:
        assert set((await self.ingest.statuses()).values()) <= {"done", "ignored"}
        assert await mirrored(self.ingest) == self.stripe.truth()
        assert self._of_the_others(await self.ingest.segments()) == self._of_the_others(
            self.stripe.segments()
        )

    def _of_the_others(self, segments: Segments) -> Segments:
        return {key: segment for key, segment in segments.items() if key[0] not in self.left_behind}

    async def _end(self) -> None:
        while self.late:
            await self._commit(*self.late.pop(0))

    async def _commit(self, held: Held, task: "asyncio.Task[int]") -> None:
        held.released.set()
        await task

    async def _drain(self, name: str) -> None:
        while await self._pipeline(name, 3).work():
            pass

    def _pipeline(self, name: str, limit: int) -> Any:
        return self.ingest.pipeline(self.stripe.source(self.ingest.pool, limit), owner=name)

    def _is_live(self, subscription: str) -> bool:
        return any(
            one["id"] == subscription and one["status"] != "canceled"
            for one in self.stripe.world.stand_in.holds()["subscription"]
        )


def test_the_mirror_ends_as_stripe_is(module_database: Database, tmp_path: Path) -> None:
    # With a loop factory the runner leaves the session's loop in its place.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        run, stack = Runner(runner), AsyncExitStack()
        ingest = run(stack.enter_async_context(open_ingest(module_database)))
        stripe = run(stack.enter_async_context(open_fetch_world(tmp_path)))
        try:
            run_state_machine_as_test(
                lambda: Fetching(run, ingest, stripe),  # type: ignore[arg-type]  # it takes any factory
                settings=settings(BOUNDED, max_examples=examples(35), stateful_step_count=30),
            )
        finally:
            run(stack.aclose())
