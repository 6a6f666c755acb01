import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples
from sync_world import LATER, TRACE, People, Worker, until

from mainstem.common.database.sessions import Database
from mainstem.common.telemetry import spans
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sync.delivery.relay import Relay

Owner = Any

MakeRelay = Callable[[], Relay]


@pytest.fixture
def make_relay(sync_database: Database, clock: MovableClock) -> MakeRelay:
    return lambda: Relay(sync_database, ("acoustic",), clock, "test", lambda: None)


@pytest.fixture
def relay(make_relay: MakeRelay) -> Relay:
    return make_relay()


async def outstanding(owner: Owner) -> int:
    return int(await owner.fetchval("SELECT count(*) FROM outbox.entry WHERE settled_at IS NULL"))


async def test_a_hundred_changes_are_one_delivery(
    people: People, relay: Relay, worker: Worker, acoustic: AcousticStandIn, owner: Owner
) -> None:
    email_id = await people.add()
    await worker.deliver()
    await people.subscribe("fan")
    await people.announce(*["fan"] * 100)
    assert await relay.work() == 100
    assert await outstanding(owner) == 0
    assert (await people.delivery(email_id))["wanted"] == 2
    assert await worker.deliver() == 1
    assert await people.log(email_id) == [("main.upsert", "success"), ("product.upsert", "success")]
    assert list(acoustic.holds()["product"][email_id]) == ["prod_1"]


async def test_an_announcement_of_nobody_we_know_is_settled(
    people: People, relay: Relay, owner: Owner
) -> None:
    await people.announce("nobody")
    await owner.execute(
        "UPDATE outbox.entry SET key = 'unknown-kind:x' WHERE id = (SELECT max(id) FROM outbox.entry)"
    )
    await people.announce("nobody", "nobody")
    assert await relay.work() == 3
    assert await outstanding(owner) == 0
    assert await owner.fetchval("SELECT count(*) FROM contact.delivery") == 0


async def test_a_contact_that_comes_after_the_announcement_is_delivered_with_its_products(
    people: People, relay: Relay, worker: Worker, acoustic: AcousticStandIn
) -> None:
    await people.subscribe("late")
    await people.announce("late")
    await relay.work()
    email_id = await people.add("late")
    await worker.deliver()
    assert list(acoustic.holds()["product"][email_id]) == ["prod_1"]


async def test_an_owner_by_address_is_matched_whatever_its_case(
    people: People, relay: Relay, worker: Worker, acoustic: AcousticStandIn, owner: Owner
) -> None:
    email_id = await people.add("fan", email={"primary_email": "Fan@Example.com"})
    await people.subscribe("fan", owner_kind="email", owner_value="fan@example.com")
    await people.announce("fan")
    await owner.execute("UPDATE outbox.entry SET key = 'email:FAN@example.com'")
    await relay.work()
    assert (await people.delivery(email_id))["wanted"] == 2
    await worker.deliver()
    assert list(acoustic.holds()["product"][email_id]) == ["prod_1"]


async def test_two_relays_at_once_settle_each_entry_once(
    people: People, make_relay: MakeRelay, owner: Owner
) -> None:
    names = [f"fan-{number}" for number in range(4)]
    for name in names:
        await people.add(name)
    for _ in range(60):
        await people.announce(*names)
    counts = await asyncio.gather(*(make_relay().work() for _ in range(3)))
    assert sum(counts) == 240
    assert await outstanding(owner) == 0


async def test_an_entry_whose_lease_ran_out_is_relayed_again(
    people: People, relay: Relay, owner: Owner
) -> None:
    email_id = await people.add()
    await people.announce("fan")
    await owner.execute(
        "UPDATE outbox.entry SET lease_token = gen_random_uuid(), lease_expires_at = clock_timestamp()"
    )
    assert await relay.work() == 1
    assert (await people.delivery(email_id))["wanted"] == 2


async def test_a_delivery_continues_the_trace_of_the_oldest_announcement(
    people: People, relay: Relay, worker: Worker, acoustic: AcousticStandIn
) -> None:
    email_id = await people.add()
    await worker.deliver()
    await people.subscribe("fan")
    await people.announce("fan", trace=TRACE)
    await people.announce("fan", trace=LATER)
    await relay.work()
    assert (await people.delivery(email_id))["traceparents"] == [TRACE]
    await people.announce("fan", trace=LATER)
    await relay.work()
    assert (await people.delivery(email_id))["traceparents"] == [TRACE, LATER]
    await worker.deliver()
    seen = acoustic.received()[-1]["traceparent"]
    assert spans.trace_id_of(seen) == spans.trace_id_of(TRACE)


async def test_a_mark_that_arrives_during_a_delivery_has_the_next_one_in_its_trace(
    people: People, relay: Relay, worker: Worker, acoustic: AcousticStandIn, faults: Faults
) -> None:
    email_id = await people.add()
    await worker.deliver()
    for prod, trace in ("prod_1", TRACE), ("prod_2", LATER):
        await people.subscribe("fan", prod)
        await people.announce("fan", trace=trace)
        await relay.work()
        if trace == TRACE:
            faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.5))
            await worker.deliverer.work()
            await until(lambda: faults.applied() == {"acoustic": 1})
    await worker.deliverer.finish()
    assert (await people.delivery(email_id))["traceparents"] == [LATER]
    await worker.deliver()
    seen = acoustic.received()[-1]["traceparent"]
    assert spans.trace_id_of(seen) == spans.trace_id_of(LATER)


async def test_a_delivery_that_waits_keeps_few_of_its_marks_traces(people: People, relay: Relay) -> None:
    email_id = await people.add()
    for number in range(40):
        await people.announce("fan", trace=f"00-{number + 1:032x}-b7ad6b7169203331-01")
        await relay.work()
    traceparents = (await people.delivery(email_id))["traceparents"]
    kept = [int(spans.trace_id_of(one) or "", 16) for one in traceparents]
    # The contact's own write is the oldest.
    assert kept[1:] == [*range(1, 15), 40]


STEPS = st.lists(
    st.sampled_from(["subscribe", "unsubscribe", "announce", "relay", "deliver", "patch"]), max_size=14
)


@settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
async def test_whatever_the_order_the_platform_ends_with_what_is_derived(  # noqa: PLR0917 -- fixtures
    people: People, relay: Relay, worker: Worker, acoustic: AcousticStandIn, owner: Owner, steps: list[str]
) -> None:
    await owner.execute("TRUNCATE contact.contact, contact.contact_group, contact.identity, contact.delivery")
    await owner.execute("TRUNCATE subscription.product_subscription, outbox.entry")
    await acoustic.reset()
    email_id, is_subscribed = await people.add(), False
    for step in [*steps, "announce", "relay", "deliver"]:
        if step == "subscribe" and not is_subscribed:
            await people.subscribe("fan")
            is_subscribed = True
        elif step == "unsubscribe":
            await people.unsubscribe()
            is_subscribed = False
        elif step == "announce":
            await people.announce("fan", "fan")
        elif step == "relay":
            await relay.work()
        elif step == "deliver":
            await worker.deliver()
        elif step == "patch":
            await people.patch(email_id, email={"first_name": "New"})
    assert list(acoustic.holds()["product"].get(email_id, ())) == ["prod_1"] * is_subscribed
    assert acoustic.holds()["main"][email_id]["first_name"] == ("New" if "patch" in steps else "")
