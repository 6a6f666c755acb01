import os
import socket
import stat
from pathlib import Path

import pytest

from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.stack.assembly import Options, describe, environments_of, take_ports
from mainstem.sandbox.stack.folder import (
    AcousticAccess,
    GatewayClient,
    RunFolder,
    Secrets,
    Stack,
    StackError,
    StripeAccess,
)
from mainstem.sandbox.stack.programs import PROGRAMS, Addresses, Program, environment_of

SECRETS = Secrets.choose()
INGEST = PROGRAMS[2]
NO_PID = 2**22 + 1
"""More than Linux has."""
ADDRESSES = Addresses(
    ports={program.name: program.port for program in PROGRAMS},
    database_urls={
        name: f"postgresql://{name}" for name in ("ingest", "sync", "billing", "gateway", "sandbox")
    },
    redis_url="redis://",
    clock_file=Path("clock"),
    folder=Path("world"),
)


def make_stack(pid: int) -> Stack:
    return Stack(
        gateway="g",
        ingest="i",
        sync="s",
        billing="b",
        sandbox="w",
        workers={"ingest": "iw"},
        database_url="postgresql://owner",
        database_urls={"ingest": "postgresql://ingest"},
        redis_url="redis://",
        stripe=StripeAccess("base", "sk_test_1", "whsec_1", "2026-10-28.endive"),
        acoustic=AcousticAccess("base"),
        clients={"demo": GatewayClient("demo", "secret")},
        clock_file="clock",
        logs="logs",
        pid=pid,
    )


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_stack_is_read_as_it_was_written() -> None:
    stack = make_stack(1)
    assert Stack.from_json(stack.to_json()) == stack


def test_a_stack_shows_no_secret_when_it_is_printed() -> None:
    shown = repr(make_stack(1))
    assert "secret" not in shown.replace("client_secret", "")
    assert "postgresql" not in shown
    assert "sk_test" not in shown


def test_secrets_of_a_folder_are_chosen_once(tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "run")
    first.open()
    chosen = first.secrets()
    first.close()
    second = RunFolder(tmp_path / "run")
    second.open()
    assert second.secrets() == chosen
    second.close()
    assert mode_of(tmp_path / "run" / "secrets.json") == 0o600


def test_one_launcher_holds_a_folder_at_a_time(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run")
    first.open()
    with pytest.raises(StackError, match="--ephemeral"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_a_fresh_folder_is_gone_in_the_end(tmp_path: Path) -> None:
    folder = RunFolder(None, stack_file=tmp_path / "run" / "stack.json")
    folder.open()
    folder.secrets()
    folder.write_stack(make_stack(os.getpid()))
    assert (tmp_path / "run" / "stack.json").exists()
    folder.close()
    assert not folder.path.exists()
    assert not (tmp_path / "run" / "stack.json").exists()


def test_the_folder_of_a_killed_launcher_is_removed_by_a_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned, recent, held = (RunFolder(None) for _ in range(3))
    for folder in (abandoned, recent, held):
        folder.path.mkdir()
        (folder.path / "lock").touch()
    held.open()
    for folder in (abandoned, held):
        os.utime(folder.path / "lock", (0, 0))
    later = RunFolder(None)
    later.open()
    assert [abandoned.path.exists(), recent.path.exists(), held.path.exists()] == [False, True, True]
    held.close()
    later.close()


def test_the_description_of_a_later_stack_is_left_alone(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open()
    folder.write_stack(make_stack(os.getpid() + 1))
    folder.close()
    assert (tmp_path / "run" / "stack.json").exists()


@pytest.mark.parametrize(("pid", "is_kept"), [(os.getppid(), True), (NO_PID, False)])
def test_description_of_a_stack_is_left_alone_by_a_fresh_one_while_it_runs(
    tmp_path: Path, pid: int, is_kept: bool
) -> None:
    first = RunFolder(tmp_path / "run")
    first.write_stack(make_stack(pid))
    fresh = RunFolder(None, stack_file=first.stack_file)
    fresh.open()
    fresh.write_stack(make_stack(os.getpid()))
    assert fresh.stack_file == (fresh.path / "stack.json" if is_kept else first.stack_file)
    assert Stack.from_json(fresh.stack_file.read_text()).pid == os.getpid()
    fresh.close()
    assert first.stack_file.exists() is is_kept
    assert not fresh.stack_file.exists()


def test_only_its_user_reads_where_a_stack_is(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open()
    folder.write_stack(make_stack(os.getpid()))
    assert mode_of(folder.stack_file) == 0o600
    folder.close()


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o750)
    folder = RunFolder(tmp_path / "run")
    folder.open()
    folder.close()
    assert mode_of(tmp_path / "run") == 0o750


def test_logs_of_the_last_run_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "run" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "logs" / "old.log").touch()
    folder = RunFolder(tmp_path / "run")
    folder.open()
    assert list(folder.logs.iterdir()) == []
    folder.close()


def test_a_busy_port_is_named_with_its_part_and_the_way_out() -> None:
    ports = Ports()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        program = Program("gateway", ("gateway", "serve"), port, "gateway")
        with pytest.raises(StackError, match=rf"port {port} is in use, which gateway needs.*--ephemeral"):
            take_ports(ports, [program], are_free=False)
    ports.close()


def test_free_ports_are_all_different() -> None:
    ports = Ports()
    taken = take_ports(ports, PROGRAMS, are_free=True)
    assert len(set(taken.values())) == len(PROGRAMS) + 2
    ports.close()


def test_a_service_is_told_its_own_login_and_nobody_elses() -> None:
    told = environment_of(INGEST, ADDRESSES, SECRETS, {})
    assert told["DATABASE_URL"] == "postgresql://ingest"
    assert not any("postgresql://sandbox" in value for value in told.values())


def test_a_sandbox_of_its_own_is_told_nothing_of_the_world_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "STRIPE_API_KEY", "CTMS_ACOUSTIC_CLIENT_ID"):
        monkeypatch.setenv(name, "outside")
    inherited, outside = environments_of(Options())
    assert outside == {}
    assert "outside" not in inherited.values()


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"], ids=["secret", "restricted"])
def test_a_sandbox_of_its_own_refuses_to_start_near_a_live_key(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("SOMEBODYS_KEY", key)
    with pytest.raises(StackError, match="SOMEBODYS_KEY holds a live key") as caught:
        environments_of(Options())
    assert key not in str(caught.value)


def test_real_keys_take_the_place_of_the_sandboxs_and_no_clock_moves() -> None:
    environment = {"STRIPE_API_KEY": "sk_live_1", "PATH": "/bin"}
    _, outside = environments_of(Options(environment=environment))
    told = environment_of(INGEST, ADDRESSES, SECRETS, outside)
    assert outside == {"STRIPE_API_KEY": "sk_live_1"}
    names = ("STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRETS", "MAINSTEM_STRIPE_API_BASE", "MAINSTEM_CLOCK_FILE")
    assert not set(names) & set(told)
    assert told.get("MAINSTEM_PROFILE", "production") == "production"


def test_a_real_stripes_keys_are_not_written_down(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.open()
    stack = describe(
        ADDRESSES,
        folder,
        "postgresql://owner",
        GatewayClient("demo", "secret"),
        {"STRIPE_API_KEY": "sk_live_1"},
    )
    assert "sk_" not in stack.to_json()
    folder.close()
