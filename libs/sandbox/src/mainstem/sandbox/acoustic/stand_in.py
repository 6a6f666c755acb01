"""Acoustic as the control API sees it: its routes, what it holds and what it received."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from mainstem.common.clock import Clock
from mainstem.sandbox.acoustic.account import AcousticAccount
from mainstem.sandbox.acoustic.call_log import CallLog
from mainstem.sandbox.acoustic.envelope import (
    FaultAnswer,
    Operation,
    OperationResult,
    read_operations,
    session_expired,
    write_answers,
)
from mainstem.sandbox.acoustic.limit import Limit, LimitMiddleware
from mainstem.sandbox.acoustic.operations import Holdings, carry_out
from mainstem.sandbox.acoustic.tokens import TokenRefusedError, Tokens
from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stand_ins.faults import ClosingApp

_LAYOUT = 1
"""The version of what is kept; to be raised whenever that changes its shape."""


class AcousticStandIn:
    """One Acoustic account.

    Args:
        clock: the world's time.
        account: its credentials and tables.
        folder: where rows and tokens are kept, and found again by the next process; None is memory.

    Raises:
        sqlite3.OperationalError: another process has the folder, or it cannot be written.
    """

    name = "acoustic"

    def __init__(self, clock: Clock, account: AcousticAccount, *, folder: Path | None = None) -> None:
        self._archive = Archive.inside(folder, self.name, layout=_LAYOUT)
        self._tokens = Tokens(account, archive=self._archive)
        self._holdings = Holdings(account, self._archive)
        self._call_log = CallLog(clock)
        self._limit = Limit()
        self.routes: Sequence[BaseRoute] = [
            Route("/oauth/token", self._token, methods=["POST"]),
            Route("/XMLAPI", self._xml_api, methods=["POST"]),
        ]

    def limited(self, app: ClosingApp) -> LimitMiddleware:
        """Return the whole sandbox's application with this account's limit around it."""
        return LimitMiddleware(app, self._limit, f"/{self.name}/XMLAPI", self._call_log.refusal)

    def next_due(self) -> datetime | None:
        """Return None: nothing happens at Acoustic by itself."""
        return None

    async def fall_due(self, at: datetime) -> None:
        """Do nothing: nothing happens at Acoustic by itself."""

    async def drain(self) -> None:
        """Return at once: Acoustic sends nothing."""

    def pending(self) -> int:
        """Return 0: Acoustic sends nothing."""
        return 0

    def holds(self) -> dict[str, Any]:
        """Return every table, nested by its key, and how the XML API was used."""
        tables = {table.schema.name: table.as_json() for table in self._holdings.tables()}
        return {**tables, "requests": self._limit.as_json()}

    def received(self) -> list[dict[str, Any]]:
        """Return the calls, the oldest first, each with its answer; credentials are left out."""
        return self._call_log.calls()

    async def reset(self) -> None:
        """Forget rows, calls and counts. Tokens stay good: who holds one cannot know of the reset."""
        for table in self._holdings.tables():
            table.clear()
        self._archive.commit()
        self._call_log.clear()
        self._limit.forget()

    async def start(self) -> None:
        """Do nothing: Acoustic has no tasks beside its requests."""

    async def stop(self) -> None:
        """Give the folder back: Acoustic has no tasks beside its requests. Safe to repeat."""
        self._archive.close()

    async def _token(self, request: Request) -> Response:
        try:
            answer = self._tokens.grant(await _read_form(request))
        except TokenRefusedError as refused:
            self._call_log.token(request.headers, refused.error)
            content = {"error": refused.error, "error_description": refused.description}
            return JSONResponse(content, refused.status)
        self._archive.commit()
        self._call_log.token(request.headers, "success")
        return JSONResponse(answer)

    async def _xml_api(self, request: Request) -> Response:
        form = await _read_form(request)
        if self._tokens.accepts(request.headers.get("authorization", "")):
            answers = self._answer(request, form.get("xml", ""))
        else:
            answers = [self._refuse(request, session_expired())]
        return Response(write_answers(answers), media_type="text/xml")

    def _answer(self, request: Request, xml: str) -> list[OperationResult]:
        try:
            operations = read_operations(xml)
        except FaultAnswer as fault:
            return [self._refuse(request, fault)]
        return [self._carry_out(request, operation) for operation in operations]

    def _carry_out(self, request: Request, operation: Operation) -> OperationResult:
        answer = carry_out(self._holdings, operation)
        self._archive.commit()
        table = self._holdings.find_name(operation.target)
        self._call_log.operation(request.headers, operation, table, answer)
        return answer

    def _refuse(self, request: Request, fault: FaultAnswer) -> OperationResult:
        self._call_log.refusal(request.headers, fault)
        return fault


async def _read_form(request: Request) -> dict[str, str]:
    """Return the form's fields, the last of each name; none where the body is not UTF-8."""
    try:
        body = (await request.body()).decode()
        return dict(parse_qsl(body, keep_blank_values=True, errors="strict"))
    except UnicodeDecodeError:
        return {}
