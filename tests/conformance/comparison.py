"""Comparing what is there with what a case expects; pure. Functions return the first difference, or None."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Json = Any

NEAR = timedelta(minutes=10)
"""How far from the world's time `<NOW>` may be: a case takes seconds."""

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
_FORMATS = {"YYYY-MM-DD": "%Y-%m-%d", "MM/DD/YYYY": "%m/%d/%Y", "MM/DD/YYYY HH:MM:SS": "%m/%d/%Y %H:%M:%S"}
_DATED = re.compile(r"<(?:NOW|TODAY) (.+)>")


def differs(expected: Json, actual: Json, now: datetime, where: str = "") -> str | None:
    """Compare a value: of an object what is expected of it, of a list every entry in order."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return _first(
            differs(value, actual[name], now, f"{where}.{name}")
            if name in actual
            else f"{where}.{name} is absent"
            for name, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"{where}: {len(expected)} entries expected, {len(actual)} found"
        return _first(
            differs(one, other, now, f"{where}[{number}]")
            for number, (one, other) in enumerate(zip(expected, actual, strict=True))
        )
    return None if _is_same(expected, actual, now) else f"{where}: {expected!r} expected, {actual!r} found"


def answer_differs(
    expected: Mapping[str, Json], status: int, body: Json, headers: Mapping[str, str], now: datetime
) -> str | None:
    """Compare an HTTP answer; of the fields that are refused, where they stand."""
    if "status" in expected and expected["status"] != status:
        return f"status {expected['status']} expected, {status} found: {str(body)[:200]}"
    for name, header in (("location", "location"), ("www_authenticate", "www-authenticate")):
        if name in expected and headers.get(header) != expected[name]:
            return f"{header}: {expected[name]!r} expected, {headers.get(header)!r} found"
    if "json" not in expected:
        return None
    refused = _refused(expected["json"]) if status == 422 else None
    if refused is not None:
        found = _places(body.get("errors", []) if isinstance(body, Mapping) else [])
        missing = sorted(set(refused) - set(found))
        return f"the refusal of {missing[0]} is absent" if missing else None
    return differs(expected["json"], body, now, "body")


def rows_differ(
    expected: Sequence[Mapping[str, Json]], actual: Sequence[Mapping[str, Json]], key: str, now: datetime
) -> str | None:
    """Compare rows in whatever order, by the column that tells them apart."""
    ours = {str(row.get(key)): row for row in actual}
    theirs = {str(row.get(key)): row for row in expected}
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


def _first(differences: Iterable[str | None]) -> str | None:
    return next((one for one in differences if one is not None), None)


def _refused(expected: Json) -> list[tuple[str, ...]] | None:
    """Return where the refused fields stand, None where the refusal is a text."""
    detail = expected.get("detail") if isinstance(expected, Mapping) else None
    if isinstance(detail, Mapping):
        detail = detail.get("errors")
    return _places(detail) if isinstance(detail, list) else None


def _places(errors: Iterable[Mapping[str, Json]]) -> list[tuple[str, ...]]:
    return [tuple(map(str, error["loc"])) for error in errors]


def _is_same(expected: Json, actual: Json, now: datetime) -> bool:
    if isinstance(expected, str) and expected.startswith("<"):
        return _fits(expected, actual, now)
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if expected == actual:
        return True
    one, other = _instant(expected), _instant(actual)
    return one is not None and one == other


def _fits(placeholder: str, actual: Json, now: datetime) -> bool:
    if placeholder in _PLACEHOLDERS:
        return _PLACEHOLDERS[placeholder](actual, now)
    dated = _DATED.fullmatch(placeholder)
    if dated and dated[1] in _FORMATS and isinstance(actual, str):
        return _is_near(actual, _FORMATS[dated[1]], now)
    return bool(placeholder == actual)


def _is_now(actual: Json, now: datetime) -> bool:
    instant = _instant(actual)
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


def _instant(value: Json) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or len(value) < len("2000-01-01T00:00"):
        return None
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
