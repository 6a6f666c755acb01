"""Scripted faults: the rules, and the ASGI middleware that applies them to requests to a stand-in."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEFAULT_BODY = '{"error": {"type": "api_error", "message": "The sandbox was told to fail here."}}'
"""Answered with a scripted status where the rule gives no body: JSON that Stripe's SDK can read."""

CLOSED = "closed by a scripted fault"

ClosingApp = Callable[[Scope, Receive, Send], Awaitable[object]]
"""An ASGI application that may return something: uvicorn then closes the connection without an answer."""


class Kind(StrEnum):
    """Kind of a fault."""

    STATUS = "status"
    """Answered with the rule's status, headers and body; the stand-in never sees the request."""
    DELAY = "delay"
    """Late by the rule's seconds, else as usual."""
    DROP = "drop"
    """The connection closes without an answer; the stand-in never sees the request."""
    LOSE_ANSWER = "lose_answer"
    """The stand-in acts, then the connection closes without an answer."""
    LATE_ANSWER = "late_answer"
    """The stand-in acts, then its answer goes out late by the rule's seconds: too late for most clients."""
    REPLACE_ANSWER = "replace_answer"
    """The stand-in acts, then the rule's status, headers and body go out in place of its answer."""
    TRUNCATE = "truncate"
    """The stand-in acts, then half of its answer goes out and the connection closes."""
    DUPLICATE = "duplicate"
    """Sent twice."""


INBOUND = frozenset(
    {
        Kind.STATUS,
        Kind.DELAY,
        Kind.DROP,
        Kind.LOSE_ANSWER,
        Kind.LATE_ANSWER,
        Kind.REPLACE_ANSWER,
        Kind.TRUNCATE,
    }
)
"""Faults that can befall a request to a stand-in."""

OUTBOUND = frozenset({Kind.DELAY, Kind.DROP, Kind.DUPLICATE})
"""Faults that can befall a webhook from a stand-in; reordering is its sender's `hold` and `release`."""

OUTBOUND_SUFFIX = ".webhook"
FINAL_STATUSES = range(200, 600)
MOST_DELAY_SECONDS = 600


class FaultError(ValueError):
    """A rule contradicts itself."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule: what goes wrong, where, and how often still."""

    target: str
    """A stand-in's name for requests to it (`stripe`), or `stripe.webhook` for what it sends."""
    kind: Kind
    method: str | None = None
    """None matches any method."""
    path: str = ""
    """A regular expression searched in the path below the mount (`/v1/customers`), or in the URL sent to."""
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = DEFAULT_BODY
    delay_seconds: float = 0.0
    """Machine time before anything else happens, for a late answer after the stand-in has acted."""
    remaining: int | None = 1
    """The number of requests that it still befalls; None is every request until the rule is cleared."""

    def __post_init__(self) -> None:
        """Refuse what could never apply.

        Raises:
            FaultError: the rule contradicts itself.
        """
        allowed = OUTBOUND if self.target.endswith(OUTBOUND_SUFFIX) else INBOUND
        if self.kind not in allowed:
            raise FaultError(f"{self.kind} does not befall {self.target}; {', '.join(sorted(allowed))} do.")
        if self.kind in (Kind.DELAY, Kind.LATE_ANSWER) and self.delay_seconds <= 0:
            raise FaultError("A delay and a late answer need delay_seconds above 0.")
        if not 0 <= self.delay_seconds <= MOST_DELAY_SECONDS:
            raise FaultError(f"delay_seconds must be from 0 to {MOST_DELAY_SECONDS}.")
        if self.status not in FINAL_STATUSES:
            raise FaultError("status must be from 200 to 599.")
        if self.remaining is not None and self.remaining < 1:
            raise FaultError("remaining must be at least 1, or null for every request.")
        try:
            re.compile(self.path)
        except re.error as error:
            raise FaultError(f"path is no regular expression: {error}.") from error

    def befalls(self, target: str, method: str, path: str) -> bool:
        """Return whether the rule means this request."""
        return (
            self.target == target
            and (self.method is None or self.method.upper() == method.upper())
            and re.search(self.path, path) is not None
        )


class Faults:
    """The rules now in force, in the order in which they were given."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._applied: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Put the rule behind those in force."""
        self._rules.append(fault)

    def clear(self, target: str | None = None) -> None:
        """Drop the rules of one target, or all; the counts of what was applied go with them."""
        self._rules = [rule for rule in self._rules if target not in (None, rule.target)]
        self._applied = Counter({name: n for name, n in self._applied.items() if target not in (None, name)})

    def rules(self) -> list[Fault]:
        """Return the rules that still apply, each with what remains of it."""
        return list(self._rules)

    def applied(self) -> dict[str, int]:
        """Return how many requests of each target were befallen."""
        return dict(self._applied)

    def match(self, target: str, method: str, path: str) -> Fault | None:
        """Use up one turn of the first rule that befalls the request, and return that rule."""
        for index, rule in enumerate(self._rules):
            if rule.befalls(target, method, path):
                self._use(index)
                return rule
        return None

    def _use(self, index: int) -> None:
        rule = self._rules[index]
        self._applied[rule.target] += 1
        if rule.remaining == 1:
            del self._rules[index]
        elif rule.remaining is not None:
            self._rules[index] = replace(rule, remaining=rule.remaining - 1)


class FaultMiddleware:
    """Let the rules befall requests to stand-ins that are mounted under their names.

    Around it only applications that pass on what it returns may stand, which routers do not.
    """

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> str | None:
        """Answer the request, perhaps wrongly. Return a text to have the connection closed."""
        fault = self._fault(scope)
        if fault is None:
            await self._app(scope, receive, send)
            return None
        if fault.kind is not Kind.LATE_ANSWER:
            await asyncio.sleep(fault.delay_seconds)
        return await _APPLY[fault.kind](self._app, fault, scope, receive, send)

    def _fault(self, scope: Scope) -> Fault | None:
        if scope["type"] != "http":
            return None
        target, _, path = scope["path"].removeprefix("/").partition("/")
        return self._faults.match(target, scope["method"], f"/{path}")


async def _answer(_: ASGIApp, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"content-type": "application/json", **{k.lower(): v for k, v in fault.headers.items()}}
    await Response(fault.body, fault.status, headers)(scope, receive, send)


async def _pass(app: ASGIApp, _: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _drop(*_: object) -> str:
    return CLOSED


async def _lose_answer(app: ASGIApp, _: Fault, scope: Scope, receive: Receive, __: Send) -> str:
    await app(scope, receive, _swallow)
    return CLOSED


async def _late_answer(app: ASGIApp, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    await asyncio.sleep(fault.delay_seconds)
    for message in messages:
        await send(message)


async def _replace_answer(app: ASGIApp, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, _swallow)
    await _answer(app, fault, scope, receive, send)


async def _truncate(app: ASGIApp, _: Fault, scope: Scope, receive: Receive, send: Send) -> str:
    async def cut(message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            message = {**message, "body": body[: len(body) // 2], "more_body": True}
        await send(message)

    await app(scope, receive, cut)
    return CLOSED


async def _swallow(_: Message) -> None:
    """Send nothing."""


_APPLY: dict[Kind, Callable[[ASGIApp, Fault, Scope, Receive, Send], Awaitable[str | None]]] = {
    Kind.STATUS: _answer,
    Kind.DELAY: _pass,
    Kind.DROP: _drop,
    Kind.LOSE_ANSWER: _lose_answer,
    Kind.LATE_ANSWER: _late_answer,
    Kind.REPLACE_ANSWER: _replace_answer,
    Kind.TRUNCATE: _truncate,
}
