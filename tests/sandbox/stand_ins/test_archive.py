import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from mainstem.sandbox.stand_ins.archive import Archive


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "thing.sqlite"


def killed(file: Path) -> Path:
    """Return what a process that is killed now leaves: its files as they are, nothing closed."""
    after = file.parent / "after"
    shutil.copytree(file.parent, after, ignore=shutil.ignore_patterns("after"))
    return after / file.name


def bodies(archive: Archive, kind: str = "thing") -> list[tuple[str, bytes]]:
    return [(row.id, row.body) for row in archive.rows(kind)]


def test_what_was_committed_outlives_a_kill_and_what_was_not_does_not(file: Path) -> None:
    archive = Archive(file)
    archive.put("thing", "b", {"n": 1}, seq=1)
    archive.put("thing", "a", {"n": 2}, seq=2)
    archive.commit()
    archive.put("thing", "c", {"n": 3}, seq=3)
    archive.drop("thing", "a")
    assert bodies(Archive(killed(file))) == [("b", b'{"n":1}'), ("a", b'{"n":2}')]


def test_a_watched_object_is_kept_as_it_is_at_the_commit(file: Path) -> None:
    archive = Archive(file)
    held: dict[str, Any] = {"deep": {"n": 1}}
    archive.watch("thing", "a", held, is_new=True)
    held["deep"]["n"] = 2
    archive.commit()
    archive.watch("thing", "a", held)
    held["deep"]["n"] = 3
    archive.watch("thing", "a", held)
    archive.commit()
    assert bodies(Archive(killed(file))) == [("a", b'{"deep":{"n":3}}')]


def test_what_did_not_change_is_not_written() -> None:
    archive = Archive()
    held = {"n": 1}
    archive.watch("thing", "a", held, is_new=True)
    archive.commit()
    written = archive._connection.total_changes
    archive.watch("thing", "a", held)
    archive.commit()
    assert archive._connection.total_changes == written


def test_what_was_dropped_since_it_was_watched_stays_gone() -> None:
    archive = Archive()
    archive.watch("thing", "a", {"n": 1}, is_new=True)
    archive.drop("thing", "a")
    archive.commit()
    assert archive.kinds() == []


def test_one_kind_is_cleared_and_then_all() -> None:
    archive = Archive()
    for kind in ("thing", "other", "third"):
        archive.put(kind, "a", 1)
        archive.watch(kind, "b", {}, is_new=True)
    archive.clear("thing")
    archive.commit()
    assert archive.kinds() == ["other", "third"]
    archive.clear()
    assert archive.kinds() == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9))))
def test_rows_are_those_of_a_plain_dictionary(steps: list[tuple[str, int | None]]) -> None:
    archive, expected = Archive(), dict[str, int]()
    for given_id, body in steps:
        if body is None:
            archive.drop("thing", given_id)
            expected.pop(given_id, None)
        else:
            archive.put("thing", given_id, body)
            expected[given_id] = body
    assert {row.id: int(row.body) for row in archive.rows("thing")} == expected


def test_a_file_of_another_layout_is_set_aside_whole(file: Path) -> None:
    former = Archive(file, layout=1)
    former.put("thing", "a", 1)
    former.commit()
    former.close()
    with capture_logs() as logs:
        later = Archive(file, layout=2)
    assert later.kinds() == []
    (told,) = logs
    assert (told["event"], told["file"]) == ("archive.set_aside", "thing.sqlite")
    assert told["reason"] == "its layout is 1, not 2"
    assert bodies(Archive(file.with_name(told["aside"]), layout=1)) == [("a", b"1")]


def test_the_log_of_a_killed_process_goes_aside_with_its_file(file: Path) -> None:
    former = Archive(file, layout=1)
    former.put("thing", "a", 1)
    former.commit()
    left = killed(file)
    with capture_logs() as logs:
        assert Archive(left, layout=2).kinds() == []
    assert bodies(Archive(left.with_name(logs[0]["aside"]), layout=1)) == [("a", b"1")]


def test_a_file_that_is_no_archive_is_set_aside(file: Path) -> None:
    file.write_text("something else, and rather long\n" * 100)
    with capture_logs() as logs:
        archive = Archive(file)
    archive.put("thing", "a", 1)
    archive.commit()
    assert [told["event"] for told in logs] == ["archive.set_aside"]
    assert file.with_name(logs[0]["aside"]).read_text().startswith("something else")


def test_a_spoiled_file_is_set_aside(file: Path) -> None:
    former = Archive(file)
    for number in range(500):
        former.put("thing", str(number), "x" * 100)
    former.commit()
    former.close()
    with file.open("r+b") as spoiled:
        spoiled.seek(8192)
        spoiled.write(b"\xff" * 16_384)
    with capture_logs() as logs:
        assert Archive(file).kinds() == []
    assert [told["event"] for told in logs] == ["archive.set_aside"]


def test_a_second_process_is_refused_and_takes_nothing(file: Path) -> None:
    first = Archive(file)
    first.put("thing", "a", 1)
    first.commit()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Archive(file, busy_seconds=0.01)
    assert bodies(first) == [("a", b"1")]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    archive = Archive.inside(tmp_path / "world", "thing", layout=1)
    archive.put("thing", "a", 1)
    archive.commit()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "world").iterdir()]
    assert set(modes) == {0o600}
    assert stat.S_IMODE((tmp_path / "world").stat().st_mode) == 0o700
