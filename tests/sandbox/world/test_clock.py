from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstem.common.clock import SharedClock, open_clock
from mainstem.sandbox.world.clock import ClockError, MovableClock

TOLERANCE = timedelta(seconds=5)


def test_a_new_clock_shows_the_machines_time(tmp_path: Path) -> None:
    clock = MovableClock.create(tmp_path / "clock")
    assert abs(clock.now() - datetime.now(UTC)) < TOLERANCE


def test_a_reader_sees_a_move_at_once(tmp_path: Path) -> None:
    clock = MovableClock.create(tmp_path / "clock")
    reader = SharedClock(tmp_path / "clock")
    clock.advance(timedelta(days=40))
    assert abs(reader.now() - clock.now()) < TOLERANCE
    assert reader.now() - datetime.now(UTC) > timedelta(days=39)


def test_the_clock_stands_where_it_is_moved_to(tmp_path: Path) -> None:
    clock = MovableClock.create(tmp_path / "clock")
    target = datetime.now(UTC) + timedelta(days=31, microseconds=7)
    clock.move_to(target)
    assert timedelta() <= clock.now() - target < TOLERANCE


def test_a_moved_clock_stays_moved_when_it_is_opened_again(tmp_path: Path) -> None:
    MovableClock.create(tmp_path / "clock").advance(timedelta(days=2))
    assert MovableClock.create(tmp_path / "clock").ahead == timedelta(days=2)


def test_the_clock_refuses_to_go_back(tmp_path: Path) -> None:
    clock = MovableClock.create(tmp_path / "clock")
    clock.advance(timedelta(days=2))
    with pytest.raises(ClockError, match="forward only"):
        clock.move_to(datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(ClockError, match="forward only"):
        clock.advance(timedelta(microseconds=-1))
    assert clock.ahead == timedelta(days=2)


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    clock = MovableClock.create(tmp_path / "clock")
    with pytest.raises(ClockError, match="time zone"):
        clock.move_to(datetime(2100, 1, 1))  # noqa: DTZ001 -- the mistake is what the test makes


def test_a_file_of_another_length_is_no_clock(tmp_path: Path) -> None:
    (tmp_path / "clock").write_bytes(b"1234")
    with pytest.raises(ClockError, match="no clock"):
        MovableClock.create(tmp_path / "clock")


def test_reading_moves_nothing(tmp_path: Path) -> None:
    MovableClock.create(tmp_path / "clock")
    open_clock(tmp_path / "clock").now()
    assert (tmp_path / "clock").read_bytes() == bytes(8)
