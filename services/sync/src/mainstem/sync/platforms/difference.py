"""Difference between the rows that a platform should hold and the rows that were last sent to it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

HASH_BYTES = 16

Row = Mapping[str, str | None]
"""A row's columns by name; None stands for no value."""

Tables = Mapping[str, Mapping[str, Row]]
"""Rows that a platform is to hold of one contact: table, key of the row, row."""

SentHashes = Mapping[str, Mapping[str, str | None]]
"""Hashes of the rows sent last: table, key of the row, hash; a null hash if the row's state is not known."""


@dataclass(frozen=True, slots=True)
class TableDifference:
    """Tables that have new or changed rows, and the keys of rows that were sent before and are gone."""

    changed: set[str]
    vanished: Mapping[str, set[str]]


def compare(tables: Tables, base: SentHashes) -> TableDifference:
    """Return what differs; a row whose state is not known counts as changed."""
    hashes = hashed(tables)
    changed = {
        table
        for table, rows in hashes.items()
        if any(base.get(table, {}).get(key) != value for key, value in rows.items())
    }
    gone = {table: keys.keys() - hashes.get(table, {}).keys() for table, keys in base.items()}
    return TableDifference(changed, {table: keys for table, keys in gone.items() if keys})


def hashed(tables: Tables) -> SentHashes:
    """Return the base that says: exactly this was sent."""
    return {table: {key: _hash(row) for key, row in rows.items()} for table, rows in tables.items()}


def unknown(*bases: SentHashes) -> SentHashes:
    """Return the base that says: any of these rows may be there, in whatever state.

    Keys are kept, so that a product which vanishes later is still deleted.
    """
    merged: dict[str, dict[str, str | None]] = {}
    for base in bases:
        for table, keys in base.items():
            merged.setdefault(table, {}).update(dict.fromkeys(keys))
    return merged


def kept(base: SentHashes, vanished: Mapping[str, set[str]]) -> SentHashes:
    """Return the base with keys that are gone but were not deleted at the platform."""
    left = {table: dict.fromkeys(keys) for table, keys in vanished.items()}
    return {table: {**left.get(table, {}), **base.get(table, {})} for table in {*base, *left}}


def _hash(row: Row) -> str:
    # The order of columns says nothing.
    text = json.dumps(row, sort_keys=True, ensure_ascii=True)
    return blake2b(text.encode(), digest_size=HASH_BYTES).hexdigest()
