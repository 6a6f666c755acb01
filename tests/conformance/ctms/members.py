"""Members that a case of CTMS's format may have, at every place; any other one makes it no case. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.conformance.case import CaseError
from tests.conformance.ctms.records import is_about_a_contact

Json = Any

CASE = (
    "id title area tier expected_basis upstream_tests note notes setup steps final observed_differences"
    " recommended"
)
TABLES = {
    "d13": "settings cases log order",
    "d14": None,
    "d15": "product_table main_table_v1_1_0 main_table_v3_3_0 fxa_created_date",
    "e08": "cases json_shape",
}
"""Tables of examples by the beginning of their ids, and their members; of None nothing is known or run."""

EXAMPLES = {
    "product_table": "bool timestamp null_int null_text",
    "main_table_v1_1_0": "bool datetime date uuid none",
    "fxa_created_date": "in sent log",
    "cases": (
        "expect note notes count_total loop_duration_s"
        " max_backlog max_retry_backlog backlog retry_backlog backlog_query database json"
    ),
    "json_shape": "database",
}
"""Parts of tables, and the members of each or of its entries."""

SETUP = "contacts api_clients sql_after_contacts pending_queue"
CLIENT = "client_id secret enabled email"
STEP = "n action expect expect_log_since_v1.1.2 note notes recommended"
ACTIONS = "http pubsub_payload acoustic_sync_cycle sql"
HTTP = "method path auth json form raw_body basic headers bearer_of save_as pubsub_auth"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROUTES = (
    " ctms identity identities updates token stripe stripe_from_pubsub acoustic_configuration docs redoc"
    " openapi.json metrics __heartbeat__ __lbheartbeat__ __version__ __crash__"
)
"""First segments of CTMS's paths; `/` has an empty one. Any other is expected to be a 404."""

NOT_FOUND = 404
AUTH = ("client", "none", "pubsub", None)
CYCLE = "mock_responses settings"
SETTINGS = "retry_limit batch_limit is_acoustic_enabled"
RESPONSE = "body status raise"
FAULTS = ("Timeout", "ConnectionError", None)

ANSWER = "status json location www_authenticate log note notes"
WINDOW = (
    "acoustic_requests product_rows cycle_context cycle_context_subset contact_logs metrics process_error"
    " note notes"
)
REQUEST = "call list_id table_id created_from update_if_found sync_fields columns rows timeout"
LOG = (
    "client_host method path path_template path_params headers query status_code duration_s client_id"
    " client_allowed auth_fail token_creds_from token_fail trace trace_json pubsub_iss pubsub_aud"
    " pubsub_email pubsub_email_verified pubsub_sub pubsub_azp pubsub_exp pubsub_iat stripe_unknown_objects"
    " ingest_actions"
    " fxa_id_conflict trivial msg"
)
CONTEXT = (
    "batch_limit retry_limit end_time sync_backlog retry_backlog count_total count_synced count_retry"
    " count_skipped count_exception loop_duration_s loop_sleep_s trivial"
)
CONTACT_LOG = (
    "success email_id trace skipped_fields newsletters_skipped fxa_created_date_converted"
    " fxa_created_date_type newsletter_count product_count main_status newsletter_status product_status"
    " main_duration_s newsletter_duration_s product_duration_s event log_level exception exc_info"
)
FINAL = "products pending_acoustic stripe_rows note notes"
PRODUCT = (
    "payment_service product_id segment changed sub_count product_name price_id payment_type card_brand"
    " card_last4 currency amount billing_country status interval_count interval created start"
    " current_period_start current_period_end canceled_at cancel_at_period_end ended_at"
)
PENDING = "email_id retry last_error"


def check(content: Json) -> None:
    """Pass if a case has no member that is unknown at its place.

    Raises:
        CaseError: it has one; the text names it.
    """
    for where in _unknown(content):
        raise CaseError(f"no case file: unknown member {where}")


def table_of(content: Mapping[str, Json]) -> str | None:
    """Return the kind of table that a file is, None for a case with steps."""
    if "steps" in content:
        return None
    return next((kind for kind in TABLES if str(content.get("id", "")).startswith(f"{kind}_")), None)


def _unknown(content: Mapping[str, Json]) -> Iterator[str]:
    kind = table_of(content)
    if kind is not None:
        yield from _of_table(content, TABLES[kind])
        return
    yield from _beyond(content, CASE, "")
    setup = content.get("setup", {})
    yield from _beyond(setup, SETUP, "setup.")
    yield from _each(setup.get("api_clients", []), CLIENT, "setup.api_clients")
    for number, step in enumerate(content.get("steps", [])):
        yield from _of_step(step, f"steps[{number}].")
    yield from _of_final(content.get("final", {}))


def _of_table(content: Mapping[str, Json], known: str | None) -> Iterator[str]:
    if known is None:
        return
    yield from _beyond(content, f"{CASE} {known}", "")
    for name in sorted(content.keys() & EXAMPLES.keys()):
        part = content[name]
        yield from _each(part if isinstance(part, list) else [part], EXAMPLES[name], name)


def _of_step(step: Mapping[str, Json], where: str) -> Iterator[str]:
    yield from _beyond(step, STEP, where)
    yield from _beyond(step["action"], ACTIONS, f"{where}action.")
    ((kind, action),) = step["action"].items()
    expected = step.get("expect") or {}
    if kind == "http":
        yield from _beyond(action, HTTP, f"{where}action.http.")
        yield from _of_request(action, expected, f"{where}action.http.")
    if kind == "acoustic_sync_cycle":
        yield from _of_cycle(action, f"{where}action.acoustic_sync_cycle.")
        yield from _of_window(expected, f"{where}expect.")
    elif kind == "sql":
        yield from _beyond(expected, "note notes", f"{where}expect.")
    else:
        yield from _beyond(expected, ANSWER, f"{where}expect.")
        yield from _beyond(expected.get("log", {}), LOG, f"{where}expect.log.")


def _of_request(action: Mapping[str, Json], expected: Mapping[str, Json], where: str) -> Iterator[str]:
    if action.get("auth") not in AUTH:
        yield f"{where}auth {action['auth']}"
    if action["method"] not in METHODS:
        yield f"{where}method {action['method']}"
    path = action["path"].partition("?")[0]
    is_known = path.startswith("/") and path.split("/")[1] in ROUTES.split(" ")
    if not is_known and expected.get("status") != NOT_FOUND:
        yield f"{where}path {path}"


def _of_cycle(action: Mapping[str, Json], where: str) -> Iterator[str]:
    yield from _beyond(action, CYCLE, where)
    yield from _beyond(action.get("settings", {}), SETTINGS, f"{where}settings.")
    responses = [response or {} for response in action.get("mock_responses") or []]
    yield from _each(responses, RESPONSE, f"{where}mock_responses")
    for response in responses:
        if response.get("raise") not in FAULTS:
            yield f"{where}mock_responses.raise {response['raise']}"


def _of_window(expected: Mapping[str, Json], where: str) -> Iterator[str]:
    yield from _beyond(expected, WINDOW, where)
    yield from _each(expected.get("acoustic_requests", []), REQUEST, f"{where}acoustic_requests")
    logs = [one for one in expected.get("contact_logs", []) if is_about_a_contact(one)]
    yield from _each(logs, CONTACT_LOG, f"{where}contact_logs")
    for name in ("cycle_context", "cycle_context_subset"):
        yield from _beyond(expected.get(name, {}), CONTEXT, f"{where}{name}.")


def _of_final(final: Mapping[str, Json]) -> Iterator[str]:
    yield from _beyond(final, FINAL, "final.")
    yield from _each(final.get("pending_acoustic", []), PENDING, "final.pending_acoustic")
    products = final.get("products") or {}
    for email_id, rows in products.items():
        yield from _each(rows, PRODUCT, f"final.products.{email_id}")


def _each(rows: Iterable[Mapping[str, Json]], known: str, where: str) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield from _beyond(row, known, f"{where}[{number}].")


def _beyond(content: Mapping[str, Json], known: str, where: str) -> Iterator[str]:
    yield from (f"{where}{name}" for name in sorted(content.keys() - {*known.split()}))
