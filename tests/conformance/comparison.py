"""Exact comparison of values with an expectation; pure. Functions return the first difference, or None."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Json = Any

NEAR = timedelta(minutes=10)
"""Largest distance of `<NOW>` from the world's time: a case takes seconds."""

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_FORMATS = {"YYYY-MM-DD": "%Y-%m-%d", "MM/DD/YYYY": "%m/%d/%Y", "MM/DD/YYYY HH:MM:SS": "%m/%d/%Y %H:%M:%S"}
_DATED = re.compile(r"<(?:NOW|TODAY) (.+)>")


def differs(expected: Json, actual: Json, now: datetime, where: str = "") -> str | None:
    """Compare a value exactly: of an object every member on both sides, of a list every entry in order."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return _members_differ(expected, actual, now, where)
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where}: {len(expected)} entries expected, {len(actual)} found"
        return first(
            differs(one, other, now, f"{where}[{number}]")
            for number, (one, other) in enumerate(zip(expected, actual, strict=True))
        )
    return None if is_same(expected, actual, now) else f"{where}: {expected!r} expected, {actual!r} found"


def rows_differ(
    expected: Sequence[Mapping[str, Json]], actual: Sequence[Mapping[str, Json]], key: str, now: datetime
) -> str | None:
    """Compare rows in any order by the column `key`, which is unique on both sides."""
    ours = {str(row.get(key)): row for row in actual}
    theirs = {str(row.get(key)): row for row in expected}
    if len(theirs) != len(expected):
        return f"{key} is expected more than once"
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours:
            return f"{key} {name} is absent"
        if name not in theirs:
            return f"{key} {name} is too much"
        if difference := differs(theirs[name], ours[name], now, f"{key} {name}"):
            return difference
    if len(ours) != len(actual):
        return f"{key} comes more than once"
    return None


def first(differences: Iterable[str | None]) -> str | None:
    """Return the first difference, None if there is none."""
    return next((one for one in differences if one is not None), None)


def is_same(expected: Json, actual: Json, now: datetime) -> bool:
    """Whether a single value is the expected one, of the same type, or fits its placeholder."""
    if isinstance(expected, str) and expected.startswith("<"):
        return _fits(expected, actual, now)
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return bool(expected == actual)


def _members_differ(
    expected: Mapping[str, Json], actual: Mapping[str, Json], now: datetime, where: str
) -> str | None:
    if stray := sorted(actual.keys() - expected.keys()):
        return f"{where}.{stray[0]} is stray"
    if absent := sorted(expected.keys() - actual.keys()):
        return f"{where}.{absent[0]} is absent"
    return first(differs(value, actual[name], now, f"{where}.{name}") for name, value in expected.items())


def _fits(placeholder: str, actual: Json, now: datetime) -> bool:
    if placeholder in _PLACEHOLDERS:
        return _PLACEHOLDERS[placeholder](actual, now)
    dated = _DATED.fullmatch(placeholder)
    if dated and dated[1] in _FORMATS and isinstance(actual, str):
        return _is_near(actual, _FORMATS[dated[1]], now)
    return bool(placeholder == actual)


def _is_now(actual: Json, now: datetime) -> bool:
    instant = instant_of(actual)
    return instant is not None and abs(instant - now) < NEAR


_PLACEHOLDERS: dict[str, Callable[[Json, datetime], bool]] = {
    "<any>": lambda _actual, _now: True,
    "<int>": lambda actual, _now: isinstance(actual, int) and not isinstance(actual, bool),
    "<JWT>": lambda actual, _now: isinstance(actual, str) and _JWT.fullmatch(actual) is not None,
    "<NOW>": _is_now,
}


def _is_near(text: str, layout: str, now: datetime) -> bool:
    try:
        instant = datetime.strptime(text, layout).replace(tzinfo=UTC)
    except ValueError:
        return False
    # A day without a time begins up to a day ago.
    return now - NEAR - timedelta(days=0 if "%H" in layout else 1) < instant < now + NEAR


def instant_of(value: Json) -> datetime | None:
    """Return the time that a text or a datetime stands for, None for any other value."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) < len("2000-01-01T00:00"):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
