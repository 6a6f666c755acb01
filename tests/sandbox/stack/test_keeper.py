import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mainstem.sandbox.servers.process import Child, ServerError
from mainstem.sandbox.stack.keeper import Keeper, KeptServer, together

pytestmark = pytest.mark.alone

REPORTS: list[str] = []


class Ending:
    """A server that counts its starts, and ends after each."""

    def __init__(self, log: Path, *, starts_well: bool) -> None:
        self.child = Child("ending", [sys.executable, "-c", "raise SystemExit(7)"], log=log)
        self.starts = 0
        self._starts_well = starts_well

    async def start(self) -> None:
        self.starts += 1
        self.child.start()
        await self.child.wait()
        if not self._starts_well:
            raise ServerError("it ended at once")

    async def stop(self, *, timeout_seconds: float = 2.0) -> None:
        await self.child.stop(timeout_seconds=timeout_seconds)

    async def crash(self) -> None:
        await self.child.kill()


@pytest.fixture
async def keeper() -> AsyncIterator[Keeper]:
    REPORTS.clear()
    keeper = Keeper(lambda name, state: REPORTS.append(f"{name}: {state}"))
    yield keeper
    await keeper.release()


@pytest.mark.parametrize("starts_well", [True, False])
async def test_a_server_that_ends_is_started_again_ever_more_slowly(
    keeper: Keeper, tmp_path: Path, starts_well: bool
) -> None:
    server: KeptServer = Ending(tmp_path / "log", starts_well=starts_well)
    server.child.start()
    keeper.keep("it", server)
    await asyncio.sleep(1.2)
    ends = [report for report in REPORTS if "ended with code 7" in report]
    assert ends[:2] == [
        "it: ended with code 7; starting it again in 0.2 s",
        "it: ended with code 7; starting it again in 0.4 s",
    ]
    assert len(ends) <= 3
    assert ("it: ready" in REPORTS) == starts_well
    assert ("it: it ended at once" in REPORTS) != starts_well


async def test_a_server_that_was_released_is_not_started_again(keeper: Keeper, tmp_path: Path) -> None:
    server = Ending(tmp_path / "log", starts_well=True)
    server.child.start()
    keeper.keep("it", server)
    await keeper.release("it")
    assert await server.child.wait() == 7
    await asyncio.sleep(0.4)
    assert server.starts == 0
    await keeper.release("it", "unknown")


async def test_the_first_failure_ends_what_else_is_being_done() -> None:
    ended = asyncio.Event()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ServerError("broken")

    async def take_long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(ServerError, match="broken"):
        await together(take_long(), fail())
    assert ended.is_set()


async def test_results_come_in_the_order_of_the_work() -> None:
    async def answer(number: int, delay_seconds: float) -> int:
        await asyncio.sleep(delay_seconds)
        return number

    assert await together(answer(1, 0.02), answer(2, 0)) == [1, 2]
