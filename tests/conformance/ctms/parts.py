"""Parts of a case that can run here; the reasons for the others are asked of the product; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from tests.conformance.case import CaseError
from tests.conformance.ctms import statements
from tests.conformance.ctms.case import Case, Step
from tests.conformance.ctms.requests import table_of

from mainstem.common.errors import NotFoundError
from mainstem.gateway.routes.table import RESERVED, MethodNotAllowedError, RouteTable, parse
from mainstem.sync.contacts.bodies import BODIES, NewNewsletter
from mainstem.sync.settings import Settings

Json = Any

PUSH = "/stripe_from_pubsub"
READING = ("GET", "HEAD")
UNSERVED = {404: "Not Found", 405: "Method Not Allowed"}
"""Answers to any request that is not served, which a case may expect."""

ERROR = 400
TABLES = {
    "main": "CTMS_ACOUSTIC_MAIN_TABLE_ID",
    "newsletter": "CTMS_ACOUSTIC_NEWSLETTER_TABLE_ID",
    "product": "CTMS_ACOUSTIC_PRODUCT_SUBSCRIPTIONS_ID",
    "waitlist": "CTMS_ACOUSTIC_WAITLIST_TABLE_ID",
}
"""Settings that name the tables: sync sends those of which it has the setting."""

INTEGRATION = "CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG"
LATER_GROUPS = ("waitlists", "relay_waitlist")
STORED = {"email": ("create_timestamp", "update_timestamp"), "amo": ("create_timestamp", "update_timestamp")}


@dataclass(frozen=True)
class Plan:
    """Steps that run, and the texts about the others.

    `whole` says whether the state at the end is the case's; `settings` are those that the stage needs.
    """

    steps: Sequence[Step]
    not_run: Sequence[str]
    whole: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)


def plan(case: Case) -> Plan:
    """Return what runs of a case: all up to the first step whose effect cannot be brought about."""
    check_contacts(case.contacts)
    if reasons := [*_hindrances_of_setup(case)]:
        return Plan([], reasons, whole=False)
    settings = {INTEGRATION: "0"} if _is_unsent(case.steps) else {}
    steps: list[Step] = []
    left_out: dict[str, list[str]] = {}
    is_whole = True
    for step in case.steps:
        reason, is_needed = hindrance(step, settings)
        if reason is None:
            steps.append(step)
            continue
        more = " and later" if is_needed else ""
        left_out.setdefault(reason, []).append(f"{step.number}{more}")
        if is_needed:
            is_whole = False
            break
    not_run = [f"steps {', '.join(numbers)}: {reason}" for reason, numbers in left_out.items()]
    return Plan(steps, not_run, whole=is_whole, settings=settings)


def hindrance(step: Step, settings: Mapping[str, str]) -> tuple[str | None, bool]:
    """Return why a step cannot run, None if it can; and whether the steps after it need its effect."""
    if step.kind == "http":
        return _hindrance_of_request(step)
    if step.kind == "sql":
        return statements.why_not(step.action), True
    if step.kind == "acoustic_sync_cycle":
        return _hindrance_of_cycle(step, settings), True
    # A push's objects are sent to /stripe one by one.
    return None, False


def check_contacts(contacts: Sequence[Json]) -> None:
    """Pass if the contacts of a setup have no unknown member, which the product would ignore.

    Raises:
        CaseError: one has.
    """
    known = {name: {*model.model_fields, *STORED.get(name, ())} for name, model in BODIES.items()}
    for number, contact in enumerate(contacts):
        for group, values in contact.items():
            where = f"no case file: unknown member setup.contacts[{number}].{group}"
            if group in LATER_GROUPS:
                continue
            if group not in {*known, "newsletters"}:
                raise CaseError(where)
            fields = known.get(group, {*NewNewsletter.model_fields})
            for one in values if isinstance(values, list) else [values or {}]:
                if unknown := sorted(one.keys() - fields):
                    raise CaseError(f"{where}.{unknown[0]}")


def is_served(method: str, path: str) -> bool:
    """Whether the gateway has a rule for a request, or answers it itself."""
    plain = path.partition("?")[0]
    if plain in RESERVED:
        return True
    try:
        _routes().match(method, plain.encode())
    except (NotFoundError, MethodNotAllowedError):
        return False
    return True


def unsent_tables() -> list[str]:
    """Return Acoustic's tables that sync does not send: it has no setting for their ids."""
    return [name for name, setting in TABLES.items() if not has_setting(setting)]


@cache
def has_setting(name: str) -> bool:
    """Whether sync has a setting of this name."""
    return any(one.validation_alias == name for one in Settings.model_fields.values())


@cache
def _routes() -> RouteTable:
    text = (files("mainstem.gateway") / "routes.toml").read_text(encoding="utf-8")
    return parse(text, dict.fromkeys(("ingest", "sync", "billing"), "http://nobody"))


def _hindrances_of_setup(case: Case) -> Iterator[str]:
    for contact in case.contacts:
        for group in LATER_GROUPS:
            if group in contact and group not in BODIES:
                yield f"setup: a contact has {group}, which contacts do not have here"
    for statement in case.sql_after_contacts:
        if reason := statements.why_not(statement):
            yield f"setup: {reason}"


def _hindrance_of_request(step: Step) -> tuple[str | None, bool]:
    method, path = step.action["method"], step.action["path"]
    expected = step.expected
    if is_served(method, path):
        return None, False
    status = expected.get("status")
    if status in UNSERVED and expected.get("json", {}) in ({}, {"detail": UNSERVED[status]}):
        return None, False
    has_effect = method not in READING and (status or 0) < ERROR and not path.startswith(PUSH)
    return f"{method} {_template(path)} does not exist", has_effect


def _hindrance_of_cycle(step: Step, settings: Mapping[str, str]) -> str | None:
    is_sent = step.action.get("settings", {}).get("is_acoustic_enabled", True)
    if is_sent == (INTEGRATION in settings):
        return f"{INTEGRATION} cannot change between two cycles"
    requests = step.expected.get("acoustic_requests", [])
    responses = [response or {} for response in step.action.get("mock_responses") or []]
    for request, response in zip(requests, responses, strict=False):
        if table_of(request) in unsent_tables() and is_fault(response):
            return f"the {table_of(request)} table, which is not sent, has to fail"
    return None


def is_fault(response: Mapping[str, Json]) -> bool:
    """Whether a scripted answer of Acoustic's is anything but a success."""
    body = response.get("body", "")
    return (
        response.get("raise") is not None
        or response.get("status", 200) >= ERROR
        or ("body" in response and ("SUCCESS" not in body or "Fault" in body or "FAILURE" in body))
    )


def _is_unsent(steps: Sequence[Step]) -> bool:
    """Whether a case's first window has Acoustic switched off."""
    cycles = [step.action for step in steps if step.kind == "acoustic_sync_cycle"]
    return bool(cycles) and cycles[0].get("settings", {}).get("is_acoustic_enabled", True) is False


def _template(path: str) -> str:
    """Return a path without what is one person's."""
    first, *rest = path.partition("?")[0].strip("/").split("/")
    return f"/{first}" + "/…" * len(rest)
