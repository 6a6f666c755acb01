"""Log lines, counts and errors of CTMS's background process, with a counterpart here or without one."""

from typing import Any

from tests.conformance.ctms import records
from tests.conformance.ctms.case import Step
from tests.conformance.ctms.windows import error_differs
from tests.conformance.verdict import Notes

CONTACT = "6f3f0c1e-7c0e-4d0e-9d1e-2b9c0a5d1f01"
LINE = {
    "event": "delivery.succeeded",
    "contact_id": CONTACT,
    "requests": ["main.upsert:success"],
}
LOG = {
    "email_id": CONTACT,
    "success": True,
    "main_status": "success",
    "event": "Successfully sync'd contact to acoustic...",
}


def test_line_about_no_contact_is_noted_and_the_others_are_compared() -> None:
    notes = Notes()
    other = {"event": "Acoustic is not currently enabled.", "log_level": "debug"}
    assert records.contact_logs_differ([other, LOG], [LINE], notes) is None
    assert notes.not_compared == ["contact_logs 'Acoustic is not currently enabled.'"]
    assert records.contact_logs_differ([other], [LINE], Notes()) is not None
    assert records.contact_logs_differ([other, {**LOG, "success": False}], [LINE], Notes()) is not None


def test_remarks_on_members_of_one_part_stand_together() -> None:
    notes = Notes(not_compared=["log.trace", "final.products (nothing is sent)", "log.msg", "log.trace"])
    assert notes.text() == "not compared: log.trace, msg; final.products (nothing is sent)"


def test_line_with_a_wrong_text_is_no_line_of_its_contact() -> None:
    wrong = {**LOG, "event": "Successfully synced contact to acoustic..."}
    assert records.contact_logs_differ([wrong], [LINE], Notes()) is not None


def test_contacts_that_arrived_are_counted_where_a_case_gives_no_count() -> None:
    after = {
        ("mainstem_deliveries_settled_total", records.SETTLED): 1.0,
    }
    assert records.metrics_differ({}, {}, after, (), Notes()) is not None
    assert records.metrics_differ({records.SYNCED: 1.0}, {}, after, (), Notes()) is None


def cycle(error: str | None, *responses: Any) -> Step:
    return Step(0, "acoustic_sync_cycle", {"mock_responses": [*responses]}, {"process_error": error})


def test_end_of_the_process_needs_a_fault() -> None:
    notes = Notes()
    assert error_differs(cycle(None), notes) is None
    assert error_differs(cycle("ValueError"), notes) is not None
    assert notes.documented == []
    assert error_differs(cycle("ConnectionError", {"raise": "ConnectionError"}), notes) is None
    assert notes.documented
