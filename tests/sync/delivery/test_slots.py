import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mainstem.common.database.sessions import Database
from mainstem.sync.delivery.slots import SlotLimit, Slots, share_of

Owner = Any
LIMIT = SlotLimit("acoustic", 10, request_seconds=10.0)
MakeSlots = Callable[..., Slots]


@pytest.fixture
def make_slots(sync_database: Database) -> MakeSlots:
    def make(owner: str, limit: SlotLimit = LIMIT, seconds: float = 30.0) -> Slots:
        return Slots(sync_database, limit, owner, seconds)

    return make


async def leased(owner: Owner) -> dict[str, int]:
    rows = await owner.fetch(
        "SELECT lease_owner, count(*) FROM contact.slot WHERE lease_expires_at > clock_timestamp() GROUP BY 1"
    )
    return {row["lease_owner"]: row["count"] for row in rows}


async def test_a_worker_alone_has_all_slots(make_slots: MakeSlots, owner: Owner) -> None:
    slots = make_slots("one")
    await slots.refresh()
    await slots.refresh()
    assert slots.usable == 10
    assert await leased(owner) == {"one": 10}


async def test_workers_share(make_slots: MakeSlots, owner: Owner) -> None:
    workers = [make_slots(name) for name in ("one", "two", "three")]
    for _ in range(2):
        for slots in workers:
            await slots.refresh()
    held = await leased(owner)
    assert sum(held.values()) == 10
    assert set(held) == {"one", "two", "three"}
    assert max(held.values()) == 4


@pytest.mark.parametrize("workers", range(1, 14))
def test_shares_are_alike_and_make_up_the_whole(workers: int) -> None:
    shares = [share_of(10, workers, before) for before in range(workers)]
    assert sum(shares) == 10
    assert max(shares) - min(shares) <= 1


async def test_workers_that_start_at_once_never_hold_more_than_there_is(
    make_slots: MakeSlots, owner: Owner
) -> None:
    workers = [make_slots(f"worker-{number}") for number in range(6)]
    for _ in range(3):
        await asyncio.gather(*(slots.refresh() for slots in workers))
        assert sum(slots.usable for slots in workers) <= 10
    assert sum((await leased(owner)).values()) == sum(slots.usable for slots in workers)
    assert all(slots.usable for slots in workers)


async def test_a_slot_in_use_is_given_back_only_after_its_request(
    make_slots: MakeSlots, owner: Owner
) -> None:
    busy, late = make_slots("busy"), make_slots("late")
    await busy.refresh()
    borrowed = [await busy.borrow(1) for _ in range(10)]
    await late.refresh()
    await busy.refresh()
    assert await leased(owner) == {"busy": 10}
    assert busy.usable == 5
    for slot in borrowed[:8]:
        slot.give_back()
    await busy.refresh()
    await late.refresh()
    assert await leased(owner) == {"busy": 5, "late": 5}


async def test_no_more_is_lent_than_is_held(make_slots: MakeSlots) -> None:
    slots = make_slots("one")
    await slots.refresh()
    borrowed = [await slots.borrow(1) for _ in range(10)]
    with pytest.raises(TimeoutError):
        await slots.borrow(0.05)
    waiting = asyncio.create_task(slots.borrow(5))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    borrowed[0].give_back()
    await waiting


async def test_a_lease_too_short_for_a_request_lends_nothing(make_slots: MakeSlots) -> None:
    slots = make_slots("one", seconds=9.0)
    await slots.refresh()
    assert slots.usable == 0
    with pytest.raises(TimeoutError):
        await slots.borrow(0.05)


async def test_what_a_dead_worker_had_is_free_when_its_lease_ends(
    make_slots: MakeSlots, owner: Owner
) -> None:
    dead, alive = make_slots("dead"), make_slots("alive")
    await dead.refresh()
    await alive.refresh()
    assert await leased(owner) == {"dead": 10}
    await owner.execute("UPDATE contact.slot SET lease_expires_at = clock_timestamp() - interval '1 s'")
    await owner.execute(
        "UPDATE contact.slot_holder SET expires_at = clock_timestamp() - interval '1 s' WHERE owner = 'dead'"
    )
    await alive.refresh()
    assert await leased(owner) == {"alive": 10}
    await dead.refresh()
    assert dead.usable == 0


async def test_who_leaves_gives_everything_back(make_slots: MakeSlots, owner: Owner) -> None:
    leaving, staying = make_slots("leaving"), make_slots("staying")
    await leaving.refresh()
    await leaving.leave()
    assert leaving.usable == 0
    await staying.refresh()
    assert await leased(owner) == {"staying": 10}


async def test_a_smaller_limit_leaves_the_slots_above_it_alone(make_slots: MakeSlots, owner: Owner) -> None:
    first = make_slots("first")
    await first.refresh()
    await first.leave()
    fewer = make_slots("fewer", SlotLimit("acoustic", 3, request_seconds=10.0))
    await fewer.refresh()
    assert await leased(owner) == {"fewer": 3}


async def test_a_slot_can_be_kept_for_a_while_after_its_request(make_slots: MakeSlots) -> None:
    slots = make_slots("one", SlotLimit("acoustic", 1, request_seconds=10.0))
    await slots.refresh()
    (await slots.borrow(1)).give_back_after(0.2)
    with pytest.raises(TimeoutError):
        await slots.borrow(0.05)
    await slots.borrow(1)
