"""The outside world's own process is killed, and the one that is started next goes on with what it held."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from acoustic_calls import TOKEN_FORM, Caller, recipient
from serving import serving
from starlette.applications import Starlette
from starlette.routing import Route
from stripe_shop import API_KEY, SECRET, Receiver

pytestmark = [pytest.mark.slow, pytest.mark.alone]

Worlds = Callable[[], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.open.set()
    async with serving(Starlette(routes=[Route("/hook", receiver.receive, methods=["POST"])])) as url:
        receiver.url = f"{url}/hook"
        yield receiver


@pytest.fixture
def worlds(tmp_path: Path, receiver: Receiver) -> Worlds:
    """Opens a world in the one folder; leaving it kills its process."""

    @asynccontextmanager
    async def open_world() -> AsyncIterator[httpx.AsyncClient]:
        port = _free_port()
        command = Path(sys.executable).with_name("mainstem")
        process = await asyncio.create_subprocess_exec(
            command, "sandbox", "world", env=_environment(tmp_path, port, receiver.url)
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                await _answers(http)
                yield http
        finally:
            process.kill()
            assert await process.wait() == -signal.SIGKILL

    return open_world


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _environment(folder: Path, port: int, webhook_url: str) -> dict[str, str]:
    credentials = {name: TOKEN_FORM[name.lower()] for name in ("CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN")}
    return {
        "MAINSTEM_HOST": "127.0.0.1",
        "MAINSTEM_PORT": str(port),
        "MAINSTEM_CLOCK_FILE": str(folder / "clock"),
        "MAINSTEM_SANDBOX_FOLDER": str(folder / "world"),
        "MAINSTEM_SANDBOX_WEBHOOK_URL": webhook_url,
        "MAINSTEM_SANDBOX_WEBHOOK_SECRET": SECRET,
        "STRIPE_API_KEY": API_KEY,
        **{f"CTMS_ACOUSTIC_{name}": value for name, value in credentials.items()},
        "CTMS_ACOUSTIC_MAIN_TABLE_ID": "1",
        "CTMS_ACOUSTIC_NEWSLETTER_TABLE_ID": "9",
        "CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID": "10",
    }


async def _answers(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(httpx.TransportError):
                if (await http.get("/__heartbeat__")).is_success:
                    return
            await asyncio.sleep(0.05)


async def _post(http: httpx.AsyncClient, path: str, key: str, **data: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": key}
    answer = await http.post(f"/stripe/v1/{path}", data=data, headers=headers)
    assert answer.is_success
    return answer


async def _came(receiver: Receiver, times: int) -> None:
    async with asyncio.timeout(10):
        while len(receiver.came) < times:  # noqa: ASYNC110 -- the receiver tells nobody
            await asyncio.sleep(0.02)


async def _holds(http: httpx.AsyncClient) -> dict[str, Any]:
    stripe = (await http.get("/_sandbox/stripe")).json()
    acoustic = (await http.get("/_sandbox/acoustic")).json()
    return {**stripe, "main": acoustic["main"]}


async def test_after_a_kill_everything_is_there_and_a_waiting_retry_arrives(
    worlds: Worlds, receiver: Receiver
) -> None:
    receiver.statuses = [500]
    async with worlds() as http:
        first = await _post(http, "customers", "key-1", name="Ada")
        await _came(receiver, 1)
        caller = Caller(http)
        await caller.authorise()
        await caller.call(recipient({"email_id": "a", "first_name": "Ada"}))
        held = await _holds(http)
    assert held["main"] == {"a": {"email_id": "a", "first_name": "Ada"}}
    async with worlds() as http:
        await _came(receiver, 2)
        again = await _post(http, "customers", "key-1", name="Ada")
        assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
        found = await _holds(http)
    assert receiver.ids == [held["event"][0]["id"]] * 2
    assert [event.pop("pending_webhooks") for event in held["event"]] == [1]
    assert [event.pop("pending_webhooks") for event in found["event"]] in ([0], [1])
    assert found == held


async def test_whatever_was_answered_before_a_kill_in_full_flow_is_there(
    worlds: Worlds, receiver: Receiver
) -> None:
    answered: list[str] = []

    async def ask(http: httpx.AsyncClient, caller: int) -> None:
        for number in range(1_000):
            answer = await _post(http, "customers", f"{caller}-{number}", name="Ada")
            answered.append(answer.json()["id"])

    async with worlds() as http:
        asking = [asyncio.create_task(ask(http, caller)) for caller in range(4)]
        async with asyncio.timeout(20):
            while len(answered) < 60:  # noqa: ASYNC110 -- killed in the midst of it
                await asyncio.sleep(0.001)
    await asyncio.gather(*asking, return_exceptions=True)
    async with worlds() as http:
        found = await _holds(http)
        ids = [customer["id"] for customer in found["customer"]]
        told = [event["data"]["object"]["id"] for event in found["event"]]
        assert set(answered) <= set(ids)
        # No step was kept in half, and each of its webhooks arrives at least once.
        assert ids == told
        async with asyncio.timeout(20):
            while not {event["id"] for event in found["event"]} <= set(receiver.ids):  # noqa: ASYNC110 -- another process delivers
                await asyncio.sleep(0.02)
