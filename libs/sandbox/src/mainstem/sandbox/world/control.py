"""The control API under `/_sandbox/`: faults, the clock, what the stand-ins hold, whether all is settled."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mainstem.common.errors import PROBLEM, MainstemError, NotFoundError, UnavailableError
from mainstem.sandbox.stand_ins.faults import OUTBOUND_SUFFIX, Faults
from mainstem.sandbox.stand_ins.protocol import StandIn, WebhookSource
from mainstem.sandbox.world.inputs import read_fault, read_object, read_release, read_target, read_wait
from mainstem.sandbox.world.pause import Pause
from mainstem.sandbox.world.settled import Outstanding, Pipeline
from mainstem.sandbox.world.timeline import Timeline

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ControlCall:
    """One call of the API, and what it does."""

    method: str
    path: str
    does: str
    endpoint: Callable[[Request], Awaitable[Response]]


class Control:
    """The endpoints, over the parts that they control."""

    def __init__(
        self,
        stand_ins: Sequence[StandIn],
        faults: Faults,
        timeline: Timeline,
        pipeline: Pipeline | None,
        pause: Pause | None = None,
    ) -> None:
        self._stand_ins = {stand_in.name: stand_in for stand_in in stand_ins}
        self._faults = faults
        self._timeline = timeline
        self._pipeline = pipeline
        self._pause = pause
        self._releasing = 0

    def calls(self) -> list[ControlCall]:
        """Return every call, in the order in which requests are matched."""
        return [
            ControlCall("GET", "/", "lists these calls", self._list_calls),
            ControlCall("GET", "/faults", "lists the rules in force and what they befell", self._list_faults),
            ControlCall("POST", "/faults", "adds a rule", self._add_fault),
            ControlCall("DELETE", "/faults", "drops all rules, or those of a target", self._clear_faults),
            ControlCall("GET", "/clock", "tells the world's time", self._tell_time),
            ControlCall("POST", "/clock", "moves it forward, and sends what falls due", self._move_clock),
            ControlCall("GET", "/settled", "counts what is outstanding, or waits for it", self._tell_settled),
            ControlCall("POST", "/empty", "removes what flowed through the pipeline", self._empty),
            ControlCall("POST", "/deliveries/pause", "has nothing more delivered", self._pause_deliveries),
            ControlCall("POST", "/deliveries/resume", "has deliveries go on", self._resume_deliveries),
            ControlCall("GET", "/{standin}", "tells what it holds", self._tell_holdings),
            ControlCall(
                "GET", "/{standin}/received", "lists the requests that it received", self._list_received
            ),
            ControlCall("POST", "/{standin}/reset", "has it forget everything", self._forget),
            ControlCall("POST", "/{standin}/hold", "has it keep its webhooks", self._hold),
            ControlCall("POST", "/{standin}/release", "has it send what it kept", self._release),
        ]

    def app(self) -> Starlette:
        """Return the application to mount."""
        return Starlette(
            routes=[Route(call.path, call.endpoint, methods=[call.method]) for call in self.calls()],
            exception_handlers={MainstemError: _answer_error, HTTPException: _answer_http_exception},
        )

    async def _list_calls(self, _: Request) -> Response:
        calls = {f"{call.method} /_sandbox{call.path}": call.does for call in self.calls()}
        return JSONResponse({"calls": calls, "stand_ins": list(self._stand_ins)})

    async def _list_faults(self, _: Request) -> Response:
        rules = [asdict(rule) for rule in self._faults.rules()]
        return JSONResponse({"faults": rules, "applied": self._faults.applied()})

    async def _add_fault(self, request: Request) -> Response:
        fault = read_fault(await read_object(request), self._targets())
        self._faults.add(fault)
        return JSONResponse(asdict(fault), 201)

    async def _clear_faults(self, request: Request) -> Response:
        self._faults.clear(request.query_params.get("target"))
        return Response(status_code=204)

    async def _tell_time(self, _: Request) -> Response:
        return JSONResponse({"now": self._timeline.now().isoformat()})

    async def _move_clock(self, request: Request) -> Response:
        target = read_target(await read_object(request), self._timeline.now())
        steps = await self._timeline.move_to(target)
        now = self._timeline.now().isoformat()
        return JSONResponse({"now": now, "steps": [at.isoformat() for at in steps]})

    async def _tell_settled(self, request: Request) -> Response:
        outstanding = await self._wait(read_wait(request.query_params.get("wait_seconds", "0")))
        dead = await self._database().dead_letters()
        return JSONResponse({**outstanding.as_json(), "dead_letters": dead})

    async def _wait(self, seconds: float) -> Outstanding:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            outstanding = await self._outstanding()
            if outstanding.is_settled or loop.time() >= deadline:
                return outstanding
            await asyncio.sleep(POLL_SECONDS)

    async def _outstanding(self) -> Outstanding:
        # Asked before the database: a webhook that leaves this count is recorded there.
        # A release sends one by one, so between two of them nothing is pending but the release itself.
        pending = self._releasing + sum(stand_in.pending() for stand_in in self._stand_ins.values())
        return await self._database().outstanding(self._timeline.now(), webhooks_pending=pending)

    async def _empty(self, _: Request) -> Response:
        return JSONResponse({"emptied": await self._database().empty()})

    async def _pause_deliveries(self, _: Request) -> Response:
        await self._deliveries().begin()
        return Response(status_code=204)

    async def _resume_deliveries(self, _: Request) -> Response:
        self._deliveries().end()
        return Response(status_code=204)

    async def _tell_holdings(self, request: Request) -> Response:
        return JSONResponse(self._stand_in(request).holds())

    async def _list_received(self, request: Request) -> Response:
        return JSONResponse({"received": self._stand_in(request).received()})

    async def _forget(self, request: Request) -> Response:
        await self._stand_in(request).reset()
        return Response(status_code=204)

    async def _hold(self, request: Request) -> Response:
        self._sender(request).hold()
        return Response(status_code=204)

    async def _release(self, request: Request) -> Response:
        sender = self._sender(request)
        order, times = read_release(await read_object(request))
        self._releasing += 1
        try:
            return JSONResponse({"released": await sender.release(order=order, times=times)})
        finally:
            self._releasing -= 1

    def _database(self) -> Pipeline:
        if self._pipeline is None:
            raise UnavailableError(
                "The sandbox was given no database: MAINSTEM_SANDBOX_DATABASE_URL is not set."
            )
        return self._pipeline

    def _deliveries(self) -> Pause:
        if self._pause is None:
            raise UnavailableError(
                "The sandbox has no hand on deliveries: MAINSTEM_DELIVERY_PAUSE_FILE is not set."
            )
        return self._pause

    def _stand_in(self, request: Request) -> StandIn:
        name = request.path_params["standin"]
        if name not in self._stand_ins:
            raise NotFoundError(f"There is no stand-in {name}; there are {', '.join(self._stand_ins)}.")
        return self._stand_ins[name]

    def _sender(self, request: Request) -> WebhookSource:
        stand_in = self._stand_in(request)
        if not isinstance(stand_in, WebhookSource):
            raise NotFoundError(f"{stand_in.name} sends no webhooks.")
        return stand_in

    def _targets(self) -> list[str]:
        senders = [name for name, stand_in in self._stand_ins.items() if isinstance(stand_in, WebhookSource)]
        return [*self._stand_ins, *(f"{name}{OUTBOUND_SUFFIX}" for name in senders)]


async def _answer_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, MainstemError):
        raise error
    return JSONResponse(error.problem(), int(error.status), headers=error.headers, media_type=PROBLEM)


async def _answer_http_exception(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    problem = {
        "type": "about:blank",
        "title": error.detail,
        "status": error.status_code,
        "detail": error.detail,
    }
    return JSONResponse(problem, error.status_code, headers=error.headers, media_type=PROBLEM)
