import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import tiny_stack
from pids import all_end, is_alive
from servers import Database

from mainstem.sandbox.servers.process import ServerError, wait_until
from mainstem.sandbox.stack.assembly import Options
from mainstem.sandbox.stack.folder import Stack
from mainstem.sandbox.stack.launcher import Launcher
from mainstem.sandbox.world.clock import MovableClock

pytestmark = [pytest.mark.slow, pytest.mark.alone]

REPORTS: list[tuple[str, str]] = []


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[tuple[Launcher, Stack]]:
    launcher = Launcher(report=lambda name, state: REPORTS.append((name, state)), script=tiny_stack.SCRIPT)
    async with launcher as stack:
        yield launcher, stack


@pytest.fixture
def launcher(running: tuple[Launcher, Stack]) -> Launcher:
    return running[0]


@pytest.fixture
def stack(running: tuple[Launcher, Stack]) -> Stack:
    return running[1]


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url)


async def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return (await get(url)).is_success
    return False


async def comes_back(launcher: Launcher, name: str, former: int, url: str) -> None:
    assert await wait_until(lambda: launcher.pids[name] != former, timeout_seconds=10)
    async with asyncio.timeout(10):
        while not await answers(url):  # noqa: ASYNC110 -- another process sets no event of ours
            await asyncio.sleep(0.05)


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_every_part_is_up_when_the_stack_is(stack: Stack) -> None:
    for url in (
        stack.gateway,
        stack.ingest,
        stack.sync,
        stack.billing,
        stack.sandbox,
        *stack.workers.values(),
    ):
        assert await answers(url)


async def test_the_database_is_migrated_and_every_login_works(stack: Stack) -> None:
    for url in (stack.database_url, *stack.database_urls.values()):
        assert await ask(url, "select count(*) from mainstem.state") == 1


async def test_a_service_is_told_what_the_stack_says(stack: Stack) -> None:
    told = (await get(stack.ingest)).json()
    assert told["DATABASE_URL"] == stack.database_urls["ingest"]
    assert told["REDIS_URL"] == stack.redis_url
    assert told["STRIPE_WEBHOOK_SECRETS"] == stack.stripe.webhook_secret
    assert told["MAINSTEM_STRIPE_API_BASE"] == stack.stripe.api_base
    assert told["MAINSTEM_CLOCK_FILE"] == stack.clock_file
    assert told["MAINSTEM_IDENTITY_JWKS_URL"] == f"{stack.gateway}/.well-known/jwks.json"


def test_no_log_holds_the_clients_secret(stack: Stack) -> None:
    logs = list(Path(stack.logs).glob("*.log"))
    assert logs
    secret = stack.clients["demo"].client_secret
    assert not [log.name for log in logs if secret in log.read_text()]


async def test_the_world_sends_its_webhooks_to_ingest(stack: Stack) -> None:
    told = (await get(stack.sandbox)).json()
    assert told["MAINSTEM_SANDBOX_WEBHOOK_URL"] == f"{stack.ingest}/webhooks/stripe"
    assert told["MAINSTEM_SANDBOX_DATABASE_URL"] == stack.database_urls["sandbox"]


async def test_a_service_that_ends_is_reported_and_started_again(launcher: Launcher, stack: Stack) -> None:
    former = launcher.pids["sync"]
    with suppress(httpx.TransportError):
        await get(f"{stack.sync}/end")
    await comes_back(launcher, "sync", former, stack.sync)
    assert any(name == "sync" and state.startswith("ended with code 3") for name, state in REPORTS)


async def test_a_killed_service_is_started_again(launcher: Launcher, stack: Stack) -> None:
    former = launcher.pids["ingest-worker"]
    await launcher.kill("ingest-worker")
    await comes_back(launcher, "ingest-worker", former, stack.workers["ingest"])


async def test_a_part_that_was_taken_down_stays_down_until_it_is_brought_up(
    launcher: Launcher, stack: Stack
) -> None:
    await launcher.take_down("billing")
    await asyncio.sleep(0.5)
    assert not await answers(stack.billing)
    await launcher.bring_up("billing")
    assert await answers(stack.billing)


async def test_a_paused_part_goes_on_where_it_stood(launcher: Launcher, stack: Stack) -> None:
    launcher.pause("gateway")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await get(stack.gateway)
    launcher.resume("gateway")
    assert await answers(stack.gateway)


async def test_crashed_stores_come_back_with_what_they_held(launcher: Launcher, stack: Stack) -> None:
    await ask(stack.database_url, "create table public.kept as select 42 as answer")
    await launcher.restart("postgres", crash=True)
    await launcher.restart("valkey", crash=True)
    assert await ask(stack.database_url, "select answer from public.kept") == 42


@pytest.mark.parametrize("alone", [False, True], ids=["with its backends", "without them"])
async def test_a_store_that_dies_is_started_again_by_itself(
    launcher: Launcher, stack: Stack, *, alone: bool
) -> None:
    former = launcher.pids["postgres"]
    if alone:
        launcher.kill_process("postgres")
    else:
        await launcher.kill("postgres")
    assert await wait_until(lambda: launcher.pids["postgres"] != former, timeout_seconds=10)
    async with asyncio.timeout(10):
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                assert await ask(stack.database_url, "select 1") == 1
                return


async def test_nothing_is_left_when_a_stack_ends_even_of_a_paused_part() -> None:
    launcher = Launcher(Options(valkey=False), script=tiny_stack.SCRIPT)
    async with launcher as stack:
        pids = list(launcher.pids.values())
        assert all(map(is_alive, pids))
        launcher.pause("gateway")
        ending = asyncio.create_task(launcher.__aexit__(None, None, None))
        assert await all_end(pids)
        await ending
    assert not Path(stack.clock_file).parent.exists()


async def test_stores_from_outside_are_used_as_they_are_given(database: Database, redis_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": database.url, "REDIS_URL": redis_url}
    launcher = Launcher(Options(environment=environment), script=tiny_stack.SCRIPT)
    async with launcher as stack:
        assert not {"postgres", "valkey"} & set(launcher.pids)
        assert {stack.database_url, *stack.database_urls.values()} == {database.url}
        told = (await get(stack.ingest)).json()
        assert [told["DATABASE_URL"], told["REDIS_URL"]] == [database.url, redis_url]
        assert "MAINSTEM_SANDBOX_DATABASE_URL" not in (await get(stack.sandbox)).json()


async def test_without_valkey_nobody_answers_at_its_address(tmp_path: Path) -> None:
    launcher = Launcher(Options(valkey=False), script=tiny_stack.SCRIPT)
    async with launcher as stack:
        assert "valkey" not in launcher.pids
        address = urlsplit(stack.redis_url)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address.hostname or "", address.port or 0))


async def test_a_broken_service_ends_the_start_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_BREAKS", "sync work")
    launcher = Launcher(script=tiny_stack.SCRIPT)
    with pytest.raises(ServerError, match=r"sync-worker ended with code 1.*\n.*sync work is broken"):
        async with launcher:
            pass
    assert await all_end(list(launcher.pids.values()))


async def test_a_kept_folder_goes_on_where_it_ended(folder: Path) -> None:
    options = Options(run=folder / "run", valkey=False)
    async with Launcher(options, script=tiny_stack.SCRIPT) as first:
        assert Stack.from_json((folder / "run" / "stack.json").read_text()) == first
        await ask(first.database_url, "create table public.kept as select 42 as answer")
        MovableClock(Path(first.clock_file)).advance(timedelta(days=31))
    assert not (folder / "run" / "stack.json").exists()
    async with Launcher(options, script=tiny_stack.SCRIPT) as second:
        assert await ask(second.database_url, "select answer from public.kept") == 42
        assert MovableClock(Path(second.clock_file)).ahead == timedelta(days=31)
        assert second.stripe.api_key == first.stripe.api_key
