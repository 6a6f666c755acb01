from datetime import UTC, datetime
from typing import Any

import pytest
import stripe_events as events
from ingest_bench import Ingest
from sqlmodel import SQLModel
from stripe_events import MONTH, START

from mainstem.common import models
from mainstem.ingest.mirror.tables import TABLES, TEXT

TIMES_OF_A_DEBT = (
    "due_date",
    "status_transitions_finalized_at",
    "status_transitions_marked_uncollectible_at",
)


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def created(about: events.Json, **more: Any) -> bytes:
    return events.event("customer.subscription.created", about, **more)


def updated(about: events.Json, **more: Any) -> bytes:
    return events.event("customer.subscription.updated", about, **more)


@pytest.mark.parametrize("kind", TABLES)
def test_the_tables_as_data_are_those_of_the_models(kind: str) -> None:
    table = TABLES[kind]
    columns = SQLModel.metadata.tables[table.name].columns
    assert set(table.all_columns) == set(columns.keys())
    if table.child is not None:
        child = SQLModel.metadata.tables[table.child.name].columns
        assert set(table.child.all_columns) == set(child.keys())
    assert models.SCHEMAS
    assert TEXT == "varchar"


async def test_both_eras_of_a_subscription_make_the_same_rows(ingest: Ingest) -> None:
    about = events.subscription(items=[events.item("si_1"), events.item("si_2")])
    await ingest.take(created(about), account="default")
    await ingest.take(created(events.as_before(about)), account="other")
    items = await ingest.table("subscription_item")
    today = [{**row, "account": ""} for row in items if row["account"] == "default"]
    before = [{**row, "account": ""} for row in items if row["account"] == "other"]
    assert today == before
    assert {row["current_period_end"] for row in before} == {at(START + MONTH)}
    one, other = await ingest.table("subscription", without=["account"])
    assert one == other


async def test_both_eras_of_an_invoice_make_the_same_rows(ingest: Ingest) -> None:
    await ingest.take(events.event("invoice.paid", events.invoice()), account="default")
    await ingest.take(events.event("invoice.paid", events.invoice_before()), account="other")
    today, before = await ingest.table("invoice", without=["account"])
    assert today == before
    assert today["subscription"] == "sub_1"
    today, before = await ingest.table("invoice_line", without=["account"])
    assert today == before
    assert (today["type"], today["price"], today["product"]) == ("subscription", "price_1", "prod_1")


async def test_invoice_keeps_what_tells_a_debt(ingest: Ingest) -> None:
    about = events.invoice(
        status="uncollectible",
        amount_remaining=499,
        attempt_count=4,
        due_date=events.START + events.DAY,
        status_details={"uncollectible": {"reason": "max_payment_attempts"}},
        status_transitions={"finalized_at": events.START, "marked_uncollectible_at": events.START + 1},
    )
    await ingest.take(events.event("invoice.marked_uncollectible", about))
    [row] = await ingest.table("invoice")
    assert (row["amount_remaining"], row["attempt_count"]) == (499, 4)
    assert row["status_details_uncollectible_reason"] == "max_payment_attempts"
    seconds = {name: int(row[name].timestamp()) - events.START for name in TIMES_OF_A_DEBT}
    assert seconds == dict(zip(TIMES_OF_A_DEBT, (events.DAY, 0, 1), strict=True))


async def test_invoice_without_what_tells_a_debt_is_mirrored_with_nulls(ingest: Ingest) -> None:
    await ingest.take(events.event("invoice.paid", events.invoice()))
    [row] = await ingest.table("invoice")
    absent = ("amount_remaining", "attempt_count", "status_details_uncollectible_reason", *TIMES_OF_A_DEBT)
    assert [row[name] for name in absent] == [None] * len(absent)


async def test_a_proration_line_names_its_invoice_item_in_both_eras(ingest: Ingest) -> None:
    parent = {
        "type": "invoice_item_details",
        "invoice_item_details": {"invoice_item": "ii_1", "subscription": "sub_1"},
        "subscription_item_details": None,
    }
    today = events.invoice(lines=[events.line(parent=parent)])
    line = events.line_before(type="invoiceitem", invoice_item="ii_1", subscription_item=None)
    before = {**events.invoice_before(), "lines": {"data": [line], "has_more": False}}
    await ingest.take(events.event("invoice.created", today), account="default")
    await ingest.take(events.event("invoice.created", before), account="other")
    one, other = await ingest.table("invoice_line", without=["account"])
    assert one == other
    assert (one["type"], one["invoice_item"], one["subscription_item"]) == ("invoiceitem", "ii_1", None)


async def test_an_older_copy_never_overwrites(ingest: Ingest) -> None:
    await ingest.take(updated(events.subscription(status="past_due"), at=START + 10))
    await ingest.take(updated(events.subscription(status="active"), at=START + 5))
    (row,) = await ingest.table("subscription")
    assert row["status"] == "past_due"
    assert row["at"] == at(START + 10)


async def test_two_events_of_one_second_settle_the_same_way_in_any_order(ingest: Ingest) -> None:
    one = updated(events.subscription(status="past_due"), one="evt_a")
    other = updated(events.subscription(status="unpaid"), one="evt_b")
    for account, order in (("default", (one, other)), ("other", (other, one))):
        for body in order:
            await ingest.take(body, account=account)
    first, second = await ingest.table("subscription", without=["account"])
    assert first == second
    assert (first["status"], first["key"]) == ("unpaid", "evt_b")


async def test_within_a_second_created_loses_and_deleted_wins(ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.subscription.deleted", events.subscription(status="canceled"), one="evt_a"),
        updated(events.subscription(status="active"), one="evt_b"),
        created(events.subscription(status="incomplete"), one="evt_c"),
    )
    (row,) = await ingest.table("subscription")
    assert (row["status"], row["rank"], row["deleted"]) == ("canceled", 3, False)


async def test_within_a_second_a_paid_invoice_stays_paid(ingest: Ingest) -> None:
    paid = events.event("invoice.paid", events.invoice(), one="evt_a")
    final = events.event("invoice.finalized", events.invoice(status="open"), one="evt_b")
    await ingest.take(paid)
    await ingest.take(final)
    (row,) = await ingest.table("invoice")
    assert row["status"] == "paid"


async def test_items_that_vanish_from_a_complete_list_are_deleted(ingest: Ingest) -> None:
    await ingest.take(created(events.subscription(items=[events.item("si_1"), events.item("si_2")])))
    await ingest.take(updated(events.subscription(items=[events.item("si_2")]), at=START + 1))
    assert [row["id"] for row in await ingest.table("subscription_item")] == ["si_2"]


async def test_items_of_a_refused_copy_change_nothing(ingest: Ingest) -> None:
    await ingest.take(updated(events.subscription(items=[events.item("si_2")]), at=START + 1))
    await ingest.take(created(events.subscription(items=[events.item("si_1"), events.item("si_2")])))
    assert [row["id"] for row in await ingest.table("subscription_item")] == ["si_2"]


async def test_an_incomplete_list_keeps_the_ten_that_came_and_deletes_none(ingest: Ingest) -> None:
    ten = [events.item(f"si_{number:03}") for number in range(10)]
    await ingest.take(created(events.subscription(items=[events.item("si_999")])))
    await ingest.take(updated(events.subscription(items=ten, has_more=True), at=START + 1))
    assert len(await ingest.table("subscription_item")) == 11
    (row,) = await ingest.table("subscription")
    assert row["incomplete_items"] is True
    await ingest.take(updated(events.subscription(items=ten), at=START + 2))
    assert len(await ingest.table("subscription_item")) == 10
    (row,) = await ingest.table("subscription")
    assert row["incomplete_items"] is False


async def test_an_item_named_twice_in_one_payload_is_one_row(ingest: Ingest) -> None:
    await ingest.take(created(events.subscription(items=[events.item("si_1"), events.item("si_1")])))
    assert len(await ingest.table("subscription_item")) == 1


@pytest.mark.parametrize(("rules", "segment"), [("mainstem", "canceled"), ("ctms-1.1.0", "active")])
async def test_a_deleted_customer_keeps_its_fields_and_its_products_are_ended_or_not_by_the_rules(
    ingest: Ingest, rules: str, segment: str
) -> None:
    await ingest.activate(rules)
    await ingest.take(
        events.event("customer.created", events.customer()),
        created(events.subscription()),
    )
    gone = {"id": "cus_1", "object": "customer", "deleted": True}
    await ingest.take(events.event("customer.deleted", gone, at=START + 9))
    (row,) = await ingest.table("customer")
    assert (row["deleted"], row["description"]) == (True, "fxa-1")
    assert await ingest.segments() == {("fxa-1", "prod_1"): segment}


async def test_a_tombstone_that_comes_first_is_not_overwritten(ingest: Ingest) -> None:
    await ingest.take(events.event("customer.deleted", events.customer(), at=START + 9))
    await ingest.take(events.event("customer.created", events.customer()))
    (row,) = await ingest.table("customer")
    assert (row["deleted"], row["description"]) == (True, "fxa-1")


async def test_a_bare_tombstone_and_a_whole_copy_of_one_batch_both_count(ingest: Ingest) -> None:
    gone = {"id": "cus_1", "object": "customer", "deleted": True}
    await ingest.take(
        events.event("customer.deleted", gone, at=START + 9),
        events.event("customer.created", events.customer()),
    )
    (row,) = await ingest.table("customer")
    assert (row["deleted"], row["description"]) == (True, "fxa-1")


async def test_an_unchanged_price_inside_a_subscription_is_not_written_again(ingest: Ingest) -> None:
    await ingest.take(created(events.subscription()))
    (before,) = await ingest.rows("SELECT xmin::text, ctid::text FROM stripe.price")
    await ingest.take(updated(events.subscription(status="past_due"), at=START + 1))
    (after,) = await ingest.rows("SELECT xmin::text, ctid::text FROM stripe.price")
    assert before == after


async def test_a_price_of_its_own_event_beats_the_copy_inside_a_subscription_of_that_second(
    ingest: Ingest,
) -> None:
    own = events.price(active=False)
    await ingest.take(events.event("price.updated", own))
    await ingest.take(created(events.subscription()))
    (row,) = await ingest.table("price")
    assert row["active"] is False


async def test_a_price_in_two_items_of_one_payload_is_stored_once(ingest: Ingest) -> None:
    await ingest.take(created(events.subscription(items=[events.item("si_1"), events.item("si_2")])))
    assert [row["id"] for row in await ingest.table("price")] == ["price_1"]


async def test_an_expanded_object_counts_as_its_id(ingest: Ingest) -> None:
    about = events.subscription(of=events.customer(), latest_invoice={"id": "in_9", "object": "invoice"})
    await ingest.take(created(about))
    (row,) = await ingest.table("subscription")
    assert (row["customer"], row["latest_invoice"]) == ("cus_1", "in_9")


async def test_the_currency_is_stored_in_lower_case(ingest: Ingest) -> None:
    await ingest.take(created(events.subscription(items=[events.item(of=events.price(currency="USD"))])))
    (row,) = await ingest.table("price")
    assert row["currency"] == "usd"


async def test_a_redelivered_version_is_one_revision(ingest: Ingest) -> None:
    await ingest.take(events.event("customer.updated", events.customer(), one="evt_1"))
    await ingest.take(events.event("customer.updated", events.customer(), one="evt_2"))
    await ingest.take(events.event("customer.updated", events.customer(name="Eve"), one="evt_3"))
    revisions = await ingest.rows("SELECT valid_from, event, body FROM stripe.revision ORDER BY id")
    assert [row["valid_from"] for row in revisions] == [at(START)] * 2
    assert all(row["event"] is not None and row["body"] is None for row in revisions)
