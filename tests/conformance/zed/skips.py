"""Why a case of this format is not run: what it needs does not exist here, or not yet; pure."""

import json
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.conformance.case import CaseError
from tests.conformance.ctms.parts import is_served
from tests.conformance.zed import calls
from tests.conformance.zed.case import (
    CONDITIONS,
    EXPECTED,
    EXPECTED_OF_A_ROW,
    GIVEN,
    MEMBERS,
    OF_A_SUBSCRIPTION,
    OF_A_USER,
    SAID,
    STATUS_COLUMNS,
    TOLD,
    is_status_table,
    requests_of,
    subscriptions_of,
)

from mainstem.billing.operations import runner
from mainstem.ingest.providers.protocol import PayloadError
from mainstem.ingest.providers.stripe.rows import snapshot

Json = Any

REGISTER = ("POST", "/api/v1/remotes/server/register")
UPLOAD = ("POST", "/api/v1/remotes/server/analytics")


def _line(request: tuple[str, str]) -> str:
    return f"{request[0]} {request[1].partition('?')[0]}"


def _has_table(word: str) -> bool:
    """Whether a table of the first migration, where every table is, has a word in its name."""
    text = (files("mainstem.common.migrations.versions") / "0001_main_stem.py").read_text(encoding="utf-8")
    return any(word in line for line in text.splitlines() if "CREATE TABLE" in line)


def _has_module(word: str) -> bool:
    """Whether a module of ingest has a word in its name."""
    return any(word in file.stem for file in Path(str(files("mainstem.ingest"))).rglob("*.py"))


Need = tuple[str, Callable[[], bool]]
LEDGER: Need = ("a ledger of licences, and the database has no table of one", lambda: _has_table("ledger"))
AREAS: Mapping[str, Need] = {
    "zulip_analytics": (f"{_line(UPLOAD)}, which does not exist", lambda: is_served(*UPLOAD)),
    "zulip_registration": (f"{_line(REGISTER)}, which does not exist", lambda: is_served(*REGISTER)),
    "zulip_": LEDGER,
}
"""What an area needs, by the beginning of its name, the longer ones first, and whether it is there."""

POLL: Need = ("the poll of Stripe's events, and ingest has no module of one", lambda: _has_module("poll"))
OPS: Mapping[str, Need] = {"poll": POLL}
FABRIC = "fabric_"
READABLE = ("customer", "subscription", "invoice", "product", "price")


def reason(content: Mapping[str, Json]) -> str | None:
    """Return why nothing of a case runs, None if it runs.

    Raises:
        CaseError: it is no case.
    """
    if unknown := sorted(content.keys() - MEMBERS):
        raise CaseError(f"no case file: unknown member {unknown[0]}")
    # Of what cannot run, nothing but the format is known.
    if content["area"].startswith("zed") and not any(
        step.get("op") in OPS for step in content.get("steps", [])
    ):
        check(content)
    return next(_reasons(content), None)


def _reasons(content: Mapping[str, Json]) -> Iterator[str]:
    area = content["area"]
    if not area.startswith("zed"):
        if area.startswith(FABRIC):
            yield _of_fabric(content)
        found = next((why for start, why in AREAS.items() if area.startswith(start)), None)
        if found is None:
            raise CaseError(f"no case file: unknown area {area}")
        yield _needs(*found)
    for step in content.get("steps", []):
        op = step.get("op", "request")
        if op in OPS:
            yield _needs(*OPS[op])
        elif op != "request":
            raise CaseError(f"no case file: unknown step {op}")
    if not content.get("table") and not content.get("steps"):
        raise CaseError("no case file: no rows and no steps")
    if content.get("table") and is_status_table(content):
        return
    missing = [one for one in requests_of(content) if not is_served(*one)]
    if len(missing) == len([*requests_of(content)]):
        yield f"no part can run: {', '.join(sorted({_line(one) for one in missing}))} does not exist"


def _of_fabric(content: Mapping[str, Json]) -> str:
    """Return why a case of Fabric's is skipped: its jobs, or its objects in Stripe's shapes of 2018."""
    jobs = [row["job"][0] for row in content.get("table", []) if "job" in row]
    if unknown := sorted(job for job in {*jobs} if not hasattr(runner, job.upper())):
        return f"no part can run: billing has no operation {unknown[0]}"
    for one in _objects(content):
        try:
            snapshot(one["object"], json.dumps(one).encode())
        except PayloadError as error:
            return f"no part can run: ingest cannot read {one['id']}: {error}"
    return "no part can run: the runner puts no objects of a case at Stripe"


def _objects(value: Json) -> Iterator[Mapping[str, Json]]:
    """Yield Stripe's objects in a case, the outer ones first."""
    if isinstance(value, Mapping):
        if value.get("object") in READABLE and "id" in value:
            yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _needs(what: str, is_there: Callable[[], bool]) -> str:
    """Return why a case that needs something is skipped.

    Raises:
        CaseError: it is there by now, but the runner does not use it.
    """
    if is_there():
        raise CaseError(f"the runner cannot run what needs {what}, which exists by now")
    return f"no part can run: it needs {what}"


def check(content: Mapping[str, Json]) -> None:
    """Pass if a case has no unknown member, as far as its kind is known here.

    Raises:
        CaseError: it has one, or expects a call in an unknown form.
    """
    for where in _unknown(content):
        raise CaseError(f"no case file: unknown {where}")


def _unknown(content: Mapping[str, Json]) -> Iterator[str]:
    given = content.get("given", {})
    yield from _beyond(given, GIVEN, "member given.")
    for user in given.get("users", []):
        yield from _beyond(user, OF_A_USER, "member given.users.")
    is_status = bool(content.get("table")) and is_status_table(content)
    known = STATUS_COLUMNS | TOLD if is_status else CONDITIONS | SAID | EXPECTED | TOLD
    for name in ("table", "steps"):
        for number, row in enumerate(content.get(name, [])):
            yield from _of_row(row, known, f"{name}[{number}].")


def _of_row(row: Mapping[str, Json], known: frozenset[str], where: str) -> Iterator[str]:
    yield from _beyond(row, known, f"member {where}")
    yield from _beyond(row.get("user") or {}, OF_A_USER, f"member {where}user.")
    for one in subscriptions_of(row):
        yield from _beyond(one, OF_A_SUBSCRIPTION, f"member {where}subscriptions.")
    expected = row.get("expect") or {}
    yield from _beyond(expected, EXPECTED_OF_A_ROW, f"member {where}expect.")
    for line in expected.get("stripe_calls", []):
        try:
            calls.read(line)
        except ValueError:
            yield f"form of a call: {where}expect.stripe_calls: {line}"


def _beyond(content: Mapping[str, Json], known: frozenset[str], where: str) -> Iterator[str]:
    yield from (f"{where}{name}" for name in sorted(content.keys() - known))
