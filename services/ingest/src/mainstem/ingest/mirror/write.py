"""Mirror of the provider's rows, unedited: the newest copy of each (stop 4)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mainstem.common.database.pool import Connection
from mainstem.ingest.mirror.statements import (
    add_lone,
    bury,
    delete_vanished,
    find_deleted,
    find_differing,
    replace_children,
    upsert,
)
from mainstem.ingest.mirror.tables import MISSING, PARENTS, TABLES, ChildTable, Table
from mainstem.ingest.providers.protocol import Cause, Change

_Key = tuple[str, str]


def _key(change: Change) -> _Key:
    return (change.account, change.snapshot.id)


async def write(connection: Connection, changes: Iterable[Change]) -> list[Change]:
    """Write the newest copy of each object, with its children, unless a newer one is stored.

    The caller holds the locks of all these objects. Returns the copies that buried an object.
    """
    whole, tombstones, embedded = _newest(changes)
    buried: list[Change] = []
    for kind, table in TABLES.items():
        copies, ends = whole.get(kind, []), tombstones.get(kind, [])
        burials = {_key(one): one for one in (*copies, *ends) if one.snapshot.is_deleted}
        former = await _deleted(connection, table, burials)
        accepted = await _upsert(connection, table, copies)
        if table.child is not None:
            parents = [copy for copy in copies if _key(copy) in accepted]
            await _replace_children(connection, table.child, parents)
        await _upsert(connection, table, await _new_copies(connection, table, embedded.get(kind, [])))
        changed = accepted | await _bury(connection, table, ends)
        buried += [burials[key] for key in sorted(burials.keys() & changed - former)]
    for kind, parent in PARENTS.items():
        if parent.child is not None and kind in whole:
            await _add_lone(connection, parent, parent.child, whole[kind])
    return buried


_ByKind = dict[str, list[Change]]


def _newest(changes: Iterable[Change]) -> tuple[_ByKind, _ByKind, _ByKind]:
    """Return the greatest copy of each object, of each by kind: whole ones, tombstones, embedded ones.

    A tombstone keeps the fields that came before it, so it goes beside the greatest whole copy.
    """
    whole: dict[tuple[str, str, str], Change] = {}
    tombstones: dict[tuple[str, str, str], Change] = {}
    embedded: dict[tuple[str, str, str], Change] = {}
    for change in changes:
        _keep(tombstones if change.snapshot.values is None else whole, change)
        for copy in change.embedded():
            _keep(embedded, copy)
    return _by_kind(whole), _by_kind(tombstones), _by_kind(embedded)


def _keep(kept: dict[tuple[str, str, str], Change], change: Change) -> None:
    other = kept.get(change.identity)
    if other is None or other.version < change.version:
        kept[change.identity] = change


def _by_kind(changes: Mapping[tuple[str, str, str], Change]) -> _ByKind:
    by_kind: _ByKind = {}
    for identity in sorted(changes):
        by_kind.setdefault(identity[0], []).append(changes[identity])
    return by_kind


async def _new_copies(connection: Connection, table: Table, copies: Sequence[Change]) -> list[Change]:
    """Return the embedded copies that differ from what is stored and are newer.

    Everybody's subscription carries the same few prices: even a refused upsert would lock those rows.
    A copy that says nothing new does not raise the stored version. That is safe because whatever changes
    an object has an event of its own, which does.
    """
    if not copies:
        return []
    rows = await connection.fetch(find_differing(table), *_columns(table, copies))
    differing = {(row["account"], row["id"]) for row in rows}
    return [copy for copy in copies if (copy.account, copy.snapshot.id) in differing]


async def _upsert(connection: Connection, table: Table, copies: Sequence[Change]) -> set[_Key]:
    """Write the copies that are newer, in the order they come in; return which were."""
    if not copies:
        return set()
    rows = await connection.fetch(upsert(table), *_columns(table, copies))
    return {(row["account"], row["id"]) for row in rows}


async def _bury(connection: Connection, table: Table, tombstones: Sequence[Change]) -> set[_Key]:
    """Mark objects as deleted, unless a newer copy is stored; return which were. Known fields stay."""
    if not tombstones:
        return set()
    columns = [
        [one.account for one in tombstones],
        [one.snapshot.id for one in tombstones],
        *zip(*(one.version for one in tombstones), strict=True),
    ]
    if MISSING in table.columns:
        columns.append([one.cause is Cause.MISSING for one in tombstones])
    rows = await connection.fetch(bury(table), *columns)
    return {(row["account"], row["id"]) for row in rows}


async def _deleted(connection: Connection, table: Table, keys: Collection[_Key]) -> set[_Key]:
    """Return which of these objects are stored as deleted."""
    if not keys:
        return set()
    rows = await connection.fetch(find_deleted(table), *_transposed(list(keys)))
    return {(row["account"], row["id"]) for row in rows}


async def _replace_children(connection: Connection, child: ChildTable, parents: Sequence[Change]) -> None:
    """Write the children of accepted parents; those that vanished from a complete list go."""
    rows = {
        (parent.account, row["id"]): {
            **row,
            **parent.version._asdict(),
            "account": parent.account,
            child.parent: parent.snapshot.id,
        }
        for parent in parents
        if parent.snapshot.children is not None
        for row in parent.snapshot.children.rows
    }
    complete = [
        (parent.account, parent.snapshot.id, *parent.version)
        for parent in parents
        if parent.snapshot.children is not None and parent.snapshot.children.is_complete
    ]
    if complete:
        parameters = [*zip(*complete, strict=True)] if child.is_lone else [*zip(*complete, strict=True)][:2]
        await connection.execute(delete_vanished(child), *_transposed(list(rows)), *parameters)
    if rows:
        ordered = [rows[key] for key in sorted(rows)]
        columns = [[row[name] for row in ordered] for name in child.all_columns]
        await connection.execute(replace_children(child), *columns)


async def _add_lone(
    connection: Connection, parent: Table, child: ChildTable, copies: Sequence[Change]
) -> None:
    """Write children that came alone, unless their parent, or they themselves, came newer."""
    known = [
        {"account": copy.account, "id": copy.snapshot.id}
        | copy.version._asdict()
        | dict(copy.snapshot.values or {})
        for copy in copies
    ]
    columns = [[row[name] for row in known] for name in child.all_columns]
    await connection.execute(add_lone(parent, child), *columns)


def _transposed(keys: Sequence[_Key]) -> tuple[list[str], list[str]]:
    return [account for account, _ in keys], [one for _, one in keys]


def _columns(table: Table, copies: Sequence[Change]) -> list[list[Any]]:
    """Return the copies column by column, as `unnest` takes them."""
    columns: list[list[Any]] = [
        [copy.account for copy in copies],
        [copy.snapshot.id for copy in copies],
        *([*column] for column in zip(*(copy.version for copy in copies), strict=True)),
        [copy.snapshot.is_deleted for copy in copies],
    ]
    for name in list(table.all_columns)[len(columns) :]:
        if name == table.incomplete:
            columns.append([_is_incomplete(copy) for copy in copies])
        else:
            columns.append([(copy.snapshot.values or {})[name] for copy in copies])
    return columns


def _is_incomplete(copy: Change) -> bool:
    return copy.snapshot.children is not None and not copy.snapshot.children.is_complete
