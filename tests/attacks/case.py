"""Attacks as data: what is sent to a door, and how a right server answers it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.attacks.wire import Outcome, Part, connect

PATIENCE_SECONDS = 4.0
"""Longer than every time limit of the processes under attack."""

MALFORMED = frozenset({400})
REFUSALS = frozenset({400, 413, 414, 417, 421, 426, 431, 501, 505})
"""Statuses by which a server refuses a request before its application sees it."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
METHOD = re.compile(f"({'|'.join(METHODS)}) ".encode())

SENTINEL = b"GET /__lbheartbeat__ HTTP/1.1\r\nHost: sentinel\r\nConnection: close\r\n\r\n"
"""Sent last on a connection that is still open: its answer must be the next one and the last."""


@dataclass(frozen=True)
class Door:
    """One way in: a process, or the gateway with the service behind a route."""

    name: str
    address: tuple[str, int]
    get: bytes
    """A target for GET and HEAD; it has a query."""
    post: bytes
    """A target for every other method."""
    credentials: bytes = b""
    """Header lines that the route demands."""

    def fill(self, parts: Iterable[Part]) -> list[Part]:
        """Return the parts with this door's names in the place of theirs."""
        return [self._fill(part) if isinstance(part, bytes) else part for part in parts]

    def _fill(self, part: bytes) -> bytes:
        authority = b"%s:%d" % (self.address[0].encode(), self.address[1])
        names = {
            b"<H>": b"Host: <AUTHORITY>\r\n<CREDENTIALS>",
            b"<AUTHORITY>": authority,
            b"<CREDENTIALS>": self.credentials,
            b"<GET>": self.get,
            b"<POST>": self.post,
        }
        for name, value in names.items():
            part = part.replace(name, value)
        return part


@dataclass(frozen=True)
class Case:
    """One attack.

    Served means: answered as the plain request with this method. Refused means: at most one answer with
    one of the statuses, and the connection closed, so that nothing that follows is taken for a request.
    """

    name: str
    parts: tuple[Part, ...]
    is_served: bool = False
    is_refused: bool = True
    statuses: frozenset[int] = MALFORMED
    others: frozenset[int] = frozenset()
    """Further statuses with which a served case may be answered, and its connection kept."""
    before: int = 0
    """How many requests before the attack are answered as usual."""
    answers: int = 1
    """How many requests are served, where the case is served."""
    may_close: bool = False
    """Whether the connection of a served case may be closed after any of its answers."""
    is_late: bool = False
    """Whether the fault shows after the head only: the application may have answered already."""
    may_be_silent: bool = False
    """Whether the connection may be closed without an answer, or before the answer could be read."""
    is_whole: bool = True
    """Whether a request sent afterwards is a request, and not the rest of a body."""

    @property
    def method(self) -> str:
        """The method of the first request, GET where it is none that a door knows."""
        found = METHOD.match(self.parts[0]) if isinstance(self.parts[0], bytes) else None
        return found[1].decode() if found else "GET"


def refused(name: str, *parts: Part, statuses: Iterable[int] = MALFORMED, **more: object) -> Case:
    """Return a case that has to be refused."""
    return Case(name, parts, statuses=frozenset(statuses), **more)  # type: ignore[arg-type]  # a case's fields


def served(name: str, *parts: Part, **more: object) -> Case:
    """Return a case that has to be served like any request."""
    return Case(name, parts, is_served=True, is_refused=False, **more)  # type: ignore[arg-type]  # a case's fields


def either(name: str, *parts: Part, statuses: Iterable[int] = (), **more: object) -> Case:
    """Return a case that is served as one request, or refused with the connection closed."""
    allowed = REFUSALS | frozenset(statuses)
    return Case(name, parts, is_served=True, statuses=allowed, **more)  # type: ignore[arg-type]  # a case's fields


def answered(name: str, *parts: Part, statuses: Iterable[int], **more: object) -> Case:
    """Return a case that gets one of these answers, and whose connection may then be kept or closed."""
    return served(name, *parts, others=frozenset(statuses), may_close=True, **more)


def request(
    method: str, *lines: bytes, body: bytes = b"", target: bytes = b"", version: bytes = b"1.1"
) -> bytes:
    """Return a request with the usual headers and these; the target is the door's unless given."""
    target = target or (b"<GET>" if method in {"GET", "HEAD"} else b"<POST>")
    head = b"%s %s HTTP/%s\r\n<H>" % (method.encode(), target, version)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


async def attack(case: Case, door: Door, *, patience: float = PATIENCE_SECONDS) -> Outcome:
    """Send a case, then a sentinel where the connection is still open; return all that came back."""
    wire = await connect(door.address, heads=(0,) if case.method == "HEAD" else ())
    try:
        await wire.send(door.fill(case.parts), patience=patience)
        await wire.until_answers(case.before + (case.answers if case.is_served else 1), patience=patience)
        answers = wire.outcome().answers
        if case.is_whole and not (answers and answers[-1].says_close):
            await wire.send([SENTINEL], patience=patience)
        await wire.until_closed(patience=patience)
        return wire.outcome()
    finally:
        await wire.close()


def judge(case: Case, outcome: Outcome, plain: int) -> list[str]:
    """Return what is wrong about an outcome; `plain` is the status of a plain request like this."""
    problems = [f"malformed bytes: {outcome.rest[:60]!r}"] if outcome.rest else []
    if set(outcome.interim) - {100}:
        problems.append(f"interim answers {outcome.interim}")
    readings = [_as_served(case, outcome, plain)] if case.is_served else []
    readings += [_as_refused(case, outcome, plain)] if case.is_refused else []
    if all(readings):
        problems.append(" / ".join(reading for reading in readings if reading))
    return problems


def _as_served(case: Case, outcome: Outcome, plain: int) -> str:
    count = case.before + case.answers
    found, after = outcome.statuses[:count], outcome.statuses[count:]
    says_close = len(found) == count and outcome.answers[count - 1].says_close
    is_end = after == [200] or (not after and (case.may_close or says_close))
    is_enough = len(found) == count or (case.may_close and len(found) > case.before)
    is_served = is_enough and all(one == plain or one in case.others for one in found)
    if is_served and is_end and outcome.is_closed:
        return ""
    return f"not served: {_say(outcome)}, not {[plain] * count + [200]}"


def _as_refused(case: Case, outcome: Outcome, plain: int) -> str:
    statuses = outcome.statuses
    first, rest = statuses[: case.before], statuses[case.before :]
    allowed = case.statuses | ({plain} if case.is_late else frozenset())
    is_refusal = (len(rest) == 1 and rest[0] in allowed) or (not rest and case.may_be_silent)
    if first == [plain] * case.before and is_refusal and outcome.is_closed:
        return ""
    return f"not refused: {_say(outcome)}, not one of {sorted(allowed)} and closed"


def _say(outcome: Outcome) -> str:
    return f"{outcome.statuses} and {'closed' if outcome.is_closed else 'left open'}"
