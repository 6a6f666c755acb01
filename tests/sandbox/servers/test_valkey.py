import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.servers.process import ServerError
from mainstem.sandbox.servers.valkey import Valkey


@pytest.fixture
async def server(folder: Path, ports: Ports) -> AsyncIterator[Valkey]:
    server = Valkey(folder / 'with "quotes" and spaces', port=ports.take())
    await server.start()
    yield server
    await server.stop()


def connect(server: Valkey, password: str | None = None) -> Redis:
    known = server.url.split(":")[2].partition("@")[0]
    return Redis(host="127.0.0.1", port=server.port, password=password or known, decode_responses=True)


async def count_keys(server: Valkey) -> int:
    async with connect(server) as client:
        size: int = await client.dbsize()
        return size


async def write_keys(server: Valkey, count: int) -> None:
    async with connect(server) as client:
        await client.mset({f"key:{number}": number for number in range(count)})


async def test_a_restart_keeps_the_keys(server: Valkey) -> None:
    await write_keys(server, 100)
    await server.restart()
    assert await count_keys(server) == 100


async def test_a_crash_keeps_the_keys(server: Valkey) -> None:
    await write_keys(server, 1000)
    await server.crash()
    assert not server.child.is_running
    await server.start()
    assert await count_keys(server) == 1000


async def test_nobody_enters_without_the_password(server: Valkey) -> None:
    async with connect(server, "wrong") as client:
        with pytest.raises(AuthenticationError):
            await client.ping()


async def test_it_never_throws_a_key_away_for_want_of_memory(server: Valkey) -> None:
    async with connect(server) as client:
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert await client.config_get("appendfsync") == {"appendfsync": "everysec"}
        assert await client.config_get("bind") == {"bind": "127.0.0.1"}


def test_the_password_stands_in_no_command_line_and_no_open_file(server: Valkey, folder: Path) -> None:
    password = server.url.split(":")[2].partition("@")[0]
    assert password not in Path(f"/proc/{server.child.pid}/cmdline").read_text()
    for file in folder.rglob("*"):
        if file.is_file() and password.encode() in file.read_bytes():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_taken_port_is_told_in_valkeys_own_words(server: Valkey, folder: Path) -> None:
    second = Valkey(folder / "second", port=server.port)
    with pytest.raises(ServerError, match="Address already in use"):
        await second.start()
