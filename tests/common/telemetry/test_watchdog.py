import asyncio
import re
import time
from typing import Any

from structlog.testing import capture_logs

from mainstem.common.telemetry.watchdog import open_watchdog


def hold_the_loop(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        re.fullmatch(r"a*b", "a" * 1_000)


async def test_code_that_holds_the_loop_is_named_with_its_duration() -> None:
    with capture_logs() as logged:
        async with open_watchdog():
            await asyncio.sleep(0.1)
            hold_the_loop(0.4)
            await asyncio.sleep(0.1)
    held = [entry for entry in logged if entry["event"] == "loop.blocked"]
    assert any("test_watchdog.py:hold_the_loop" in entry["frames"] for entry in held)
    assert max(entry["duration_ms"] for entry in held) >= 300


async def test_our_own_code_is_named_before_the_library_that_it_calls() -> None:
    own: dict[str, Any] = {"__name__": "mainstem.example", "hold": hold_the_loop}
    exec(compile("def parse():\n    hold(0.4)\n", "example.py", "exec"), own)
    with capture_logs() as logged:
        async with open_watchdog():
            await asyncio.sleep(0.1)
            own["parse"]()
            await asyncio.sleep(0.1)
    assert "example.py:parse" in [entry.get("where") for entry in logged]


async def test_code_that_lets_the_loop_go_is_not_named() -> None:
    with capture_logs() as logged:
        async with open_watchdog():
            await asyncio.sleep(0.2)
    assert [entry for entry in logged if entry.get("where", "").startswith("test_watchdog")] == []
