"""Mutants of cases: each differs from its case in one expected value, entry or member; pure."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Any
Place = tuple[str | int, ...]
Found = tuple[Place, Json, bool]
"""A place, the value there, and whether the case is wrong without it."""

TABLES = frozenset({"product_table", "main_table_v1_1_0", "fxa_created_date"})
EXPECTATIONS = TABLES | {
    *("expect", "final", "json_shape"),
    *("status", "msg", "local", "active_seed", "active_shipped", "cancelable"),
}
"""Members of a case, a step, a row or a table that hold expectations."""

OPEN = frozenset({"expect", "final", "log", "cycle_context", "cycle_context_subset"})
"""Expectations whose members are optional: without one of them a case is not wrong."""

GIVEN = frozenset({"action", "setup", "given", "user", "query", "body", "subscriptions"})
OTHERS = frozenset({"observed_differences", "recommended", "upstream_tests", "note", "notes", "in"})
PAIRS = frozenset({"bool", "timestamp", "datetime", "date", "null_int"})
"""Lists of examples, each a list whose last entry is expected."""

GONE = object()


@dataclass(frozen=True)
class Mutant:
    """A case that is wrong at one place; `original` is the right one."""

    place: Place
    original: Json
    content: Json
    is_gone: bool

    def __str__(self) -> str:
        """Return the place as a path, and whether nothing is there any more."""
        parts = (f"[{one}]" if isinstance(one, int) else f".{one}" for one in self.place)
        return "".join(parts).lstrip(".") + (" gone" if self.is_gone else "")


def mutants(content: Json) -> Iterator[Mutant]:
    """Yield the mutants of a case."""
    for place, value, may_go in _expected(content, ()):
        if isinstance(value, list) and TABLES & {*place}:
            # One example more is not wrong.
            continue
        for other in [*_others(value), *([GONE] if may_go else [])]:
            yield Mutant(place, content, _changed(content, place, other), other is GONE)


def _expected(content: Json, place: Place) -> Iterator[Found]:
    """Yield the places of all expectations."""
    if isinstance(content, list):
        for number, value in enumerate(content):
            yield from _expected(value, (*place, number))
    if not isinstance(content, Mapping):
        return
    for name, value in content.items():
        if name in EXPECTATIONS:
            yield from _inside(value, (*place, name))
        elif name not in GIVEN | OTHERS:
            yield from _expected(value, (*place, name))


def _inside(value: Json, place: Place, *, may_go: bool = False) -> Iterator[Found]:
    if place[-1] in OTHERS:
        return
    # One example less is not wrong.
    yield place, value, may_go and not TABLES & {*place}
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _inside(inner, (*place, name), may_go=place[-1] not in OPEN)
    elif isinstance(value, list):
        is_pair = len(place) > 1 and place[-2] in PAIRS
        for number, inner in [*enumerate(value)][-1 if is_pair else 0 :]:
            yield from _inside(inner, (*place, number), may_go=True)


def _others(value: Json) -> list[Json]:
    """Return wrong values in place of one."""
    if isinstance(value, Mapping):
        return [{**value, "other": "other"}]
    if isinstance(value, list):
        return [[*value, copy.deepcopy(value[-1]) if value else "other"]]
    return [] if value == "<any>" else [_other(value)]


def _other(value: Json) -> Json:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if not isinstance(value, str) or not value or value.startswith("<"):
        return "other"
    last = max(number for number, one in enumerate(value) if one.isalnum() or number == 0)
    return f"{value[:last]}{'1' if value[last] != '1' else '2'}{value[last + 1 :]}"


def _changed(content: Json, place: Place, value: Json) -> Json:
    changed = copy.deepcopy(content)
    inner = changed
    for name in place[:-1]:
        inner = inner[name]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed
