"""Calls to Acoustic, log lines and metrics: nothing beside what a case expects, nothing less."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conformance.case import CaseError
from tests.conformance.ctms import records, requests
from tests.conformance.ctms.case import Step
from tests.conformance.ctms.payloads import Payloads, objects_of
from tests.conformance.ctms.requests import wire
from tests.conformance.ctms.windows import fault_of
from tests.conformance.verdict import Notes

NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
SENT = "ctms_background_acoustic_request_total"


def recipient(**columns: str) -> dict[str, Any]:
    return {
        "operation": "AddRecipient",
        "table": "main",
        "sync_fields": {"email_id": "1"},
        "created_from": "3",
        "update_if_found": "TRUE",
        "rows": [{"email_id": "1", **columns}],
    }


def product(name: str, **columns: str) -> dict[str, str]:
    return {"email_id": "1", "product_id": name, "currency": "usd", **columns}


def upsert(*rows: dict[str, str], table: str = "product", operation: str = requests.UPSERT) -> dict[str, Any]:
    return {"operation": operation, "table": table, "rows": [*rows]}


EXPECTED = [
    {
        "call": "AddRecipient",
        "list_id": "1",
        "created_from": "3",
        "update_if_found": "TRUE",
        "sync_fields": {"email_id": "1"},
        "columns": {"email_id": "1", "email": "a@example.com", "first_name": None},
        "timeout": 5.0,
    },
    {"call": requests.UPSERT, "table_id": "10", "rows": [product("a"), product("b")], "timeout": 5.0},
]
MAIN = recipient(email="a@example.com", first_name="")
PRODUCTS = upsert(product("a"), product("b"))


def calls_differ(*received: dict[str, Any], timeout: float = 5.0) -> str | None:
    calls = requests.as_calls(received, timeout)
    return requests.of_contacts(EXPECTED, calls, {}, Notes(), NOW)


def test_expected_calls_are_no_difference() -> None:
    assert calls_differ(MAIN, PRODUCTS) is None


@pytest.mark.parametrize(
    "received",
    [
        [MAIN],
        [PRODUCTS, MAIN],
        [MAIN, PRODUCTS, PRODUCTS],
        [MAIN, MAIN, PRODUCTS],
        [MAIN, upsert(product("b"), product("a"))],
        [MAIN, upsert(product("a"))],
        [MAIN, upsert(product("a"), product("b"), product("c"))],
        [MAIN, upsert(product("a"), product("b"), table="newsletter")],
        [MAIN, upsert(product("a"), product("b"), operation="DeleteRelationalTableData")],
        [MAIN, upsert(product("a"), product("b", sumo_user="0"))],
        [recipient(email="a@example.com", first_name="", sumo_user="0"), PRODUCTS],
        [recipient(email="a@example.com"), PRODUCTS],
        [{**MAIN, "created_from": "1"}, PRODUCTS],
        [{**MAIN, "update_if_found": ""}, PRODUCTS],
        [{**MAIN, "sync_fields": {}}, PRODUCTS],
        [MAIN, PRODUCTS, {**MAIN, "rows": [{"email_id": "2"}]}],
        [MAIN, PRODUCTS, upsert()],
    ],
)
def test_other_calls_rows_columns_or_orders_are_a_difference(received: list[dict[str, Any]]) -> None:
    assert calls_differ(*received) is not None


def test_another_timeout_is_a_difference() -> None:
    assert calls_differ(MAIN, PRODUCTS, timeout=6.0) is not None


def test_product_rows_in_another_order_deleted_or_stray_are_a_difference() -> None:
    def differ(*received: dict[str, Any]) -> str | None:
        expected = [product("a"), product("b")]
        return requests.of_products(expected, requests.as_calls(received, 5.0), {}, Notes(), NOW)

    assert differ(PRODUCTS) is None
    assert differ(upsert(product("b"), product("a"))) is not None
    assert differ(upsert(product("a"))) is not None
    assert differ(PRODUCTS, upsert(product("c"))) is not None
    assert differ(PRODUCTS, upsert(product("c"), operation="DeleteRelationalTableData")) is not None
    assert differ(upsert(product("a"), product("b", more="1"))) is not None


def test_a_currency_is_sent_in_lower_case() -> None:
    def differ(theirs: str, ours: str) -> str | None:
        received = requests.as_calls([upsert(product("a", currency=ours))], 5.0)
        return requests.of_products([product("a", currency=theirs)], received, {}, Notes(), NOW)

    assert differ("usd", "usd") is None
    assert differ("USD", "usd") is None
    assert differ("usd", "USD") is not None
    assert differ("USD", "USD") is not None


def subscription(name: str, end: int, *prices: dict[str, Any], **changes: Any) -> dict[str, Any]:
    items = [
        {"id": f"si_{price['id']}", "object": "subscription_item", "created": 1, "price": price}
        for price in prices
    ]
    return {
        "id": name,
        "object": "subscription",
        "created": 1,
        "customer": "cus_1",
        "status": "active",
        "start_date": 1,
        "current_period_start": 1,
        "current_period_end": end,
        "canceled_at": None,
        "ended_at": None,
        "cancel_at_period_end": False,
        "items": {"data": items},
        **changes,
    }


def price(name: str, of: str = "prod_1") -> dict[str, Any]:
    return {"id": name, "object": "price", "product": of, "currency": "usd", "unit_amount": 1}


def tied_prices(*sent: dict[str, Any]) -> set[str]:
    payloads = Payloads()
    payloads.add([{"id": "cus_1", "object": "customer", "description": "owner"}, *sent])
    return {one["price_id"] for one in payloads.tied("owner", "prod_1")}


def test_entries_are_tied_only_by_the_greatest_period_end() -> None:
    assert tied_prices(subscription("sub_1", 9, price("a"), price("b"))) == {"a", "b"}
    assert tied_prices(subscription("sub_1", 9, price("a")), subscription("sub_2", 9, price("b"))) == {
        "a",
        "b",
    }
    assert tied_prices(subscription("sub_1", 9, price("a")), subscription("sub_2", 8, price("b"))) == set()
    assert tied_prices(subscription("sub_1", 9, price("a"), price("b", "prod_2"))) == set()
    assert (
        tied_prices(subscription("sub_1", 9, price("a"), price("b")), subscription("sub_1", 9, price("a")))
        == set()
    )


def test_any_of_the_tied_entries_may_be_sent_and_no_other() -> None:
    payloads = Payloads()
    sent = [subscription("sub_1", 9, price("a"), price("b")), subscription("sub_2", 8, price("c"))]
    payloads.add([{"id": "cus_1", "object": "customer", "description": "owner"}, *sent])
    a, b = payloads.tied("owner", "prod_1")
    ties = {("1", "prod_1"): [a, b]}

    def differ(theirs: dict[str, str], ours: dict[str, str], notes: Notes) -> str | None:
        received = requests.as_calls([upsert({**product("prod_1"), "sub_count": "3", **ours})], 5.0)
        expected = {**product("prod_1"), "sub_count": "3", **theirs}
        return requests.of_products([expected], received, ties, notes, NOW)

    notes = Notes()
    assert differ(a, b, notes) is None
    assert "tied" in notes.text()
    assert differ(a, {**b, "price_id": "c"}, Notes()) is not None
    assert differ(a, {**b, "sub_count": "2"}, Notes()) is not None
    assert differ({**a, "price_id": "c"}, b, Notes()) is not None


def test_a_product_is_compared_as_acoustic_gets_it() -> None:
    values = {"amount": None, "interval": None, "sub_count": 2, "cancel_at_period_end": True}
    assert wire("someone", {**values, "changed": "2021-09-27T01:02:03+00:00"}) == {
        "email_id": "someone",
        "amount": "-1",
        "interval": "",
        "sub_count": "2",
        "cancel_at_period_end": "Yes",
        "changed": "09/27/2021 01:02:03",
    }


def test_timeout_and_lost_connection_are_two_faults() -> None:
    late, lost = (fault_of({"raise": name}, 5.0) for name in ("Timeout", "ConnectionError"))
    assert (late["kind"], lost["kind"]) == ("late_answer", "lose_answer")
    assert late["delay_seconds"] > 5.0


def test_log_fields_are_compared_or_named() -> None:
    lines = [{"event": "token.refused", "token_fail": "Bad credentials"}, {"event": "request.served"}]
    notes = Notes()
    assert records.log_differs({"token_fail": "Bad credentials", "trace": "x"}, lines, notes) is None
    assert notes.not_compared == ["log.trace"]
    assert records.log_differs({"token_fail": "No credentials"}, lines, Notes()) is not None
    assert records.log_differs({"client_allowed": True}, lines, Notes()) is not None


DELIVERED = {"event": "delivery.succeeded", "contact_id": "1", "requests": ["main.upsert:success"]}
CONTACT_LOG = {
    "email_id": "1",
    "success": True,
    "main_status": "success",
    "event": records.EVENTS["delivery.succeeded"],
}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [DELIVERED, DELIVERED],
        [DELIVERED, {**DELIVERED, "contact_id": "2"}],
        [{**DELIVERED, "event": "delivery.failed"}],
        [{**DELIVERED, "requests": ["main.upsert:failure"]}],
        [{**DELIVERED, "requests": ["main.upsert:unknown"]}],
        [{**DELIVERED, "is_sent": False}],
        [{**DELIVERED, "requests": ["main.upsert:success", "product.upsert:success"]}],
        [{**DELIVERED, "fxa_created_date_converted": "success"}],
    ],
)
def test_other_lines_about_contacts_are_a_difference(lines: list[dict[str, Any]]) -> None:
    assert records.contact_logs_differ([CONTACT_LOG], [DELIVERED], Notes()) is None
    assert records.contact_logs_differ([CONTACT_LOG], lines, Notes()) is not None


def sample(value: float, **labels: str) -> dict[records.Sample, float]:
    return {(SENT, frozenset(labels.items())): value}


def test_metrics_count_what_grew_and_nothing_else() -> None:
    main = {"method": "add_recipient", "status": "success", "table": "main"}
    expected = {f'{SENT}{{"method": "add_recipient", "status": "success", "table": "main"}}': 1.0}

    def differ(before: Any, after: Any, unsent: tuple[str, ...] = ()) -> str | None:
        return records.metrics_differ(expected, before, after, unsent, Notes())

    assert differ(sample(1, **main), sample(2, **main)) is None
    assert differ(sample(2, **main), sample(2, **main)) is not None
    assert differ({}, sample(2, **main)) is not None
    assert differ({}, {**sample(1, **main), **sample(1, **{**main, "table": "product"})}) is not None
    assert differ({}, {}, ("main",)) is None


def test_requests_without_an_answer_count_as_failures_or_not_at_all() -> None:
    main = {"method": "add_recipient", "table": "main"}
    failed = {f'{SENT}{{"method": "add_recipient", "table": "main", "status": "failure"}}': 1.0}
    lost = sample(1, **main, status="unknown")
    notes = Notes()
    assert records.metrics_differ(failed, {}, lost, (), notes) is None
    assert "unknown" in notes.text()
    assert records.metrics_differ({}, {}, lost, (), Notes()) is None
    twice = sample(2, **main, status="unknown")
    assert records.metrics_differ(failed, {}, twice, (), Notes()) is not None
    succeeded = {f'{SENT}{{"method": "add_recipient", "table": "main", "status": "success"}}': 1.0}
    assert records.metrics_differ(succeeded, {}, lost, (), Notes()) is not None


def test_misspelt_metrics_make_it_no_case() -> None:
    with pytest.raises(CaseError, match=r"metrics\.ctms_background_acoustic_syncs"):
        records.metrics_differ({"ctms_background_acoustic_syncs": 1.0}, {}, {}, (), Notes())


def test_counts_of_a_window_are_compared() -> None:
    backlog = Counter(due=1, failed=0)
    right = {
        "count_total": 1,
        "count_synced": 1,
        "count_skipped": 0,
        "count_retry": 0,
        "sync_backlog": 1,
        "retry_backlog": 0,
    }
    assert records.context_differs(right, [DELIVERED], backlog, Notes()) is None
    for name, value in right.items():
        assert records.context_differs({name: value + 1}, [DELIVERED], backlog, Notes()) is not None
    notes = Notes()
    assert records.context_differs({"batch_limit": 20}, [DELIVERED], backlog, notes) is None
    assert notes.not_compared == ["cycle_context.batch_limit"]


def test_refused_objects_are_no_payloads() -> None:
    action = {"method": "POST", "path": "/stripe", "json": {"id": "cus_1", "object": "customer"}}
    assert objects_of(Step(0, "http", action, {"status": 200})) == [action["json"]]
    assert objects_of(Step(0, "http", action, {"status": 400})) == []
