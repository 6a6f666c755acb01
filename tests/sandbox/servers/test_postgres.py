import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from mainstem.sandbox.servers.binaries import SHARED, require_own
from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.servers.postgres import Postgres
from mainstem.sandbox.servers.process import ServerError, list_children


@pytest.fixture(scope="module")
def home(servers_folder: Path) -> Path:
    return servers_folder / "own postgres"


@pytest.fixture(scope="module")
async def one_server(home: Path, ports: Ports) -> AsyncIterator[Postgres]:
    server = Postgres(home, port=ports.take(), settings={"fsync": "off"})
    yield server
    await server.stop()
    server.remove()


@pytest.fixture
async def server(one_server: Postgres) -> Postgres:
    """The module's server, running, with no table of an earlier test in it."""
    await one_server.start()
    await ask(one_server.url(), "drop schema if exists public cascade")
    await ask(one_server.url(), "create schema public")
    return one_server


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_owner_owns_its_database_and_is_no_superuser(server: Postgres) -> None:
    assert await ask(server.url(), "select current_user || ' ' || current_database()") == "mainstem mainstem"
    assert await ask(server.url(), "select rolsuper from pg_roles where rolname = current_user") is False
    await ask(server.url(), "create schema of_its_own")
    await ask(server.url(), "drop schema of_its_own")


async def test_nobody_enters_without_a_password(server: Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(f"postgresql://mainstem:wrong@127.0.0.1:{server.port}/mainstem", "select 1")


async def test_it_listens_on_loopback_alone(server: Postgres) -> None:
    assert await ask(server.superuser_url(), "show listen_addresses") == "127.0.0.1"
    assert await ask(server.superuser_url(), "show unix_socket_directories") == ""


async def test_its_words_do_not_depend_on_the_machines_locale(server: Postgres) -> None:
    question = "select datlocprovider::text || ' ' || datlocale from pg_database where datname = 'mainstem'"
    assert await ask(server.url(), question) == "b C.UTF-8"


async def test_the_passwords_can_be_read_by_nobody_else(server: Postgres, home: Path) -> None:
    assert mode_of(home / "passwords.json") == 0o600


async def test_a_restart_keeps_what_was_committed(server: Postgres) -> None:
    await ask(server.url(), "create table kept as select 42 as answer")
    await server.restart()
    assert await ask(server.url(), "select answer from kept") == 42


async def test_another_handle_on_the_same_folder_finds_the_data(
    server: Postgres, home: Path, ports: Ports
) -> None:
    await ask(server.url(), "create table kept as select 42 as answer")
    await server.stop()
    again = Postgres(home, port=ports.take())
    await again.start()
    try:
        assert await ask(again.url(), "select answer from kept") == 42
    finally:
        await again.stop()


async def test_a_crash_takes_every_backend_and_no_committed_row(server: Postgres) -> None:
    await ask(server.url(), "create table kept as select 42 as answer")
    connection = await asyncpg.connect(server.superuser_url())
    busy = asyncio.create_task(connection.fetchval("select count(*) from generate_series(1, 10000000000)"))
    await asyncio.sleep(0.1)
    backends = list_children(server.child.pid)
    await server.crash()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await busy
    assert backends
    await server.start()
    assert await ask(server.url(), "select answer from kept") == 42


async def test_stopping_waits_for_no_open_transaction(server: Postgres) -> None:
    connection = await asyncpg.connect(server.url())
    await connection.execute("begin")
    async with asyncio.timeout(1):
        await server.stop()
    assert server.child.exit_code == 0
    await connection.close(timeout=1)


async def test_a_second_start_on_live_data_says_who_has_it(
    server: Postgres, home: Path, ports: Ports
) -> None:
    second = Postgres(home, port=ports.take())
    with pytest.raises(ServerError, match=r'FATAL: .*lock file "postmaster.pid" already exists') as caught:
        await second.start()
    assert f"HINT:  Is another postmaster (PID {server.child.pid})" in str(caught.value)
    assert await ask(server.url(), "select 1") == 1


async def test_a_server_that_does_not_answer_is_an_error_like_any_other(server: Postgres, home: Path) -> None:
    await server.stop()
    passwords = home / "passwords.json"
    right = passwords.read_text()
    passwords.write_text(json.dumps({"postgres": "wrong", "mainstem": "wrong"}))
    try:
        with pytest.raises(ServerError, match="does not answer: InvalidPasswordError"):
            await server.start()
    finally:
        await server.stop()
        passwords.write_text(right)


async def test_a_taken_port_is_named(server: Postgres) -> None:
    await server.stop()
    with (
        socket.create_server(("127.0.0.1", server.port)),
        pytest.raises(ServerError, match=f"port {server.port}|could not create any TCP/IP sockets"),
    ):
        await server.start()
    await server.start()
    assert await ask(server.url(), "select 1") == 1


async def test_data_of_another_major_version_is_refused_in_plain_words(server: Postgres) -> None:
    await server.stop()
    version = server.data / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(ServerError, match="written by Postgres 17, and this is Postgres 18"):
        await server.start()
    version.write_text("18\n")
    await server.start()


async def test_a_half_made_data_folder_is_made_again(folder: Path, ports: Ports) -> None:
    home = folder / "pg"
    (home / "data.new").mkdir(parents=True)
    (home / "data.new" / "PG_VERSION").write_text("18\n")
    home.chmod(0o711)
    server = Postgres(home, port=ports.take())
    await server.start()
    assert await ask(server.url(), "select 1") == 1
    await server.stop()
    server.remove()


async def test_data_without_its_passwords_is_told_from_fresh_data(
    server: Postgres, home: Path, ports: Ports
) -> None:
    await server.stop()
    passwords = home / "passwords.json"
    aside = passwords.rename(home / "aside")
    with pytest.raises(ServerError, match=r"passwords .* are lost"):
        await Postgres(home, port=ports.take()).start()
    aside.rename(passwords)


async def test_a_long_path_with_spaces_and_quotes_is_no_obstacle(folder: Path, ports: Ports) -> None:
    deep = folder / ("deep and 'long' " * 10).strip()
    deep.mkdir()
    deep.chmod(0o711)
    server = Postgres(deep / "pg", port=ports.take())
    await server.start()
    assert await ask(server.url(), "select 1") == 1
    await server.stop()
    server.remove()


@pytest.mark.parametrize("mode", [0o700, 0o711])
async def test_whatever_modes_and_umask_say_it_runs_and_changes_no_mode(
    folder: Path, ports: Ports, mode: int
) -> None:
    above = folder / "above"
    above.mkdir()
    above.chmod(mode)
    before = os.umask(0o077)
    try:
        server = Postgres(above / "run" / "pg", port=ports.take())
        await server.start()
        assert await ask(server.url(), "select 1") == 1
        await server.stop()
    finally:
        os.umask(before)
    # As root it runs as another user: only where that one cannot enter, the data stands elsewhere.
    is_elsewhere = os.geteuid() == 0 and mode == 0o700
    assert server.data.is_relative_to(SHARED if is_elsewhere else above)
    assert [mode_of(above), mode_of(folder)] == [mode, 0o711]
    assert Postgres(above / "run" / "pg", port=ports.take()).data == server.data
    server.remove()
    assert not server.data.parent.exists()


def test_a_folder_that_others_may_change_is_not_trusted(folder: Path) -> None:
    folder.chmod(0o777)
    with pytest.raises(ServerError, match="not ours alone"):
        require_own(folder)
    (folder / "link").symlink_to("/")
    with pytest.raises(ServerError, match="not ours alone"):
        require_own(folder / "link")


async def test_log_quotes_no_row_that_violates_a_constraint(server: Postgres) -> None:
    assert await ask(server.url(), "show log_error_verbosity") == "terse"


async def test_attached_server_is_reached_by_an_object_that_did_not_start_it(
    server: Postgres, home: Path
) -> None:
    attached = Postgres(home, port=server.port)
    attached.attach()
    assert attached.superuser_url() == server.superuser_url()
    assert await ask(attached.url(), "select 7") == 7
