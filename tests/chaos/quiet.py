"""Waiting for quiet: every process is back, nothing is on its way, and no retry waits any more."""

import asyncio
from datetime import datetime, timedelta

import httpx
from tests.chaos.control import Control, Json
from tests.chaos.faults import until_quiet_at_acoustic

from mainstem.sandbox.stack.folder import Stack

PATIENCE_SECONDS = 300.0
"""Leases of who was killed last for a minute, and so do what their successors confirm."""

LOOK_SECONDS = 2.0
LEEWAY_SECONDS = 60.0
"""How far the clock moves beyond the first retry: the others of its time are due within that."""

AT_WORK = (
    *("webhooks_pending", "events_leased", "events_due", "outbox_unsettled"),
    *("deliveries_leased", "deliveries_due"),
)


class NotQuietError(Exception):
    """It did not become quiet; the text says what is still outstanding."""


async def until_ready(stack: Stack) -> None:
    """Return once every process says that it can work.

    Raises:
        TimeoutError: one does not.
    """
    bases = [stack.gateway, stack.ingest, stack.sync, stack.billing, *stack.workers.values()]
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http, asyncio.timeout(PATIENCE_SECONDS):
        for base in bases:
            while not await _is_ready(http, base):  # noqa: ASYNC110 -- another process sets no event of ours
                await asyncio.sleep(0.25)


async def _is_ready(http: httpx.AsyncClient, base: str) -> bool:
    try:
        return (await http.get(f"{base}/__heartbeat__")).is_success
    except httpx.TransportError:
        return False


async def until_quiet(control: Control) -> Json:
    """Return the counts once nothing is outstanding; the clock moves to the retries that wait.

    Raises:
        NotQuietError: something still is after five minutes.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        counts = await _settled(control)
        if counts is None:
            continue
        if counts["settled"]:
            return counts
        if counts["next_due_at"] and not any(counts[name] for name in AT_WORK):
            # Only then: what is late on its way must not arrive after it was confirmed.
            await until_quiet_at_acoustic(control)
            await _move_to(control, datetime.fromisoformat(counts["next_due_at"]))
    raise NotQuietError(f"still outstanding: {counts}")


async def _settled(control: Control) -> Json | None:
    """Return the counts, None while the database cannot say."""
    try:
        return await control.settled(LOOK_SECONDS)
    except httpx.HTTPStatusError:
        await asyncio.sleep(0.5)
        return None


async def _move_to(control: Control, due: datetime) -> None:
    ahead = due - await control.now()
    if ahead > timedelta(0):
        await control.advance(ahead.total_seconds() + LEEWAY_SECONDS)
