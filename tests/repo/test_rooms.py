"""Paragraphs of rooms: what each room owns, which tables it writes, and which rooms import it."""

import re
from collections import Counter

import pytest
from sqlmodel import SQLModel
from tests.references.rooms import Package, list_packages, list_rooms

from mainstem.common import models
from mainstem.common.migrations.grants import CONSUMERS, SHARED_INSERTS, WRITERS

SANDBOX = "sandbox"
"""Its rooms write files, whose names look like tables (`stripe.sqlite`), and no table of a service."""

OWNER_ALONE = {"mainstem.state"}
"""Tables of migrations that no model has."""

GUESTS = {
    ("ingest/inbox", "inbox.account"): "a connected account, with its first event",
    ("ingest/upkeep", "subscription.rule_activation"): "the cursor of a walk",
}
"""By room and table: columns of another room's table that the room writes, beside the claim of that room."""

TABLES = {table.fullname for table in SQLModel.metadata.sorted_tables} | OWNER_ALONE
WRITES = re.compile(r"\bwrites\b(.*)", re.IGNORECASE)
"""What a sentence says after the word: tables."""
BESIDE = re.compile(r"[;:]|\breads?\b")
"""Where that ends: after it the sentence speaks of something else."""
STATEMENT = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) ([a-z]+\.[a-z_]+)")
"""A table that a statement writes; those of the mirror and of contacts are made from tables as data."""

PARTS = {"owns": r"\bowns\b", "writes": r"\bwrites\b", "imported": r"\bimport(s|ed)\b"}


def claims(room: Package) -> set[str]:
    """Return the tables that a room's paragraph says it writes; `schema.*` and `schema` stand for all."""
    texts = [found[1] for one in room.paragraph if (found := WRITES.search(one))]
    spans = {span for text in texts for span in re.findall(r"`([^`]+)`", BESIDE.split(text)[0])}
    return {table for span in spans for table in named(span)}


def named(span: str) -> set[str]:
    schema, _, name = span.partition(".")
    if schema not in {*models.SCHEMAS, "mainstem"}:
        return set()
    if name in {"", "*"}:
        return {table for table in TABLES if table.startswith(f"{schema}.")}
    return {span}


def written(room: Package) -> set[str]:
    """Return the tables that statements in the room's files write."""
    return {table for file in room.files for table in STATEMENT.findall(file.read_text(encoding="utf-8"))}


def list_claiming() -> list[Package]:
    return [room for room in list_rooms() if room.house != SANDBOX]


def may_write(house: str) -> set[str]:
    """Return the tables that a distribution may write; `common` runs as every service and as the owner."""
    if house == "common":
        return TABLES
    role = f"mainstem_{house}"
    own = {table for table in TABLES if WRITERS.get(table.partition(".")[0]) == role}
    return own | {*SHARED_INSERTS} | ({"outbox.entry"} if role in CONSUMERS else set())


@pytest.mark.parametrize("package", list_packages(), ids=lambda package: package.short)
def test_paragraph_of_a_room_says_what_it_owns_what_it_writes_and_who_imports_it(package: Package) -> None:
    assert len(package.paragraph) >= 2, f"{package.short}/__init__.py: at least two sentences"
    text = " ".join(package.paragraph).lower()
    assert [part for part, words in PARTS.items() if not re.search(words, text)] == []


@pytest.mark.parametrize("room", list_claiming(), ids=lambda room: room.short)
def test_tables_that_a_room_claims_exist_and_its_role_may_write_them(room: Package) -> None:
    assert claims(room) - TABLES == set()
    assert claims(room) - may_write(room.house) == set()


@pytest.mark.parametrize("schema", sorted(WRITERS))
def test_each_table_is_claimed_by_one_room_of_its_writer(schema: str) -> None:
    house = WRITERS[schema].removeprefix("mainstem_")
    pairs = [(room.short, table) for room in list_rooms() if room.house == house for table in claims(room)]
    claimed = Counter(table for name, table in pairs if (name, table) not in GUESTS)
    counts = {table: claimed[table] for table in TABLES if table.startswith(f"{schema}.")}
    assert counts
    assert {table: count for table, count in counts.items() if count != 1} == {}


def test_entries_of_the_outbox_are_claimed_by_the_room_whose_statements_write_them() -> None:
    shared = [room for room in list_rooms() if room.house == "common"]
    assert [room.short for room in shared if "outbox.entry" in claims(room)] == ["common/queue"]


@pytest.mark.parametrize("room", list_claiming(), ids=lambda room: room.short)
def test_statements_of_a_room_write_only_tables_that_it_claims(room: Package) -> None:
    unclaimed = written(room) - claims(room)
    assert {table for table in unclaimed if (room.short, table) not in GUESTS} == set()


def test_guest_of_a_table_still_writes_it() -> None:
    rooms = {room.short: room for room in list_rooms()}
    for name, table in GUESTS:
        assert table in claims(rooms[name]) | written(rooms[name]), f"{name} no longer writes {table}"
