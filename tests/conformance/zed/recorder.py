"""Stands between our services and the sandbox's Stripe, notes what is asked, and says what a case has it say.

So a subscription is `unpaid` wherever our services look, without the months that bring a real one there.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.conformance.zed.calls import Call, form

Json = Any

PREFIX = "/stripe"
CANCELLATION = frozenset({"cancel_at", "cancel_at_period_end"})
NOT_PASSED_ON = frozenset(
    {"host", "content-length", "content-encoding", "transfer-encoding", "connection", "accept-encoding"}
)


class Recorder:
    """An HTTP server that hands everything on to the sandbox."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.upstream = ""
        self._http = http
        self._acts: list[Call] = []
        self._sayings: list[tuple[Callable[[Json], bool], Mapping[str, Json]]] = []

    @property
    def acts(self) -> list[Call]:
        """Whatever was asked but reading, in order."""
        return self._acts

    def forget(self) -> None:
        """Note anew, and change nothing any more."""
        self._acts = []
        self._sayings = []

    def say(self, of: Callable[[Json], bool], changes: Mapping[str, Json]) -> None:
        """Have every object for which `of` is true look so from now on, wherever it stands in an answer."""
        self._sayings.append((of, changes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on; before there is an upstream, as a stack starts, Stripe is away."""
        if not self.upstream:
            await Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        answer = await self._http.request(
            request.method,
            f"{self.upstream}{request.url.path}",
            params=request.url.query.encode(),
            content=body,
            headers=_passed_on(request.headers),
        )
        content = answer.content
        try:
            said = json.loads(content)
        except ValueError:
            said = {}
        if request.method != "GET":
            path, asked = request.url.path.removeprefix(PREFIX), form(body.decode())
            self._acts.append(Call(request.method, path, asked, said))
            self._unsay(said, asked)
        if self._sayings:
            content = json.dumps(self._changed(said)).encode()
        await Response(content, answer.status_code, _passed_on(answer.headers))(scope, receive, send)

    def _unsay(self, changed: Json, asked: Mapping[str, Json]) -> None:
        """End what Stripe was to say of a cancellation, for an object of which it was taken back."""
        if asked.get("cancel_at_period_end") == "false" or asked.get("cancel_at") == "":
            kept = [
                {name: value for name, value in changes.items() if name not in CANCELLATION}
                if of(changed)
                else changes
                for of, changes in self._sayings
            ]
            self._sayings = [(of, changes) for (of, _), changes in zip(self._sayings, kept, strict=True)]

    def _changed(self, value: Json) -> Json:
        if isinstance(value, list):
            return [self._changed(one) for one in value]
        if not isinstance(value, dict):
            return value
        changed = {name: self._changed(one) for name, one in value.items()}
        for of, changes in self._sayings:
            if of(value):
                changed |= changes
        return changed


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in NOT_PASSED_ON}


@asynccontextmanager
async def open_recorder() -> AsyncIterator[tuple[Recorder, str]]:
    """Open a recorder that has no upstream yet; yield it and the base URL at which it is Stripe."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    async with httpx.AsyncClient(timeout=30) as http:
        recorder = Recorder(http)
        config = uvicorn.Config(recorder, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        config.load()
        server = uvicorn.Server(config)
        # The parts of `serve`, which would take over the signals of this process.
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        ticking = asyncio.create_task(server.main_loop())
        try:
            yield recorder, f"http://127.0.0.1:{listener.getsockname()[1]}{PREFIX}"
        finally:
            server.should_exit = True
            await ticking
            await server.shutdown(sockets=[listener])
