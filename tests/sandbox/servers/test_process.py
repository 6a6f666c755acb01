import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mainstem.sandbox.servers.ports import Ports, PortTakenError
from mainstem.sandbox.servers.process import Child, ServerError, list_children, wait_until

pytestmark = pytest.mark.alone

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]
LAUNCHER = """
import sys, time
from pathlib import Path
from mainstem.sandbox.servers.process import Child
child = Child("child", [sys.executable, "-c", "import time; time.sleep(60)"], log=Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


def start_launcher(log: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", LAUNCHER, log], stdout=subprocess.PIPE)


async def start(child: Child) -> None:
    child.start()
    assert await wait_until(lambda: "up" in child.read_log(), timeout_seconds=10)


async def test_what_a_child_writes_stands_in_its_log(tmp_path: Path) -> None:
    child = Child("echo", [sys.executable, "-c", "print('hello'); raise SystemExit(3)"], log=tmp_path / "log")
    child.start()
    assert await child.wait() == 3
    assert child.exit_code == 3
    assert child.read_log() == "hello\n"


async def test_the_log_of_a_second_start_is_told_apart(tmp_path: Path) -> None:
    child = Child("echo", [sys.executable, "-c", "print('hello')"], log=tmp_path / "log")
    for _ in range(2):
        child.start()
        await child.wait()
    assert child.read_log() == "hello\n"
    assert (tmp_path / "log").read_text() == "hello\nhello\n"


async def test_a_child_is_stopped_by_the_signal_it_is_sent(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, log=tmp_path / "log")
    await start(child)
    await child.stop(signal.SIGINT)
    assert child.exit_code is not None
    assert not child.is_running


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    child = Child("deaf", DEAF, log=tmp_path / "log")
    await start(child)
    await child.stop(timeout_seconds=0.1)
    assert child.exit_code == -signal.SIGKILL


async def test_stopping_twice_is_stopping_once(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, log=tmp_path / "log")
    await child.stop()
    await start(child)
    await child.stop()
    await child.stop()
    assert child.exit_code == -signal.SIGTERM


async def test_a_running_child_is_not_started_again(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, log=tmp_path / "log")
    await start(child)
    pid = child.pid
    child.start()
    assert child.pid == pid
    await child.kill()


async def test_a_paused_child_is_still_stopped(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, log=tmp_path / "log")
    await start(child)
    child.pause()
    await child.stop(timeout_seconds=0.1)
    assert not child.is_running


async def test_a_child_has_a_session_of_its_own(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, log=tmp_path / "log")
    await start(child)
    assert os.getsid(child.pid) == child.pid
    assert child.pid in list_children(os.getpid())
    await child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_child_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    launcher = start_launcher(tmp_path / "log")
    assert launcher.stdout
    with launcher.stdout:
        pid = int(launcher.stdout.readline())
    assert is_alive(pid)
    launcher.send_signal(number)
    launcher.wait()
    assert await wait_until(lambda: not is_alive(pid), timeout_seconds=2)


async def test_a_child_is_started_from_the_main_thread_only(tmp_path: Path) -> None:
    child = Child("sleeper", SLEEPER, log=tmp_path / "log")
    failures: list[Exception] = []

    def run() -> None:
        try:
            child.start()
        except RuntimeError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(failures[0])


async def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    child = Child("ghost", [tmp_path / "ghost"], log=tmp_path / "log")
    with pytest.raises(ServerError, match="ghost cannot be run"):
        child.start()
    with pytest.raises(ServerError, match="never started"):
        _ = child.pid


async def test_waiting_leaves_the_event_loop_free(tmp_path: Path) -> None:
    child = Child("short", [sys.executable, "-c", "import time; time.sleep(0.3)"], log=tmp_path / "log")
    child.start()
    began = time.monotonic()
    waiting = asyncio.create_task(child.wait())
    await asyncio.sleep(0)
    assert time.monotonic() - began < 0.2
    assert await waiting == 0


def test_a_port_that_somebody_listens_on_is_refused() -> None:

    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = Ports()
        with pytest.raises(PortTakenError, match="in use"):
            ports.take(listener.getsockname()[1])


def test_a_held_port_can_be_listened_on_with_reuse() -> None:

    ports = Ports()
    port = ports.take()
    with socket.create_server(("127.0.0.1", port), reuse_port=False) as listener:
        assert listener.getsockname()[1] == port
    ports.close()
