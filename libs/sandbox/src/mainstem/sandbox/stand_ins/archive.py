"""Archive of what a stand-in holds: rows in one SQLite file of its folder, which outlives the process."""

import sqlite3
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import structlog

_MADE = (
    "CREATE TABLE IF NOT EXISTS held (kind TEXT NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL,"
    " body BLOB NOT NULL, PRIMARY KEY (kind, id))"
)
_PUT = (
    "INSERT INTO held (kind, id, seq, body) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (kind, id) DO UPDATE SET seq = excluded.seq, body = excluded.body"
)
_DROPPED = "DELETE FROM held WHERE kind = ? AND id = ?"
_ROWS = "SELECT id, seq, body FROM held WHERE kind = ? ORDER BY seq, rowid"
_BESIDE = ("", "-wal", "-shm")
"""Suffixes of the files that SQLite makes of one database."""

log = structlog.get_logger()


class Row(NamedTuple):
    """One row of a kind: its id, its place among the others, and its body as JSON."""

    id: str
    seq: int
    body: bytes


class _Watched(NamedTuple):
    seq: int
    held: Any
    before: bytes | None
    """The row's body in the file; None if the file has no such row."""


class Archive:
    """Rows by kind and id. A killed process loses nothing that was committed; a loss of power may spoil all.

    Changes count together from one `commit` to the next: what a step did is kept whole or not at all.

    Args:
        file: the database, made where there is none; None for memory alone.
        layout: the version of what stands in the rows, above 0; a file of another one, or a spoiled one, is
            set aside.
        busy_seconds: how long a file that another process still has is waited for.

    Raises:
        sqlite3.OperationalError: another process has the file, or it cannot be written.
    """

    def __init__(self, file: Path | None = None, *, layout: int = 1, busy_seconds: float = 5.0) -> None:
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._has_file = file is not None
        self._connection = _connect(file, layout, busy_seconds)

    @classmethod
    def inside(cls, folder: Path | None, name: str, *, layout: int) -> Self:
        """Open the archive of this name in a folder, which is made for this user alone; None is memory."""
        if folder is None:
            return cls(layout=layout)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(folder / f"{name}.sqlite", layout=layout)

    def kinds(self) -> list[str]:
        """Return the kinds of which a row is kept."""
        return [kind for (kind,) in self._connection.execute("SELECT DISTINCT kind FROM held ORDER BY kind")]

    def rows(self, kind: str) -> list[Row]:
        """Return the rows of one kind, in their order."""
        return [Row(*row) for row in self._connection.execute(_ROWS, (kind,))]

    def put(self, kind: str, given: str, body: Any, *, seq: int = 0) -> None:
        """Keep a row with this body, in place of the one with this id."""
        self._connection.execute(_PUT, (kind, given, seq, msgspec.json.encode(body)))

    def watch(self, kind: str, given: str, held: Any, *, seq: int = 0, is_new: bool = False) -> None:
        """Keep at the next commit what this object then is, if that is not what it is now. Safe to repeat."""
        if (kind, given) not in self._watched:
            before = None if is_new else msgspec.json.encode(held)
            self._watched[kind, given] = _Watched(seq, held, before)

    def drop(self, kind: str, given: str) -> None:
        """Forget a row. Safe to repeat."""
        self._watched.pop((kind, given), None)
        self._connection.execute(_DROPPED, (kind, given))

    def clear(self, *kinds: str) -> None:
        """Forget the rows of these kinds; without any, all rows."""
        for kind in kinds or self.kinds():
            self._connection.execute("DELETE FROM held WHERE kind = ?", (kind,))
        self._watched = {key: at for key, at in self._watched.items() if kinds and key[0] not in kinds}

    def commit(self) -> None:
        """Keep for good what was done since the last commit."""
        for (kind, given), (seq, held, before) in self._watched.items():
            body = msgspec.json.encode(held)
            if body != before:
                self._connection.execute(_PUT, (kind, given, seq, body))
        self._watched.clear()
        self._connection.commit()

    def close(self) -> None:
        """Give the file back; memory goes on. What was not committed is not kept. Safe to repeat."""
        if self._has_file:
            self._connection.close()


def _connect(file: Path | None, layout: int, busy_seconds: float) -> sqlite3.Connection:
    if file is None:
        return _prepare(sqlite3.connect(":memory:"), layout)
    connection = _open(file, busy_seconds)
    unfit = _unfit(connection, layout)
    if unfit is not None:
        connection.close()
        _set_aside(file, unfit)
        connection = _open(file, busy_seconds)
    return _prepare(connection, layout)


def _open(file: Path, busy_seconds: float) -> sqlite3.Connection:
    # SQLite gives the files beside this one the same mode: webhooks' secrets stand in them.
    file.touch(mode=0o600)
    connection = sqlite3.connect(file, timeout=busy_seconds)
    # One process at a time; with that, the index of the log needs no shared memory.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


def _unfit(connection: sqlite3.Connection, layout: int) -> str | None:
    """Return why the file cannot be used, None if it can."""
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (health, *_) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        raise  # the file may well be good: it is in use, or this user may not write it
    except sqlite3.DatabaseError as error:
        return str(error)
    if found not in (0, layout):
        return f"its layout is {found}, not {layout}"
    return None if health == "ok" else str(health)


def _prepare(connection: sqlite3.Connection, layout: int) -> sqlite3.Connection:
    connection.execute("PRAGMA journal_mode = WAL")
    # A killed process leaves what it wrote to the kernel; to wait for the disk would cost each request.
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute("BEGIN")
        connection.execute(_MADE)
        connection.execute(f"PRAGMA user_version = {layout:d}")
    return connection


def _set_aside(file: Path, reason: str) -> None:
    aside = file.with_name(f"{file.stem}.aside-{int(time.time())}{file.suffix}")
    for suffix in _BESIDE:
        beside = Path(f"{file}{suffix}")
        if beside.exists():
            beside.rename(f"{aside}{suffix}")
    log.warning("archive.set_aside", file=file.name, aside=aside.name, reason=reason)
