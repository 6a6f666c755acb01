"""Deliveries that last long, and deliveries that end their workers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from acoustic_calls import ACCOUNT
from deliveries import MAIN
from servers import Database as OwnDatabase
from sync_world import MakeWorker, People, Worker

from mainstem.common.database.sessions import Database
from mainstem.common.http.calls.client import open_client
from mainstem.common.queue.lease import Lease
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sync.delivery import leases
from mainstem.sync.delivery import storage as deliveries
from mainstem.sync.delivery.batching import DeliveryStore
from mainstem.sync.delivery.deliver import MARGIN_SECONDS, Deliverer
from mainstem.sync.delivery.marks import SUSPICIOUS_CLAIMS
from mainstem.sync.delivery.slots import SlotLimit, Slots
from mainstem.sync.delivery.storage import ClaimedDelivery
from mainstem.sync.platforms.acoustic.platform import NAME, Acoustic
from mainstem.sync.platforms.acoustic.tokens import AcousticAccount
from mainstem.sync.platforms.protocol import PlatformRequest

Owner = Any
SUSPECT = f"UPDATE contact.delivery SET claims = {SUSPICIOUS_CLAIMS} WHERE contact_id = $1"


async def claim(database: Database, clock: MovableClock, seconds: float) -> ClaimedDelivery:
    async with database.transaction() as connection:
        (one,) = await deliveries.claim(connection, "acoustic", Lease("worker", seconds), clock.now(), 1)
    return one


async def test_only_who_holds_a_delivery_renews_it(
    people: People, sync_database: Database, clock: MovableClock
) -> None:
    email_id = await people.add()
    lost, held = await claim(sync_database, clock, 0.0), await claim(sync_database, clock, 5.0)
    before = await people.delivery(email_id)
    async with sync_database.transaction() as connection:
        assert not await leases.renew(connection, lost)
        assert await leases.renew(connection, held)
    after = await people.delivery(email_id)
    assert after["lease_expires_at"] > before["lease_expires_at"]
    assert after["lease_token"] == held.lease.token


class Platform(Acoustic):
    """Acoustic, where something happens after the first request."""

    after: Callable[[], Awaitable[None]]

    async def send(self, request: PlatformRequest) -> None:
        await super().send(request)
        after, self.after = self.after, nothing
        await after()


async def nothing() -> None:
    pass


@pytest.fixture
async def hurried(
    sync_database: Database, acoustic_base: str, clock: MovableClock
) -> AsyncIterator[tuple[Deliverer, Platform]]:
    """A deliverer whose lease has room for one request at a time, and its platform."""
    slots = Slots(sync_database, SlotLimit(NAME, 1, request_seconds=1.0), "worker")
    await slots.refresh()
    account = AcousticAccount(
        client_id=ACCOUNT.client_id,
        client_secret=ACCOUNT.client_secret,
        refresh_token=ACCOUNT.refresh_token,
        main_table=ACCOUNT.main_table_id,
        product_table=ACCOUNT.product_table_id,
    )
    async with open_client(NAME, base_url=acoustic_base, timeout_seconds=2.0, connections=1) as client:
        platform = Platform(client, account, timeout_seconds=2.0, deletes_vanished=True)
        platform.after = nothing
        yield (
            Deliverer(
                sync_database,
                platform,
                slots,
                clock,
                "worker",
                on_due=lambda: None,
                lease_seconds=2.0 + MARGIN_SECONDS + 1.5,
            ),
            platform,
        )


async def test_a_contact_with_more_requests_than_fit_a_lease_is_delivered(
    people: People, hurried: tuple[Deliverer, Platform], acoustic: AcousticStandIn, faults: Faults
) -> None:
    deliverer, _ = hurried
    email_id = await people.add()
    for number in range(401):
        await people.subscribe("fan", f"prod_{number:03}")
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.6, remaining=None))
    assert await deliverer.work() == 1
    await deliverer.finish()
    assert len(acoustic.holds()["product"][email_id]) == 401
    delivery = await people.delivery(email_id)
    assert (delivery["sent"], delivery["failures"], delivery["claims"]) == (1, 0, 0)


async def test_a_hold_that_is_lost_between_two_requests_ends_the_delivery(
    people: People, hurried: tuple[Deliverer, Platform], owner: Owner
) -> None:
    deliverer, platform = hurried
    email_id = await people.add()
    await people.subscribe("fan")

    async def lose() -> None:
        await owner.execute("UPDATE contact.delivery SET lease_token = gen_random_uuid()")

    platform.after = lose
    await deliverer.work()
    await deliverer.finish()
    assert await people.log(email_id) == [MAIN]
    assert (await people.delivery(email_id))["sent"] == 0


async def test_what_is_given_back_has_not_been_claimed(
    people: People, sync_database: Database, clock: MovableClock
) -> None:
    email_id = await people.add()
    one = await claim(sync_database, clock, 60.0)
    assert (await people.delivery(email_id))["claims"] == 1
    await DeliveryStore(sync_database, "acoustic", clock).give_back(one, ())
    assert (await people.delivery(email_id))["claims"] == 0


async def test_a_suspect_delivery_is_not_claimed_with_others(
    people: People, sync_database: Database, clock: MovableClock, owner: Owner
) -> None:
    suspect, other = [UUID(await people.add(name)) for name in ("suspect", "other")]
    await owner.execute(SUSPECT, suspect)
    lease = Lease("worker", 60.0)
    async with sync_database.transaction() as connection:
        claimed = await deliveries.claim(connection, "acoustic", lease, clock.now(), 9)
        alone = await leases.claim_suspect(connection, "acoustic", lease, clock.now())
    assert [one.contact_id for one in claimed] == [other]
    assert [one.contact_id for one in alone] == [suspect]


async def test_a_delivery_whose_claims_came_to_nothing_runs_alone(
    people: People, worker: Worker, acoustic: AcousticStandIn, owner: Owner, faults: Faults
) -> None:
    ids = [await people.add(f"fan-{number}") for number in range(4)]
    await owner.execute(SUSPECT, ids[1])
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.2, remaining=3))
    assert await worker.deliverer.work() == 4
    await worker.deliverer.finish()
    calls = [call for call in acoustic.received() if call["operation"] == "AddRecipient"]
    assert len(calls) == 4
    (last,) = await owner.fetch("SELECT contact_id FROM contact.delivery_log ORDER BY id DESC LIMIT 1")
    assert str(last["contact_id"]) == ids[1]
    assert [(await people.delivery(one))["claims"] for one in ids] == [0] * 4


async def test_a_delivery_that_ends_its_worker_again_and_again_waits_longer_each_time(
    people: People, sync_database: Database, clock: MovableClock, owner: Owner
) -> None:
    email_id = await people.add()
    await owner.execute(SUSPECT, email_id)
    waits = []
    for _ in range(4):
        async with sync_database.transaction() as connection:
            found = await leases.claim_suspect(connection, "acoustic", Lease("dies", 0.0), clock.now())
        assert len(found) == 1
        delivery = await people.delivery(email_id)
        waits.append(delivery["due_at"] - clock.now())
        # A new mark does not shorten the wait.
        await people.patch(email_id, email={"first_name": "New"})
        assert (await people.delivery(email_id))["due_at"] == delivery["due_at"]
        async with sync_database.transaction() as connection:
            assert not await leases.has_suspect(connection, "acoustic", clock.now())
        clock.advance(waits[-1] + timedelta(seconds=1))
    assert waits == sorted(set(waits))


async def test_no_other_delivery_waits_for_a_suspect_that_cannot_be_alone_yet(
    people: People, make_worker: MakeWorker, owner: Owner, faults: Faults, database: OwnDatabase
) -> None:
    worker = await make_worker()
    suspect = await people.add("suspect")
    await owner.execute(SUSPECT, suspect)
    await people.add("fan")
    assert await asyncio.wait_for(worker.deliver(), 30) == 2
    assert (await people.delivery(suspect))["sent"] == 1


@pytest.mark.parametrize("failures", [0, 2])
async def test_failures_are_explained_claims(
    people: People, worker: Worker, owner: Owner, failures: int
) -> None:
    email_id = await people.add()
    statement = "UPDATE contact.delivery SET claims = $2, failures = $3 WHERE contact_id = $1"
    await owner.execute(statement, email_id, failures + 2, failures)
    lease = Lease("worker", 60.0)
    async with worker.deliverer._store._database.transaction() as connection:
        now = (await people.delivery(email_id))["due_at"]
        assert len(await deliveries.claim(connection, "acoustic", lease, now, 9)) == 1
