"""Why a case of this format is not run: what it needs does not exist here, or not yet; pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.conformance.case import CaseError
from tests.conformance.skips import is_served
from tests.conformance.zed import calls
from tests.conformance.zed.case import (
    CONDITIONS,
    EXPECTED,
    GIVEN,
    OF_A_SUBSCRIPTION,
    SAID,
    TOLD,
    is_status_table,
    requests_of,
    subscriptions_of,
)

Json = Any

AREAS = {
    "fabric_workers": "needs Fabric's worker callbacks: work is leased from Postgres here",
    "fabric_": "needs a Stripe of 2018 that answers what the case gives",
    "zulip_analytics": "needs the doors for self-hosted servers, which do not exist yet",
    "zulip_registration": "needs the doors for self-hosted servers, which do not exist yet",
    "zulip_": "needs licences and their ledger, which do not exist yet",
}
"""By how an area begins, the longer ones first."""

OPS = {"poll": "needs the Events-API poll, which does not exist yet"}


def reason(content: Mapping[str, Json]) -> str | None:
    """Return why a case is skipped, None if it is run."""
    return next(_reasons(content), None)


def _reasons(content: Mapping[str, Json]) -> Iterator[str]:
    area = content["area"]
    if not area.startswith("zed"):
        yield next((why for start, why in AREAS.items() if area.startswith(start)), f"unknown area {area}")
    for step in content.get("steps", []):
        op = step.get("op", "request")
        if op != "request":
            yield OPS.get(op, f"needs the unknown step {op}")
    if content.get("table") and is_status_table(content):
        return
    yield from _unknown_conditions(content)
    if not content.get("table") and not content.get("steps"):
        yield "no rows and no steps"
    try:
        requests = [*requests_of(content)]
    except CaseError:
        yield f"a table about {area} that no request shows"
        return
    for method, path in requests:
        if not is_served({"method": method, "path": path}):
            yield f"needs {method} {path.partition('?')[0]}, which does not exist"


def _unknown_conditions(content: Mapping[str, Json]) -> Iterator[str]:
    yield from (f"gives the unknown {name}" for name in sorted(content.get("given", {}).keys() - GIVEN))
    known = CONDITIONS | SAID | EXPECTED | TOLD
    for row in (*content.get("table", []), *content.get("steps", [])):
        yield from (f"sets the unknown condition {name}" for name in sorted(row.keys() - known))
        for one in subscriptions_of(row):
            unknown = sorted(one.keys() - OF_A_SUBSCRIPTION)
            yield from (f"says the unknown {name} of a subscription" for name in unknown)
        yield from _unknown_calls((row.get("expect") or {}).get("stripe_calls", []))


def _unknown_calls(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        try:
            calls.read(line)
        except ValueError:
            yield f"expects a call in an unknown form: {line}"
