"""A switch of the rule set: the comparison before it, many owners, and two releases under load."""

import asyncio
import itertools
import json
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import stripe_events as events
from held import Held
from ingest_bench import Ingest
from many_owners import find_differences, mirror_owners, rows_by_key, rule_names
from servers import Database
from stripe_events import START

from mainstem.common.errors import ConflictError, NotFoundError
from mainstem.ingest.upkeep.reports import report_activation, report_comparison

# Both numbers are of several batches of a walk; the larger one is of fifty.
OWNERS = [2_000, pytest.param(10_000, marks=pytest.mark.minutes)]
SCRIPT = Path(sys.executable).with_name("mainstem")

FEWEST = 100
"""Events that are done on each side of a switch, at least one more."""

OTHER_RELEASE = """
import msgspec
from mainstem.ingest.subscriptions import sets
changed = msgspec.structs.replace(sets.MAINSTEM, signals=(), latest="period end")
sets.SETS = {changed.name: changed}
from mainstem.ingest.commands import app
app(["work"])
"""
"""A worker of another release: it has one set only, under a name of ours and with other data."""


@pytest.fixture
async def many(ingest: Ingest, owners: int) -> Ingest:
    """Many owners, derived by CTMS's rules."""
    await mirror_owners(ingest, owners)
    await ingest.activate("ctms-1.1.0")
    return ingest


@pytest.mark.parametrize("owners", OWNERS)
async def test_comparison_lists_exactly_what_an_activation_changes(many: Ingest, owners: int) -> None:
    before, lines = await rows_by_key(many), list[Any]()
    await many.rows("DELETE FROM outbox.entry")
    await report_comparison(many.pool, "mainstem", lines.append)
    *listed, summary = lines
    assert await rows_by_key(many) == before
    written: list[Any] = []
    await report_activation(many.pool, many.clock, "mainstem", written.append)
    after = await rows_by_key(many)
    assert {(one["owner_value"], one["product_id"]): (one["from"], one["to"]) for one in listed} == {
        key: changes(before.get(key), after.get(key))
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }
    assert await rule_names(many) == {"mainstem"}
    counts = Counter(one["change"] for one in listed)
    assert min(counts.values()) > owners / 100
    assert summary == {"rules": "mainstem", "digest": summary["digest"], "owners": owners, **counts}
    assert written[0] == summary
    assert written[1]["owners"] == owners
    assert written[1]["changed"] == len({one["owner_value"] for one in listed})
    assert len(await many.announced()) == written[1]["changed"]


def changes(before: Any, after: Any) -> tuple[Any, Any]:
    """Return the columns that differ, before and after; of a row that comes or goes all but its key."""
    key = ("owner_kind", "owner_value", "payment_service", "account", "product_id")
    names = [name for name in (before or after) if name not in key]
    if before and after:
        names = [name for name in names if before[name] != after[name]]
    first, second = (row and {name: row[name] for name in names} for row in (before, after))
    return first, second


@pytest.mark.slow
@pytest.mark.parametrize("owners", OWNERS)
async def test_switch_under_load_by_workers_of_two_releases_leaves_no_mixture(
    database: Database, many: Ingest, owners: int
) -> None:
    load = (change(random.Random(at).randrange(1, owners), at) for at in itertools.count())
    async with (
        running(database, [SCRIPT, "ingest", "work"]),
        running(database, [sys.executable, "-c", OTHER_RELEASE]),
    ):
        await record_until(many, load, asyncio.create_task(done(many, FEWEST + 1)))
        command = await start(database, [SCRIPT, "ingest", "rules", "activate", "mainstem"], stdout=PIPE)
        output, _ = await record_until(many, load, asyncio.create_task(command.communicate()))
        assert command.returncode == 0
        await many.record(*itertools.islice(load, FEWEST + 1))
        await settled(many)
    (around,) = await many.rows(AROUND)
    assert min(around.values()) > FEWEST
    assert json.loads(output.splitlines()[-1])["activated"] == "mainstem"
    assert await rule_names(many) == {"mainstem"}
    assert await find_differences(many, "mainstem") == (owners, [])
    assert (await find_differences(many, "ctms-1.1.0"))[1]


AROUND = """
SELECT count(*) FILTER (WHERE done_at < activated_at) AS before,
  count(*) FILTER (WHERE done_at > activated_at) AS after
FROM inbox.event, subscription.rule_activation WHERE name = 'mainstem'
  AND rule_activation.id = (SELECT max(id) FROM subscription.rule_activation)
"""


def change(number: int, at: int) -> bytes:
    """Return an event by which a subscription changes; the last one of a subscription counts."""
    status = ("active", "trialing", "canceled", "incomplete_expired")[at % 4]
    about = events.subscription(
        f"sub_{number}",
        of=f"cus_{number}",
        items=[events.item(f"si_sub_{number}", of=events.price("price_month"))],
        status=status,
    )
    return events.event("customer.subscription.updated", about, at=START + 1 + at, one=f"evt_{at}")


async def record_until(ingest: Ingest, load: Iterator[bytes], task: asyncio.Task[Any]) -> Any:
    """Record events until a task is over; return its result."""
    while not task.done():
        await ingest.record(*itertools.islice(load, 40))
        await asyncio.sleep(0.05)
    return task.result()


async def done(ingest: Ingest, count: int) -> None:
    """Return once so many events are done."""
    query = "SELECT FROM inbox.event WHERE status = 'done' OFFSET $1 LIMIT 1"
    async with asyncio.timeout(60):
        while not await ingest.rows(query, count - 1):  # noqa: ASYNC110 -- Postgres sets no event
            await asyncio.sleep(0.1)


async def settled(ingest: Ingest) -> None:
    """Return once every event is done and the walk is over."""
    query = """
    SELECT WHERE NOT EXISTS (SELECT FROM inbox.event WHERE status <> 'done') AND NOT EXISTS (
      SELECT FROM subscription.rule_activation WHERE id = (SELECT max(id) FROM subscription.rule_activation)
        AND completed_at IS NULL)
    """
    async with asyncio.timeout(60):
        while not await ingest.rows(query):  # noqa: ASYNC110 -- Postgres sets no event
            await asyncio.sleep(0.1)


async def start(database: Database, command: Sequence[str | Path], **more: Any) -> Process:
    environment = {**os.environ, "DATABASE_URL": database.urls["ingest"], "PORT": "0", "MAINSTEM_PORT": "0"}
    return await asyncio.create_subprocess_exec(*command, env=environment, **more)


@asynccontextmanager
async def running(database: Database, command: Sequence[str | Path]) -> AsyncIterator[None]:
    process = await start(database, command, stdout=PIPE)
    assert process.stdout is not None
    try:
        await process.stdout.readline()
        draining = asyncio.create_task(process.stdout.read())
        yield
        assert process.returncode is None
    finally:
        process.terminate()
        await process.wait()
    await draining


async def run(database: Database, *arguments: str) -> tuple[int | None, list[Any], str]:
    process = await start(database, [SCRIPT, "ingest", "rules", *arguments], stdout=PIPE, stderr=PIPE)
    output, errors = await process.communicate()
    return process.returncode, [json.loads(line) for line in output.splitlines()], errors.decode()


async def test_commands_compare_activate_and_list(database: Database, ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription(status="trialing")),
    )
    code, (change, summary), errors = await run(database, "compare", "ctms-1.1.0")
    assert (code, "comparing" in errors) == (0, True)
    assert {name: change[name] for name in ("owner_kind", "owner_value", "product_id", "change")} == {
        "owner_kind": "fxa_id",
        "owner_value": "fxa-1",
        "product_id": "prod_1",
        "change": "lose",
    }
    assert (change["from"]["segment"], change["to"]["segment"]) == ("active", "other")
    assert (summary["owners"], summary["lose"], summary["gain"]) == (1, 1, 0)
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}
    for changed in (1, 0):
        code, lines, _ = await run(database, "activate", "ctms-1.1.0")
        assert (code, lines[0]["lose"], lines[1]["changed"]) == (0, changed, changed)
    assert await ingest.segments() == {("fxa-1", "prod_1"): "other"}
    _, listed, _ = await run(database, "list")
    assert [(one["name"], "active_since" in one) for one in listed] == [
        ("mainstem", False),
        ("ctms-1.1.0", True),
    ]
    code, lines, errors = await run(database, "activate", "ctms")
    assert (code, lines) == (1, [])
    assert "there is no rule set 'ctms'; this release has ctms-1.1.0, mainstem" in errors


async def test_activation_that_another_one_overtakes_says_so(ingest: Ingest) -> None:
    await ingest.take(events.event("customer.created", events.customer()))
    # Its sixth transaction is the first one after the activation.
    held, written = Held(ingest.pool, 6, before=True), list[Any]()
    activating = asyncio.create_task(report_activation(held, ingest.clock, "ctms-1.1.0", written.append))
    await held.reached.wait()
    (newest,) = await ingest.rows("SELECT name FROM subscription.rule_activation ORDER BY id DESC LIMIT 1")
    assert newest["name"] == "ctms-1.1.0"
    await ingest.activate("mainstem")
    held.released.set()
    with pytest.raises(ConflictError, match="mainstem took its place"):
        await activating
    assert not any("activated" in one for one in written)


async def test_unknown_name_is_refused_before_anything_is_read(ingest: Ingest) -> None:
    with pytest.raises(NotFoundError):
        await report_comparison(ingest.pool, "other", print)
