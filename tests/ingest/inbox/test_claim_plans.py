"""What Postgres does for a claim: it looks at what is claimed, not at the backlog, nor at all accounts."""

import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
import stripe_events as events
from ingest_bench import Ingest, new_event
from plans import touched
from servers import Database

from mainstem.common.queue.inbox import insert
from mainstem.common.queue.lease import IN_ORDER, Lease
from mainstem.ingest.accounts import connected, identities
from mainstem.ingest.inbox import claims, scheduling
from mainstem.ingest.inbox.claims import ClaimedEvent
from mainstem.ingest.inbox.scheduling import Queue

ASKED = 50
BACKLOG = 2_000
MOST = 30 * ASKED
"""A few steps for each row that is taken; to read a backlog would be thousands."""

FILL = """
INSERT INTO inbox.event
  (provider, account, event_id, type, object_type, object_id, body, status, failures, claims,
   recorded_at, due_at)
SELECT 'stripe', $1 || (number % $2), 'evt_' || $1 || number, 'customer.created', 'customer', 'cus_1', '', $3,
  $4, $4, $5::timestamptz, $5::timestamptz + $6 * interval '1 hour'
FROM generate_series(1, $7::integer) AS number
"""


async def fill(
    ingest: Ingest,
    name: str,
    *,
    accounts: int = 1,
    status: str = "received",
    failures: int = 0,
    hours: int = 0,
    number: int = BACKLOG,
) -> None:
    """Record events of so many accounts, whose names begin so; they are due in so many hours."""
    async with ingest.owner.transaction() as connection:
        await connection.execute(
            FILL, name, accounts, status, failures, ingest.clock.now(), float(hours), number
        )


async def look_at(ingest: Ingest, name: str, statement: str, *values: str, is_old: bool = False) -> Any:
    """Return how many rows the statement touches; with `is_old` by a plan of an empty table."""
    async with ingest.pool.transaction() as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await connection.execute(f"{IN_ORDER}; PREPARE {name} AS {statement}")
        given = ", ".join(values)
        if is_old:
            await connection.execute(f"EXECUTE {name}({given})")
            await record(ingest)
        answer = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name}({given})")
        await connection.execute(f"DEALLOCATE {name}")
    return touched(json.loads(answer)[0]["Plan"])


def claiming(ingest: Ingest, account: str = "default") -> tuple[str, ...]:
    lease = ("'worker'", f"'{Lease('', 0).token}'", "'60 s'")
    rooms = ", ".join([str(ASKED)] * len(account.split(",")))
    return ("'stripe'", f"'{ingest.clock.now()}'", f"'{{{account}}}'", f"ARRAY[{rooms}]", *lease)


def walking(ingest: Ingest) -> tuple[str, ...]:
    return ("'stripe'", f"'{ingest.clock.now()}'", "''", "NULL")


async def record(ingest: Ingest) -> None:
    await ingest.record(
        *(events.event("customer.created", events.customer(f"cus_{number}")) for number in range(BACKLOG))
    )


async def forget_statistics(database: Database) -> None:
    """Have nothing known of the table: then it is taken for one that has some rows."""
    owner = await asyncpg.connect(database.url)
    await owner.execute("TRUNCATE inbox.event")
    await owner.execute("VACUUM ANALYZE inbox.event")
    await owner.close()


@pytest.mark.parametrize("is_old", [False, True], ids=["planned now", "planned when there was nothing"])
@pytest.mark.parametrize("statement", ["claim", "walk"])
async def test_a_claim_looks_at_what_it_takes_and_not_at_the_backlog(
    ingest: Ingest, database: Database, statement: str, is_old: bool
) -> None:
    await forget_statistics(database)
    if not is_old:
        await record(ingest)
    sql, values = (
        (claims.CLAIM, claiming(ingest)) if statement == "claim" else (scheduling.WALK, walking(ingest))
    )
    assert await look_at(ingest, statement, sql, *values, is_old=is_old) < MOST


async def test_a_claim_looks_at_no_retries_that_are_not_due(ingest: Ingest) -> None:
    await fill(ingest, "a", failures=1, hours=1)
    await fill(ingest, "b", number=1)
    assert await look_at(ingest, "claim", claims.CLAIM, *claiming(ingest, "a0,b0")) < MOST
    assert await look_at(ingest, "walk", scheduling.WALK, *walking(ingest)) < MOST


async def test_of_thousands_of_accounts_only_those_with_open_events_are_looked_at(ingest: Ingest) -> None:
    await fill(ingest, "idle", accounts=BACKLOG, status="done")
    await fill(ingest, "busy", accounts=3)
    assert await look_at(ingest, "walk", scheduling.WALK, *walking(ingest)) < MOST


async def connect(ingest: Ingest, number: int, name: str) -> None:
    """Add so many connected accounts of the account `default`, whose names begin so."""
    async with ingest.owner.transaction() as connection:
        await connection.execute(
            "INSERT INTO inbox.account (provider, account, mode, parent, provider_id)"
            " SELECT 'stripe', $1 || number, 'payload', 'default', $1 || number"
            " FROM generate_series(1, $2::integer) AS number",
            name,
            number,
        )


async def test_of_thousands_of_connected_accounts_a_claim_reads_those_with_open_events_alone(
    ingest: Ingest,
) -> None:
    await connect(ingest, BACKLOG, "acct_")
    await fill(ingest, "acct_", accounts=3)
    assert await look_at(ingest, "walk", scheduling.WALK, *walking(ingest)) < MOST
    sides = ("'stripe'", "'{acct_1,acct_2}'")
    assert await look_at(ingest, "sides", connected.FIND_LIVEMODES, *sides) < MOST


async def test_of_thousands_of_accounts_only_the_stopped_ones_are_read(ingest: Ingest) -> None:
    await connect(ingest, BACKLOG, "acct_")
    await ingest.rows("UPDATE inbox.account SET problem = 'x' WHERE account = 'acct_7' RETURNING 1")
    assert await look_at(ingest, "stopped", identities.STOPPED, "'stripe'") < ASKED


async def test_connected_accounts_take_turns_as_soon_as_they_are_known(ingest: Ingest) -> None:
    queue = Queue("stripe", {"default"}, "payload")
    await fill(ingest, "acct_", accounts=450, number=1_350)
    assert await claim(ingest, queue, 100) == {}
    await connect(ingest, 450, "acct_")
    async with ingest.owner.transaction() as connection:
        await connection.execute("UPDATE inbox.account SET account = 'acct_0' WHERE account = 'acct_450'")
    served: set[str] = set()
    for _ in range(5):
        served |= (await claim(ingest, queue, 100)).keys()
    assert len(served) == 450


async def test_one_statement_looks_at_a_bounded_number_of_accounts(ingest: Ingest) -> None:
    await fill(ingest, "waits", accounts=BACKLOG, failures=1, hours=1)
    assert await look_at(ingest, "walk", scheduling.WALK, *walking(ingest)) < 16 * scheduling.WALK_STEPS


async def claim(ingest: Ingest, queue: Queue, limit: int) -> Mapping[str, int]:
    """Claim once; return how many events of each account."""
    async with ingest.pool.transaction() as connection:
        found: list[ClaimedEvent] = await claims.claim(
            connection, Lease("worker", 60), queue, ingest.clock.now(), limit
        )
    counts: dict[str, int] = {}
    for event in found:
        counts[event.account] = counts.get(event.account, 0) + 1
    return counts


async def test_a_backlog_leaves_room_for_every_other_account_in_each_claim(ingest: Ingest) -> None:
    await fill(ingest, "hog")
    for name in ("ann", "zoe"):
        async with ingest.pool.transaction() as connection:
            body = events.event("customer.created", events.customer())
            # Later than all of the backlog.
            await insert(connection, [new_event(body, account=name)], ingest.clock.now())
    queue = Queue("stripe", {"hog0", "ann", "zoe"})
    assert await claim(ingest, queue, 30) == {"hog0": 10, "ann": 1, "zoe": 1}
    assert await claim(ingest, queue, 30) == {"hog0": 30}


@pytest.mark.parametrize("accounts", [7, 450, 1_300])
async def test_accounts_take_turns_however_many_have_events(ingest: Ingest, accounts: int) -> None:
    await fill(ingest, "a", accounts=accounts, number=3 * accounts)
    queue = Queue("stripe", {f"a{number}" for number in range(accounts)})
    served: dict[str, int] = {}
    # So many claims have room for one event of each account, or a few more.
    for _ in range(-(-accounts // 100)):
        for name, number in (await claim(ingest, queue, 100)).items():
            served[name] = served.get(name, 0) + number
    assert len(served) == accounts


async def test_accounts_of_others_and_such_that_wait_are_passed_over(ingest: Ingest) -> None:
    await fill(ingest, "others", accounts=600)
    await fill(ingest, "waits", accounts=300, failures=1, hours=1)
    await fill(ingest, "x", number=1)
    assert await claim(ingest, Queue("stripe", {"x0"}), 10) == {"x0": 1}
