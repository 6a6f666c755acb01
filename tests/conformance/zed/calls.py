"""The cases' short form of calls to Stripe, `POST /v1/customers {email:a@example.com}`, beside ours; pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from tests.conformance.deviations import ZED_PARAMETERS
from tests.conformance.verdict import Notes

Json = Any

_LINE = re.compile(r"([A-Z]+) (/\S*)(?: (\{.*\}))?", re.DOTALL)
_END = re.compile(r"[,\]}]")
_KEY = re.compile(r"([^\[]+)((?:\[[^\]]*\])*)")

MORE = "..."
"""Stands for further parameters, which are not compared; a call without braces says nothing of any."""

METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH"})


@dataclass(frozen=True)
class Call:
    """One call; `answer` is Stripe's, of our calls alone."""

    method: str
    path: str
    params: Mapping[str, Json]
    answer: Mapping[str, Json] = field(default_factory=dict)


def read(line: str) -> Call:
    """Return the call that a line stands for.

    Raises:
        ValueError: it stands for none.
    """
    match = _LINE.fullmatch(line.strip())
    if match is None or match[1] not in METHODS:
        raise ValueError(f"no call: {line}")
    if match[3] is None:
        return Call(match[1], match[2], {MORE: True})
    value, rest = _value(match[3])
    if rest.strip() or not isinstance(value, dict):
        raise ValueError(f"no call: {line}")
    return Call(match[1], match[2], value)


def form(text: str) -> dict[str, Json]:
    """Return a form's fields as they nest: `a[0][b]=1` is `{"a": [{"b": "1"}]}`."""
    found: dict[str, Json] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"no field: {key}")
        names = [match[1], *re.findall(r"\[([^\]]*)\]", match[2])]
        inner = found
        for name in names[:-1]:
            inner = inner.setdefault(name, {})
        inner[names[-1]] = value
    return {name: _listed(value) for name, value in found.items()}


def differ(
    expected: Sequence[Call], actual: Sequence[Call], names: Mapping[str, str], notes: Notes
) -> str | None:
    """Compare calls in order, all their parameters, and return the first difference, or None.

    Args:
        expected: of the case.
        actual: ours.
        names: our ids by the case's.
        notes: takes the parameters that are sent beside the expected ones, as is documented.
    """
    theirs = [f"{call.method} {_named(call.path, names)}" for call in expected]
    ours = [f"{call.method} {call.path}" for call in actual]
    if theirs != ours:
        return f"calls to Stripe: {theirs} expected, {ours} found"
    for number, (wanted, call) in enumerate(zip(expected, actual, strict=True)):
        made = [str(one.answer.get("id")) for one in actual[:number]]
        params = _without_more(wanted, call, notes)
        difference = _differs(wanted.params, params, names, made, wanted.path)
        if difference is not None:
            return f"calls to Stripe: {difference}"
    return None


def _without_more(wanted: Call, call: Call, notes: Notes) -> Mapping[str, Json]:
    """Return our parameters without those that are documented as further ones."""
    if MORE in wanted.params:
        return call.params
    more = {name for name in call.params.keys() - wanted.params.keys() if (call.path, name) in ZED_PARAMETERS}
    notes.documented += [f"{call.path} gets {name} too" for name in sorted(more)]
    return {name: value for name, value in call.params.items() if name not in more}


def _value(text: str) -> tuple[Json, str]:
    """Return the value that a text begins with, and the rest."""
    text = text.lstrip()
    if text.startswith("{"):
        return _object(text[1:])
    if text.startswith("["):
        return _list(text[1:])
    end = _END.search(text)
    if end is None:
        raise ValueError(f"no end: {text}")
    return text[: end.start()].strip(), text[end.start() :]


def _object(text: str) -> tuple[dict[str, Json], str]:
    found: dict[str, Json] = {}
    while not (text := text.lstrip(" ,")).startswith("}"):
        if text.startswith(MORE):
            found[MORE] = True
            text = text.removeprefix(MORE)
            continue
        key, colon, text = text.partition(":")
        if not colon:
            raise ValueError(f"no field: {key}")
        found[key.strip()], text = _value(text)
    return found, text[1:]


def _list(text: str) -> tuple[list[Json], str]:
    found: list[Json] = []
    while not (text := text.lstrip(" ,")).startswith("]"):
        value, text = _value(text)
        found.append(value)
    return found, text[1:]


def _listed(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(one) for name, one in value.items()}
    return [*inner.values()] if all(name.isdecimal() or not name for name in inner) else inner


def _named(path: str, names: Mapping[str, str]) -> str:
    return "/".join(names.get(part, part) for part in path.split("/"))


def _differs(
    expected: Json, actual: Json, names: Mapping[str, str], made: Sequence[str], where: str
) -> str | None:
    if isinstance(expected, dict):
        stray = actual.keys() - expected.keys() if isinstance(actual, dict) and MORE not in expected else ()
        if stray:
            return f"{where} {min(stray)} is stray"
        for name, value in expected.items():
            if name == MORE:
                continue
            inner = actual.get(name) if isinstance(actual, dict) else None
            if difference := _differs(value, inner, names, made, f"{where} {name}"):
                return difference
        return None
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(expected) != len(actual):
            return f"{where}: {expected} expected, {actual} found"
        pairs = zip(expected, actual, strict=True)
        return next(filter(None, (_differs(*pair, names, made, where) for pair in pairs)), None)
    if expected == "<new id>":
        is_same = actual in made
    elif expected == "<configured>":
        is_same = bool(actual)
    else:
        is_same = actual == names.get(expected, expected)
    return None if is_same else f"{where}: {expected!r} expected, {actual!r} found"
