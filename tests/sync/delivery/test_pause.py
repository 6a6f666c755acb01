import asyncio
from pathlib import Path

from sync_world import Environment, People, running_worker, until

from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.world.pause import Pause
from mainstem.sync.delivery.pause import pausable


async def test_nothing_is_delivered_while_paused_and_all_of_it_afterwards(
    people: People, environment: Environment, acoustic: AcousticStandIn, folder: Path
) -> None:
    pause = Pause(folder / "pause")
    environment = {**environment, "MAINSTEM_DELIVERY_PAUSE_FILE": str(folder / "pause")}
    async with running_worker(environment, "one"):
        first = await people.add("first")
        await until(lambda: first in acoustic.holds()["main"])
        await pause.begin()
        second = await people.add("second")
        await asyncio.sleep(2.5)
        assert second not in acoustic.holds()["main"]
        pause.end()
        await until(lambda: second in acoustic.holds()["main"])


async def test_a_pause_begins_when_the_claim_under_way_has_ended(folder: Path) -> None:
    pause, may_end = Pause(folder / "pause"), asyncio.Event()
    ended: list[str] = []

    async def claim() -> int:
        await may_end.wait()
        ended.append("claim")
        return 1

    async def begin() -> None:
        await pause.begin()
        ended.append("begin")

    claiming = asyncio.ensure_future(pausable(claim, folder / "pause")())
    await asyncio.sleep(0.05)
    pausing = asyncio.create_task(begin())
    await asyncio.sleep(0.2)
    assert ended == []
    may_end.set()
    await asyncio.gather(claiming, pausing)
    assert ended == ["claim", "begin"]
    assert await pausable(claim, folder / "pause")() == 0
    pause.end()
    assert await pausable(claim, folder / "pause")() == 1


def test_without_a_file_the_work_is_left_as_it_is() -> None:
    async def work() -> int:
        return 1

    assert pausable(work, None) is work
