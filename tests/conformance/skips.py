"""Why a case is not run: what it needs does not exist here, or not yet; pure."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tests.conformance import statements
from tests.conformance.case import Case, Step

from mainstem.common.errors import NotFoundError
from mainstem.gateway.routes import RESERVED, MethodNotAllowedError, RouteTable, parse

ACTIONS = ("http", "sql", "acoustic_sync_cycle")
TABLES = {"1": "main", "10": "product"}
"""The tables that are sent, by their numbers in the cases."""

LATER_TABLES = {"9": "newsletter", "11": "waitlist"}
REFUSALS = (404, 405)


def reason(case: Case) -> str | None:
    """Return why a case is skipped, None if it is run."""
    return next(_reasons(case), None)


@cache
def _routes() -> RouteTable:
    text = (files("mainstem.gateway") / "routes.toml").read_text(encoding="utf-8")
    return parse(text, dict.fromkeys(("ingest", "sync", "billing"), "http://nobody"))


def _reasons(case: Case) -> Iterator[str]:
    if not case.steps:
        yield "no steps: a table of examples, which unit tests have"
    for step in case.steps:
        if step.kind == "pubsub_payload" or _is_pubsub(step):
            yield "needs Pub/Sub"
        elif step.kind not in ACTIONS:
            yield f"needs the unknown action {step.kind}"
        elif step.kind == "acoustic_sync_cycle":
            yield from _cycle_reasons(step)
    for action, status in case.http_actions():
        if status not in REFUSALS and not is_served(action):
            yield f"needs {action['method']} {_template(action['path'])}, which does not exist"
    yield from filter(None, map(statements.why_not, case.statements()))


def _is_pubsub(step: Step) -> bool:
    if step.kind != "http":
        return False
    path: str = step.action["path"]
    return step.action.get("auth") == "pubsub" or path.startswith("/stripe_from_pubsub")


def _cycle_reasons(step: Step) -> Iterator[str]:
    for setting in step.action.get("settings", {}):
        yield f"sets {setting} for one cycle: delivery knows no cycles"
    for request in step.expected.get("acoustic_requests", []):
        table = request.get("table_id")
        if table in LATER_TABLES:
            yield f"expects the {LATER_TABLES[table]} table to be written, which is not sent yet"


def is_served(action: Mapping[str, Any]) -> bool:
    """Whether the gateway has a rule for a request's `method` and `path`."""
    path = action["path"].partition("?")[0]
    if path in RESERVED:
        return True
    try:
        _routes().match(action["method"], path.encode())
    except (NotFoundError, MethodNotAllowedError):
        return False
    return True


def _template(path: str) -> str:
    """Return a path without what is one person's."""
    first, *rest = path.partition("?")[0].strip("/").split("/")
    return f"/{first}" + "/…" * len(rest)
