"""Reports of the commands `mainstem ingest rules …`: results as objects for stdout, progress on stderr."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mainstem.common.clock import Clock
from mainstem.common.database.pool import Connection, Transactions
from mainstem.common.errors import ConflictError, NotFoundError
from mainstem.ingest.subscriptions.language import RuleSet
from mainstem.ingest.subscriptions.sets import SETS
from mainstem.ingest.subscriptions.storage import Activation, activate, check_name, find_active
from mainstem.ingest.upkeep.comparison import DifferenceKind, compare
from mainstem.ingest.upkeep.walk import Walk, count_owners

PROVIDER = "stripe"
HELD_SECONDS = 0.2
"""Pause while another process works on the walk's next batch."""

Print = Callable[[Any], None]
_Advance = Callable[[int], None]


async def list_sets(connection: Connection) -> list[dict[str, Any]]:
    """Return the built-in sets and the active one, which another release may have brought."""
    active = await find_active(connection)
    described: dict[str, dict[str, Any]] = {
        name: {"name": name, "digest": rules.digest} for name, rules in SETS.items()
    }
    if active is not None:
        described[active.name] = {
            "name": active.name,
            "digest": active.digest,
            "active_since": active.activated_at,
            "derived_again": active.completed_at,
        }
    return list(described.values())


async def report_comparison(database: Transactions, name: str, write: Print) -> None:
    """Write each difference, then the counts.

    Raises:
        NotFoundError: there is no set of this name.
        ConflictError: the name stands for other data in this database.
    """
    write(await _compare(database, await _find(database, name), write))


async def report_activation(database: Transactions, clock: Clock, name: str, write: Print) -> None:
    """Write the counts of the comparison, switch, and write how many owners were derived again.

    Raises:
        NotFoundError: there is no set of this name.
        ConflictError: the name stands for other data in this database, or another set took this one's place
            before every owner was derived.
    """
    rules = await _find(database, name)
    write(await _compare(database, rules, _leave_out))
    async with database.transaction() as connection:
        active = await activate(connection, rules, clock.now())
    owners, changed = await _walk(database, Walk(PROVIDER, database, clock), name)
    await _demand_active(database, active)
    write(
        {
            "activated": active.name,
            "digest": active.digest,
            "active_since": active.activated_at,
            "owners": owners,
            "changed": changed,
        }
    )


async def _find(database: Transactions, name: str) -> RuleSet:
    if name not in SETS:
        raise NotFoundError(f"there is no rule set {name!r}; this release has {', '.join(sorted(SETS))}")
    async with database.transaction() as connection:
        await check_name(connection, SETS[name])
    return SETS[name]


async def _compare(database: Transactions, rules: RuleSet, write: Print) -> dict[str, Any]:
    owners, kinds = 0, Counter[DifferenceKind]()
    with _progress("comparing", await _count(database)) as advance:
        async for count, differences in compare(database, PROVIDER, rules):
            owners += count
            kinds.update(one.kind for one in differences)
            for one in differences:
                write(one.described())
            advance(count)
    counts = {str(kind): kinds[kind] for kind in DifferenceKind}
    return {"rules": rules.name, "digest": rules.digest, "owners": owners, **counts}


async def _walk(database: Transactions, walk: Walk, name: str) -> tuple[int, int]:
    """Walk to the end, beside the workers; return how many owners this process derived, and changed."""
    owners = changed = 0
    with _progress(f"deriving by {name}", await _count(database)) as advance:
        while not (step := await walk.step()).is_over:
            owners += step.owners
            changed += step.changed
            advance(step.owners)
            if step.is_held:
                await asyncio.sleep(HELD_SECONDS)
    return owners, changed


async def _demand_active(database: Transactions, activation: Activation) -> None:
    """Raise ConflictError if the activation is no longer the newest: the walk was another one's."""
    async with database.transaction() as connection:
        newest = await find_active(connection)
    if newest is not None and newest.id != activation.id:
        raise ConflictError(
            f"the rule set {activation.name} was activated, and {newest.name} took its place meanwhile:"
            f" owners are derived by {newest.name}; `rules activate {activation.name}` switches again"
        )


async def _count(database: Transactions) -> int:
    async with database.transaction() as connection:
        return await count_owners(connection)


def _leave_out(_: Any) -> None:
    """Write nothing of a difference: it may be long, and `compare` shows it."""


@contextmanager
def _progress(title: str, total: int) -> Iterator[_Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)
