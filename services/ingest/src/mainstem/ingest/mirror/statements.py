"""Statements on the mirror's tables, made from `tables` alone."""

from collections.abc import Iterable, Mapping
from functools import cache

from mainstem.ingest.mirror.tables import KEY, MISSING, VERSION, ChildTable, Table

NEWER = (
    '(old.epoch, old.at, old.rank, old.key COLLATE "C")'
    " < (excluded.epoch, excluded.at, excluded.rank, excluded.key)"
)
"""Condition that the stored copy is older; ids compare by code point, as they do in Python."""


def _unnest(columns: Mapping[str, str], alias: str) -> str:
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), start=1))
    return f"unnest({arrays}) AS {alias} ({', '.join(columns)})"


def _set(names: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names if name not in KEY)


@cache
def upsert(table: Table) -> str:
    """Return the statement that writes whole copies, each unless a newer one is stored."""
    columns = table.all_columns
    return (
        f"INSERT INTO {table.name} AS old ({', '.join(columns)}) SELECT * FROM {_unnest(columns, 'new')}"  # noqa: S608 -- made of `tables` alone, as are all below
        f" ON CONFLICT (account, id) DO UPDATE SET {_set(columns)} WHERE {NEWER} RETURNING account, id"
    )


@cache
def bury(table: Table) -> str:
    """Return the statement that marks objects as deleted, unless a newer copy is stored."""
    columns = {**KEY, **VERSION, **{name: kind for name, kind in table.columns.items() if name == MISSING}}
    more = {"deleted": "true"} | ({} if table.incomplete is None else {table.incomplete: "false"})
    return (
        f"INSERT INTO {table.name} AS old ({', '.join([*columns, *more])})"  # noqa: S608 -- see above
        f" SELECT *, {', '.join(more.values())} FROM {_unnest(columns, 'new')}"
        f" ON CONFLICT (account, id) DO UPDATE SET {_set([*columns, 'deleted'])} WHERE {NEWER}"
        " RETURNING account, id"
    )


@cache
def find_deleted(table: Table) -> str:
    """Return the query for those of some objects that are stored as deleted."""
    return (
        f"SELECT account, id FROM {table.name} WHERE deleted"  # noqa: S608 -- see above
        " AND (account, id) IN (SELECT * FROM unnest($1::varchar[], $2::varchar[]))"
    )


@cache
def find_differing(table: Table) -> str:
    """Return the query for those of some copies that are newer and say something else."""
    columns = table.all_columns
    names = [name for name in columns if name not in {**KEY, **VERSION, "deleted": ""}]
    old, new = (", ".join(f"{alias}.{name}" for name in names) for alias in ("old", "excluded"))
    return (
        f"SELECT excluded.account, excluded.id FROM {_unnest(columns, 'excluded')}"  # noqa: S608 -- see above
        f" LEFT JOIN {table.name} AS old ON old.account = excluded.account AND old.id = excluded.id"
        f" WHERE old.id IS NULL OR ({NEWER} AND ({old}) IS DISTINCT FROM ({new}))"
    )


@cache
def replace_children(child: ChildTable) -> str:
    """Return the statement that writes the children of accepted parents."""
    columns = child.all_columns
    names = [name for name in columns if name not in {**KEY, **VERSION}]
    old, new = (", ".join(f"{alias}.{name}" for name in names) for alias in ("old", "excluded"))
    differs = f"({old}) IS DISTINCT FROM ({new})"
    assigned = _set(columns)
    if child.is_lone:
        # What an older copy says fills what a newer one, which came alone, left open.
        assigned = ", ".join(
            f"{name} = CASE WHEN {NEWER} THEN excluded.{name} ELSE coalesce(old.{name}, excluded.{name}) END"
            for name in columns
            if name not in KEY
        )
        unfilled = " OR ".join(f"old.{name} IS NULL AND excluded.{name} IS NOT NULL" for name in names)
        differs = f"{differs} AND ({NEWER} OR {unfilled})"
    return (
        f"INSERT INTO {child.name} AS old ({', '.join(columns)}) SELECT * FROM {_unnest(columns, 'new')}"  # noqa: S608 -- see above
        f" ON CONFLICT (account, id) DO UPDATE SET {assigned} WHERE {differs}"
    )


@cache
def delete_vanished(child: ChildTable) -> str:
    """Return the statement that deletes children that a complete list lacks."""
    parents = {**KEY, **VERSION} if child.is_lone else KEY
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(parents.values(), start=3))
    is_older = f" AND {NEWER.replace('excluded.', 'parent.')}" if child.is_lone else ""
    return (
        f"DELETE FROM {child.name} AS old USING unnest({arrays}) AS parent ({', '.join(parents)})"  # noqa: S608 -- see above
        f" WHERE old.account = parent.account AND old.{child.parent} = parent.id{is_older}"
        " AND NOT EXISTS (SELECT FROM unnest($1::varchar[], $2::varchar[]) AS kept (account, id)"
        " WHERE kept.account = old.account AND kept.id = old.id)"
    )


@cache
def add_lone(parent: Table, child: ChildTable) -> str:
    """Return the statement that writes children that came without their parent."""
    columns = child.all_columns
    assigned = ", ".join(
        f"{name} = coalesce(excluded.{name}, old.{name})" for name in columns if name not in KEY
    )
    return (
        f"INSERT INTO {child.name} AS old ({', '.join(columns)})"  # noqa: S608 -- see above
        f" SELECT * FROM {_unnest(columns, 'excluded')} WHERE NOT EXISTS ("
        f" SELECT FROM {parent.name} AS old WHERE old.account = excluded.account"
        f" AND old.id = excluded.{child.parent} AND NOT {NEWER})"
        f" ON CONFLICT (account, id) DO UPDATE SET {assigned} WHERE {NEWER}"
    )
