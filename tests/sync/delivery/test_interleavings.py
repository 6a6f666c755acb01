"""Rules of delivering whose failing interleaving stands in no other test."""

from contextlib import suppress
from typing import Any

import pytest
from acoustic_calls import ACCOUNT
from held import Failing
from sync_world import People

from mainstem.common.database.sessions import Database
from mainstem.common.http.calls.client import open_client
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.world.clock import MovableClock
from mainstem.sync.delivery.deliver import LEASE_SECONDS, MARGIN_SECONDS, Deliverer
from mainstem.sync.delivery.relay import Relay
from mainstem.sync.delivery.slots import SlotLimit, Slots
from mainstem.sync.platforms.acoustic.platform import NAME, Acoustic
from mainstem.sync.platforms.acoustic.tokens import AcousticAccount

Owner = Any


@pytest.mark.parametrize("broken", [1, 2, 3])
async def test_a_relay_that_breaks_at_any_commit_loses_no_mark(
    people: People, sync_database: Database, clock: MovableClock, owner: Owner, broken: int
) -> None:
    email_id = await people.add()
    await people.announce("fan")
    failing = Failing(sync_database, {broken: ConnectionResetError()})
    with suppress(ConnectionResetError):
        await Relay(failing, ("acoustic",), clock, "broken", lambda: None).work()
    await owner.execute("UPDATE outbox.entry SET lease_expires_at = clock_timestamp() - interval '1 s'")
    await Relay(sync_database, ("acoustic",), clock, "next", lambda: None).work()
    assert (await people.delivery(email_id))["wanted"] == 2
    assert await owner.fetchval("SELECT count(*) FROM outbox.entry WHERE settled_at IS NULL") == 0


async def test_no_request_starts_that_might_outlive_its_lease(
    people: People,
    sync_database: Database,
    acoustic: AcousticStandIn,
    acoustic_base: str,
    clock: MovableClock,
) -> None:
    """A request may take so long that another worker could hold the delivery before it ends."""
    email_id = await people.add()
    seconds = LEASE_SECONDS - MARGIN_SECONDS + 1
    slots = Slots(sync_database, SlotLimit(NAME, 1, request_seconds=1.0), "worker")
    await slots.refresh()
    account = AcousticAccount(
        client_id=ACCOUNT.client_id,
        client_secret=ACCOUNT.client_secret,
        refresh_token=ACCOUNT.refresh_token,
        main_table=ACCOUNT.main_table_id,
        product_table=ACCOUNT.product_table_id,
    )
    async with open_client(NAME, base_url=acoustic_base, timeout_seconds=seconds, connections=1) as client:
        platform = Acoustic(client, account, timeout_seconds=seconds, deletes_vanished=True)
        deliverer = Deliverer(sync_database, platform, slots, clock, "worker", on_due=lambda: None)
        assert await deliverer.work() == 1
        await deliverer.finish()
    assert [call["operation"] for call in acoustic.received()] == ["token"]
    delivery = await people.delivery(email_id)
    assert (delivery["sent"], delivery["failures"], delivery["lease_token"]) == (0, 0, None)
