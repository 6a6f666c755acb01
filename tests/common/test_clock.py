import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstem.common.clock import SharedClock, SystemClock, open_clock
from mainstem.sandbox.world.clock import MovableClock

TOLERANCE = timedelta(seconds=5)
READER = """
import sys
from pathlib import Path
from mainstem.common.clock import open_clock
clock = open_clock(Path(sys.argv[1]))
print("open", flush=True)
for line in sys.stdin:
    print(clock.now().isoformat(), flush=True)
"""


class OtherProcess:
    """A process that opened the clock once and tells its time when asked."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def now(self) -> datetime:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return datetime.fromisoformat(self._process.stdout.readline().strip())


@pytest.fixture
def clock(tmp_path: Path) -> MovableClock:
    return MovableClock.create(tmp_path / "clock")


@pytest.fixture
def other(clock: MovableClock, tmp_path: Path) -> Iterator[OtherProcess]:
    arguments = [sys.executable, "-c", READER, str(tmp_path / "clock")]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "open\n"
        yield OtherProcess(process)


def test_another_process_sees_each_move_at_its_next_look(clock: MovableClock, other: OtherProcess) -> None:
    for days in (0, 1, 30, 365):
        clock.advance(timedelta(days=days))
        assert timedelta() <= other.now() - clock.now() + TOLERANCE < 2 * TOLERANCE


def test_world_time_goes_on_by_itself(clock: MovableClock, other: OtherProcess) -> None:
    clock.advance(timedelta(days=1))
    first, second = other.now(), other.now()
    assert first < second


def test_without_a_file_world_time_is_the_machines() -> None:
    clock = open_clock(None)
    assert isinstance(clock, SystemClock)
    assert abs(clock.now() - datetime.now(UTC)) < TOLERANCE
    assert clock.now().utcoffset() == timedelta()


def test_the_shared_clock_tells_an_aware_time_in_utc(clock: MovableClock, tmp_path: Path) -> None:
    assert SharedClock(tmp_path / "clock").now().utcoffset() == timedelta()


def test_a_reader_cannot_move_the_clock(clock: MovableClock, tmp_path: Path) -> None:
    reader = SharedClock(tmp_path / "clock")
    with pytest.raises(TypeError):
        reader._offset[:8] = bytes(8)


@pytest.mark.parametrize("content", [None, b"", b"1234"])
def test_a_file_that_is_no_clock_stops_the_process_at_its_start(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "broken"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises((OSError, ValueError)):
        open_clock(file)
