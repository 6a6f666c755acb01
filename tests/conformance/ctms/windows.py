"""Running one cycle of CTMS's background process as one window of deliveries, and comparing it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.conformance.comparison import first
from tests.conformance.ctms import records, requests
from tests.conformance.ctms.case import Step
from tests.conformance.ctms.parts import is_fault, unsent_tables
from tests.conformance.ctms.payloads import Payloads
from tests.conformance.ctms.requests import Ties
from tests.conformance.stage import Stage, Window
from tests.conformance.verdict import Notes

Json = Any

RETRY_LIMIT = 5
"""CTMS's limit in these cases, unless one says otherwise."""

MOMENT_SECONDS = 0.001
LATE_SECONDS = 1.0
"""How much later than its client's timeout a late answer is."""

OWNER = "SELECT value FROM contact.identity WHERE contact_id::text = $1 AND kind = 'fxa_id'"
AT_LIMIT = "SELECT contact_id FROM contact.delivery WHERE wanted > sent AND failures >= $1"


async def run_cycle(stage: Stage, step: Step, payloads: Payloads, notes: Notes) -> str | None:
    """Deliver what is due, with everything sent whole, and compare the calls of that window."""
    settings = step.action.get("settings", {})
    limit = settings.get("retry_limit", RETRY_LIMIT)
    await stage.deliveries.forget_bases()
    await stage.deliveries.make_retries_due()
    held = await _given_up(stage, limit, notes)
    if "batch_limit" in settings:
        notes.not_compared.append("the choice by batch_limit, which delivery does not have")
        held |= await stage.deliveries.due() - _contacts_of(step.expected)
    started = await stage.process_started()
    window = await _deliver(stage, step, held, limit)
    await stage.control("DELETE", "/faults")
    if await stage.process_started() != started:
        return "the worker ended"
    return await _compare(stage, step, window, payloads, notes)


async def ties_of(stage: Stage, received: Sequence[Mapping[str, Json]], payloads: Payloads) -> Ties:
    """Return the tied entries of each product that was sent."""
    ties = {}
    for call in received:
        for row in call["rows"] if call["table"] == "product" else []:
            contact, product = str(row.get("email_id")), str(row.get("product_id"))
            owner = await stage.tables.fetchval(OWNER, contact)
            ties[contact, product] = payloads.tied(owner, product)
    return ties


async def _given_up(stage: Stage, limit: int, notes: Notes) -> set[str]:
    """Return the contacts that CTMS would not send any more."""
    rows = await stage.tables.fetch(AT_LIMIT, limit)
    if rows:
        notes.deviate("never_given_up")
    return {str(row["contact_id"]) for row in rows}


async def _deliver(stage: Stage, step: Step, held: set[str], limit: int) -> Window:
    """Deliver one window; with faults one contact at a time, so that each fault meets its request."""
    responses = [*_responses(step)]
    for response in responses:
        await stage.control("POST", "/faults", json=fault_of(response, stage.acoustic_timeout))
    contacts = [*dict.fromkeys(one["email_id"] for one in _keys_of(step.expected))]
    backlog = Counter(await stage.deliveries.backlog(limit))
    alone = contacts[:-1] if any(map(is_fault, responses)) else []
    windows = []
    for contact in alone:
        windows.append(await stage.deliver(held | (await stage.deliveries.due() - {contact})))
        # However fast the machine is: what failed is due again, and CTMS sends it in its next cycle.
        await stage.deliveries.make_retries_due()
    windows.append(await stage.deliver(held | {*alone}))
    return Window(
        [call for window in windows for call in window.calls],
        [line for window in windows for line in window.lines],
        windows[0].before,
        windows[-1].after,
        backlog,
    )


async def _compare(stage: Stage, step: Step, window: Window, payloads: Payloads, notes: Notes) -> str | None:
    expected, now = step.expected, await stage.now()
    received = requests.as_calls(window.calls, stage.acoustic_timeout)
    ties = await ties_of(stage, received, payloads)
    if others := sorted({line["event"] for line in window.lines} - records.EVENTS.keys()):
        return f"a delivery ended as {others[0]}"
    found = []
    if "acoustic_requests" in expected:
        sent = [*_sent(expected["acoustic_requests"], notes)]
        found.append(requests.of_contacts(sent, received, ties, notes, now))
    if "product_rows" in expected:
        found.append(requests.of_products(expected["product_rows"], received, ties, notes, now))
    if not found:
        notes.not_compared.append(f"calls to Acoustic in step {step.number} (not in the case)")
    return first([*found, *_records_differ(expected, window, notes), error_differs(step, notes)])


def _records_differ(expected: Mapping[str, Json], window: Window, notes: Notes) -> Iterator[str | None]:
    """Yield the differences of log lines and metrics that the case gives."""
    for name in ("cycle_context", "cycle_context_subset"):
        if name in expected:
            absent = dict.fromkeys(records.COUNTS, 0) if name == "cycle_context" else {}
            counts = {**absent, **expected[name]}
            yield records.context_differs(counts, window.lines, window.backlog, notes)
    if "contact_logs" in expected:
        yield records.contact_logs_differ(expected["contact_logs"], window.lines, notes)
    if "metrics" in expected:
        reading = (window.before, window.after)
        yield records.metrics_differ(expected["metrics"], *reading, unsent_tables(), notes)


def error_differs(step: Step, notes: Notes) -> str | None:
    """Compare the end of CTMS's process, which only a fault can bring about."""
    error = step.expected.get("process_error")
    if error is None:
        return None
    if not any(map(is_fault, _responses(step))):
        return f"process_error: {error!r} expected, the worker did not end"
    notes.deviate("worker_survives")
    return None


def _sent(expected: Sequence[Mapping[str, Json]], notes: Notes) -> list[Mapping[str, Json]]:
    """Return the expected calls of the tables that are sent."""
    unsent = {requests.table_of(one) for one in expected} & {*unsent_tables()}
    notes.not_compared += [records.UNSENT.format(name) for name in sorted(unsent)]
    return [one for one in expected if requests.table_of(one) not in unsent]


def _responses(step: Step) -> list[Mapping[str, Json]]:
    """Return the scripted answers to the calls that are sent here."""
    responses = [response or {} for response in step.action.get("mock_responses") or []]
    expected = step.expected.get("acoustic_requests", [])
    unsent = unsent_tables()
    return [
        response
        for number, response in enumerate(responses)
        if number >= len(expected) or requests.table_of(expected[number]) not in unsent
    ]


def _keys_of(expected: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """Return the rows by which a case names the contacts of a window, in its order."""
    rows = [*expected.get("product_rows", []), *expected.get("contact_logs", [])]
    for request in expected.get("acoustic_requests", []):
        rows += [request["columns"]] if "columns" in request else request["rows"]
    return [row for row in rows if row.get("email_id")]


def _contacts_of(expected: Mapping[str, Json]) -> set[str]:
    return {row["email_id"] for row in _keys_of(expected)}


def fault_of(response: Mapping[str, Json], timeout: float) -> dict[str, Json]:
    """Return the fault that makes Acoustic answer so, once."""
    fault = {"target": "acoustic", "path": "XMLAPI", "remaining": 1}
    if response.get("raise") == "Timeout":
        return {**fault, "kind": "late_answer", "delay_seconds": timeout + LATE_SECONDS}
    if response.get("raise") == "ConnectionError":
        return {**fault, "kind": "lose_answer"}
    if "body" in response or "status" in response:
        status, body = response.get("status", 200), response.get("body", "")
        return {**fault, "kind": "replace_answer", "status": status, "body": body}
    # As usual, but it has its turn.
    return {**fault, "kind": "delay", "delay_seconds": MOMENT_SECONDS}
