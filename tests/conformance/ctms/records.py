"""Log lines and metrics of a stack's processes beside those that a case expects."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from tests.conformance.case import CaseError
from tests.conformance.verdict import Notes

Json = Any
Line = Mapping[str, Json]
Sample = tuple[str, frozenset[tuple[str, str]]]
"""Name and labels of a metric."""

Counts = Mapping[Sample, float]

LOG = {
    "client_allowed": "client_allowed",
    "client_id": "client_id",
    "auth_fail": "auth_fail",
    "token_fail": "token_fail",
    "token_creds_from": "token_creds_from",
    "method": "method",
    "path_template": "route",
    "status_code": "status",
}
"""Fields of CTMS's line of a request, and ours of the lines with the request's id."""

CONTACT_LOG = ("skipped_fields", "fxa_created_date_converted", "fxa_created_date_type")
"""Fields of a contact's line that have CTMS's names."""

EVENTS = {
    "delivery.succeeded": "Successfully sync'd contact to acoustic...",
    "delivery.failed": "Failure for contact in sync to acoustic...",
}
SKIPPED = "skipped"
"""A delivery that ended unsent."""

UNKNOWN = "unknown"
UNANSWERED = ("failure", None)
"""CTMS's outcomes of a request without an answer: counted as a failure, or not at all."""

REQUESTS = {"main.upsert": "main_status", "product.upsert": "product_status"}

UNSENT = "the {} table (it is not sent)"

SENT = "ctms_background_acoustic_request_total"
SYNCED = "ctms_background_acoustic_sync_total"
COUNTED = {
    SENT: SENT,
    "ctms_background_acoustic_requests_duration_count": "ctms_background_acoustic_requests_duration_count",
    SYNCED: "mainstem_deliveries_settled_total",
}
SETTLED = frozenset({("outcome", "succeeded"), ("platform", "acoustic")})
OTHERS = (
    "ctms_background_acoustic_sync_retries",
    "ctms_background_acoustic_sync_backlog",
    "ctms_background_acoustic_sync_age_s",
    "ctms_background_acoustic_sync_loops_total",
    "ctms_background_acoustic_sync_loops",
    "ctms_background_acoustic_sync_loop_duration_seconds",
    "ctms_background_acoustic_requests_duration_sum",
    "ctms_background_acoustic_requests_duration_bucket",
    "ctms_background_acoustic_requests_duration",
)
"""Metrics of CTMS that no process here has."""

SCOPE = ("otel_scope_name", "otel_scope_version", "otel_scope_schema_url")
"""Labels that OpenTelemetry adds to every metric."""

COUNTS = ("count_total", "count_synced", "count_skipped", "count_retry")
"""Counts of a window: one that a case does not give is 0."""


class Log:
    """Log file of one process, read from where the last reading ended."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._end = 0

    def lines(self) -> list[Line]:
        """Return the whole lines since the last call."""
        with self._file.open("rb") as log:
            log.seek(self._end)
            content = log.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._end += len(whole)
        return [*_parsed(whole.decode(errors="replace").splitlines())]


def _parsed(lines: Iterable[str]) -> Iterator[Line]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, Mapping):
            yield found


def log_differs(expected: Mapping[str, Json], lines: Sequence[Line], notes: Notes) -> str | None:
    """Compare fields of a request's log with the lines that have its id."""
    found = {name: value for line in lines for name, value in line.items()}
    for name, value in expected.items():
        if name not in LOG:
            notes.not_compared.append(f"log.{name}")
        elif found.get(LOG[name]) != value:
            return f"log.{name}: {value!r} expected, {found.get(LOG[name])!r} found"
    return None


def contact_logs_differ(
    expected: Sequence[Mapping[str, Json]], lines: Sequence[Line], notes: Notes
) -> str | None:
    """Compare the line of each contact, in the fields that ours have."""
    lines = [line for line in lines if line.get("is_sent") is not False]
    others = [one["event"] for one in expected if not is_about_a_contact(one)]
    notes.not_compared += [f"contact_logs {event[:40]!r}" for event in others]
    expected = [one for one in expected if is_about_a_contact(one)]
    ours = {str(line["contact_id"]): _contact_log(line) for line in lines}
    theirs = {str(one.get("email_id")): one for one in expected}
    wanted = sorted(str(one.get("email_id")) for one in expected)
    found = sorted(str(line["contact_id"]) for line in lines)
    if wanted != found or len(theirs) != len(expected):
        return f"contact_logs: lines of {wanted} expected, of {found} found"
    compared = {"email_id", "success", "event", *REQUESTS.values(), *CONTACT_LOG}
    for contact, one in theirs.items():
        notes.not_compared += [f"contact_logs.{name}" for name in sorted(one.keys() - compared)]
        for name in sorted(compared):
            value, our = one.get(name), ours[contact].get(name)
            if our == UNKNOWN and value in UNANSWERED:
                notes.deviate("unknown_outcome")
            elif value != our:
                return f"contact_logs of {contact}: {name}: {value!r} expected, {our!r} found"
    return None


def is_about_a_contact(expected: Mapping[str, Json]) -> bool:
    """Whether a line says how a contact's delivery ended; CTMS's others have no counterpart here."""
    return expected.get("event") is None or expected["event"] in EVENTS.values()


def _contact_log(line: Line) -> dict[str, Json]:
    found = {"email_id": line["contact_id"], "event": EVENTS[line["event"]]}
    found["success"] = line["event"] == "delivery.succeeded"
    for request in line.get("requests", []):
        kind, _, outcome = request.partition(":")
        if kind in REQUESTS:
            found[REQUESTS[kind]] = outcome
    return found | {name: line[name] for name in CONTACT_LOG if name in line}


def read_metrics(text: str) -> dict[Sample, float]:
    """Return every sample of Prometheus' text format by its name and labels."""
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return {(one.name, frozenset(_own(one.labels).items())): one.value for one in samples}


def _own(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if name not in SCOPE}


def metrics_differ(
    expected: Mapping[str, float], before: Counts, after: Counts, unsent: Iterable[str], notes: Notes
) -> str | None:
    """Compare what was counted between two readings, of the tables that are sent.

    Args:
        expected: values by name with labels as JSON, those of one window.
        before: reading before the window.
        after: reading after it.
        unsent: tables that are not sent here.
        notes: takes the metrics that are not compared.
    """
    grown = {key: after[key] - before.get(key, 0.0) for key in after}
    ours = _counted(grown)
    theirs: dict[Sample, float] = {}
    for key, value in expected.items():
        name, labels = _read_key(key)
        if labels.get("table") in {*unsent}:
            notes.not_compared.append(UNSENT.format(labels["table"]))
            continue
        if name in COUNTED:
            theirs[name, frozenset(labels.items())] = value
        elif name in OTHERS:
            notes.not_compared.append(f"metrics.{name}")
        else:
            raise CaseError(f"no case file: unknown member expect.metrics.{name}")
    _take_unknown(ours, theirs, notes)
    names = {SENT, SYNCED, *(name for name, _ in theirs)}
    for sample in sorted({*theirs, *(one for one in ours if one[0] in names)}, key=str):
        wanted, found = theirs.get(sample, 0.0), ours.get(sample, 0.0)
        if wanted != found:
            return f"metrics.{sample[0]}{dict(sorted(sample[1]))}: {wanted} expected, {found} found"
    return None


def _take_unknown(ours: dict[Sample, float], theirs: Mapping[Sample, float], notes: Notes) -> None:
    """Count requests without an answer as failures where the case does, else not at all."""
    for name, labels in [sample for sample in ours if ("status", UNKNOWN) in sample[1]]:
        count = ours.pop((name, labels))
        failed = (name, labels - {("status", UNKNOWN)} | {("status", "failure")})
        notes.deviate("unknown_outcome")
        if theirs.get(failed, 0.0) != ours.get(failed, 0.0):
            ours[failed] = ours.get(failed, 0.0) + count


def _read_key(key: str) -> tuple[str, dict[str, str]]:
    name, brace, labels = key.partition("{")
    return name, json.loads(brace + labels) if brace else {}


def _counted(grown: Counts) -> dict[Sample, float]:
    """Return our counts under CTMS's names."""
    counts: dict[Sample, float] = defaultdict(float)
    for (name, labels), value in grown.items():
        if not value:
            continue
        if name == COUNTED[SYNCED]:
            if labels == SETTLED:
                counts[SYNCED, frozenset()] += value
        elif name in COUNTED:
            counts[name, labels] += value
    return counts


def context_differs(
    expected: Mapping[str, Json], lines: Sequence[Line], backlog: Counter[str], notes: Notes
) -> str | None:
    """Compare the counts of a window; the other fields are about a loop that does not exist here."""
    ended = Counter(SKIPPED if line.get("is_sent") is False else line["event"] for line in lines)
    ours = {
        "count_total": len(lines),
        "count_synced": ended["delivery.succeeded"],
        "count_skipped": ended[SKIPPED],
        "count_retry": ended["delivery.failed"],
        "sync_backlog": backlog["due"],
        "retry_backlog": backlog["failed"],
    }
    counts = {name: value for name, value in expected.items() if name in ours}
    notes.not_compared += [f"cycle_context.{name}" for name in sorted(expected.keys() - ours.keys())]
    for name, value in counts.items():
        if ours[name] != value:
            return f"cycle_context.{name}: {value!r} expected, {ours[name]!r} found"
    return None
