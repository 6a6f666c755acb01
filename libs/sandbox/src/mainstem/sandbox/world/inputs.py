"""Inputs of the control API, read strictly: anything unclear is a `BadRequestError`."""

import json
import math
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
from starlette.requests import Request

from mainstem.common.errors import BadRequestError
from mainstem.sandbox.stand_ins.faults import Fault
from mainstem.sandbox.stand_ins.protocol import Order

MOST_ADVANCE = timedelta(days=3660)
"""Every renewal on the way is played, so a slip of the pen must not ask for millennia."""

MOST_WAIT_SECONDS = 600
MOST_RELEASES = 100


async def read_object(request: Request) -> dict[str, Any]:
    """Return the body's JSON object; an empty body is an empty one."""
    try:
        content = json.loads(await request.body() or b"{}")
    except ValueError as error:
        raise BadRequestError("The body is not JSON.") from error
    if not isinstance(content, dict):
        raise BadRequestError("The body must be a JSON object.")
    return content


def read_fault(content: dict[str, Any], targets: Sequence[str]) -> Fault:
    """Return the rule; a body that is no text is answered as JSON."""
    _only(content, {field.name for field in fields(Fault)})
    if content.get("target") not in targets:
        raise BadRequestError(f"target must be one of {', '.join(targets)}.")
    body = content.get("body", "")
    if not isinstance(body, str):
        content = {**content, "body": json.dumps(body)}
    try:
        return msgspec.convert(content, Fault)
    except msgspec.ValidationError as error:
        raise BadRequestError(str(error)) from error


def read_target(content: dict[str, Any], now: datetime) -> datetime:
    """Return the world time to move to, which has not passed."""
    _only(content, {"advance_seconds", "to"})
    if len(content) != 1:
        raise BadRequestError('Give either {"advance_seconds": …} or {"to": …}.')
    target = (
        _read_instant(content["to"]) if "to" in content else _read_advance(content["advance_seconds"], now)
    )
    if target < now:
        raise BadRequestError(f"The clock goes forward only: it is {now.isoformat()}.")
    if target - now > MOST_ADVANCE:
        raise BadRequestError(f"One move is at most {MOST_ADVANCE.days} days.")
    return target


def _read_advance(seconds: Any, now: datetime) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadRequestError("advance_seconds must be a number.")
    try:
        return now + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise BadRequestError("advance_seconds leads beyond the calendar.") from error


def _read_instant(text: Any) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequestError("to must be a date and time in ISO 8601.") from error
    raise BadRequestError("to must name its time zone, such as Z.")


def read_wait(text: str) -> float:
    """Return how many seconds of machine time to wait."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MOST_WAIT_SECONDS:
        raise BadRequestError(f"wait_seconds must be a number from 0 to {MOST_WAIT_SECONDS}.")
    return seconds


def read_release(content: dict[str, Any]) -> tuple[Order, int]:
    """Return in which order to send, and how often each."""
    _only(content, {"order", "times"})
    order, times = content.get("order", "recorded"), content.get("times", 1)
    if order not in get_args(Order):
        raise BadRequestError(f"order must be {' or '.join(get_args(Order))}.")
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MOST_RELEASES:
        raise BadRequestError(f"times must be a whole number from 1 to {MOST_RELEASES}.")
    return order, times


def _only(content: dict[str, Any], names: set[str]) -> None:
    unknown = sorted(content.keys() - names)
    if unknown:
        raise BadRequestError(f"{', '.join(unknown)} means nothing here; {', '.join(sorted(names))} would.")
