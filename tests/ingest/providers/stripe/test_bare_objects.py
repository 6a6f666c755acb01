"""Bare objects: what the adapter refuses, and what becomes of those it takes."""

import json
from itertools import permutations

import pytest
import stripe_events as events
from bare_objects import customer, encoded, invoice, item, line, price, push, subscription, without
from ingest_bench import Ingest, empty
from stripe_events import DAY, MONTH, START, Json

from mainstem.common.errors import BadRequestError
from mainstem.ingest.providers.stripe.bare_objects import UNREADABLE, UNRECOGNIZED, bare_snapshot, read_bare


@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"3", b'"text"', b'["object", "id"]', b"{}", b'{"id": "cus_1"}', b"[" * 2000]
)
def test_what_is_no_object_of_stripes_is_not_recognized(body: bytes) -> None:
    with pytest.raises(BadRequestError) as error:
        read_bare(body)
    assert error.value.detail == UNRECOGNIZED


@pytest.mark.parametrize(
    "about",
    [
        {"id": "pm_1", "object": "payment_method"},
        {"id": "prod_1", "object": "product"},
        {"id": "cus_1", "object": None},
        {"id": "cus_1", "object": ["customer"]},
        {"id": None, "object": "customer", "deleted": True},
        {"id": "si_1", "object": "subscription_item", "deleted": True},
        *(
            without(about, name)
            for about in (customer(), price(), item(), subscription(item()), invoice())
            for name in about
            if name not in {"id", "object", "email", "recurring", "unit_amount"}
            and not name.startswith("current_period")
        ),
        without(subscription(item()), "current_period_end"),
        customer(description=None),
        customer(id="cus_\0"),
        customer(id=""),
        customer(id="x" * 256),
        customer(description="x" * 256),
        customer(description="fxa\0"),
        customer(name="x" * 5_001),
        customer(metadata={"a": "\0"}),
        customer(metadata={"a": "\\\0"}),
        customer(metadata={str(number): "" for number in range(51)}),
        customer(metadata={"k" * 41: ""}),
        customer(metadata={"a": "x" * 501}),
        customer(metadata={"a": {}}),
        customer(default_source="x" * 256),
        price(product="x" * 256),
        price(unit_amount=2**63),
        price(recurring={"interval": "month", "interval_count": 2**31}),
        subscription(*(item(f"si_{number}") for number in range(251))),
        subscription(item(of=price("x" * 256))),
        subscription(item(quantity=2**63)),
        invoice(lines={"data": [line(id=f"il_{number}") for number in range(251)]}),
        invoice(lines={"data": [line(subscription="x" * 256)]}),
        invoice(number="x" * 5_001),
        customer(invoice_settings=None),
        customer(default_source={"id": "src_1"}),
        price(currency="usdollar"),
        price(recurring={"interval": "fortnight", "interval_count": 1}),
        price(created="yesterday"),
        subscription(item(), status="sleeping"),
        subscription(item(), customer={"id": "cus_1", "object": "customer"}),
        subscription(item(object="price")),
        subscription(item(of=price(object="plan"))),
        subscription(item(), items=[item()]),
        invoice(status="late"),
        invoice(lines={"data": [line(type="gift")]}),
        invoice(lines={"data": [without(line(), "type")]}),
        invoice(lines={"data": [without(line(), "price")]}),
        invoice(lines={"data": [line(object="subscription_item")]}),
    ],
    ids=lambda about: json.dumps(about)[:60],
)
def test_what_cannot_be_read_is_refused(about: Json) -> None:
    with pytest.raises(BadRequestError) as error:
        read_bare(encoded(about))
    assert error.value.detail == UNREADABLE


@pytest.mark.parametrize(
    "about",
    [
        customer(),
        customer(deleted=False),
        customer(metadata={f"{'k' * 38}{number:02}": "x" * 500 for number in range(50)}),
        customer(metadata=None, id="x" * 255, description="x" * 255, name="x" * 5_000),
        customer(name="\\u0000", description="\\\\u0000"),
        subscription(*(item(f"si_{number}") for number in range(250))),
        invoice(lines={"data": [line(id=f"il_{number}") for number in range(250)]}),
        {"id": "cus_1", "object": "customer", "deleted": True},
        price(),
        without(price(), "recurring", "unit_amount"),
        price(recurring=None, unit_amount=2**40),
        item(),
        subscription(),
        subscription(item(), status="paused"),
        without(
            subscription(item(current_period_start=START, current_period_end=START + DAY)),
            "current_period_start",
            "current_period_end",
        ),
        invoice(status="uncollectible"),
        invoice(status="uncollectable"),
        events.customer(),
        events.price(),
        events.subscription(items=[events.item(subscription="sub_1")]),
        events.invoice(),
    ],
    ids=lambda about: json.dumps(about)[:60],
)
def test_what_stripe_sends_is_taken_in_both_eras(about: Json) -> None:
    assert read_bare(encoded(about)).kind == about["object"]
    assert bare_snapshot(encoded(about)).id == about["id"]


async def test_every_kind_comes_into_the_mirror(ingest: Ingest) -> None:
    await push(ingest, customer(), price("price_9"), subscription(item()), invoice())
    await ingest.work_off()
    assert set((await ingest.statuses()).values()) == {"done"}
    counts = {name: len(rows) for name, rows in (await ingest.mirror()).items()}
    assert counts == {
        "customer": 1,
        "product": 0,
        "price": 2,
        "subscription": 1,
        "subscription_item": 1,
        "invoice": 1,
        "invoice_line": 1,
    }
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active"}
    assert await ingest.announced() == ["fxa_id:fxa-1"]


async def test_the_last_recorded_wins_whatever_the_object_says_of_its_time(ingest: Ingest) -> None:
    await push(ingest, customer(created=START + DAY), customer(created=START, email="other@example.com"))
    await ingest.work_off()
    (row,) = await ingest.table("customer")
    assert row["email"] == "other@example.com"


async def test_of_those_recorded_in_one_instant_the_later_in_turn_wins(ingest: Ingest) -> None:
    await push(ingest, *(customer(email=f"{number}@example.com") for number in range(1, 12)))
    await ingest.rows("UPDATE inbox.event SET recorded_at = $1", ingest.clock.now())
    await ingest.work_off()
    (row,) = await ingest.table("customer")
    assert row["email"] == "11@example.com"


async def test_a_bare_tombstone_keeps_the_fields_and_ends_the_products(ingest: Ingest) -> None:
    gone = {"id": "cus_1", "object": "customer", "deleted": True}
    await push(ingest, customer(), subscription(item()), gone)
    await ingest.work_off()
    (row,) = await ingest.table("customer")
    assert (row["deleted"], row["description"]) == (True, "fxa-1")
    assert await ingest.segments() == {("fxa-1", "prod_1"): "canceled"}


async def test_each_push_is_a_revision_from_its_recording_on(ingest: Ingest) -> None:
    await push(ingest, item(), item(quantity=2))
    await ingest.work_off()
    rows = await ingest.rows(
        "SELECT revision.object_type, revision.object_id, valid_from = event.recorded_at AS is_then"
        " FROM stripe.revision JOIN inbox.event ON event.id = revision.event"
    )
    assert rows == 2 * [{"object_type": "subscription_item", "object_id": "si_1", "is_then": True}]


async def test_a_lone_item_is_stored_and_counts_once_its_subscription_is_there(ingest: Ingest) -> None:
    await push(ingest, customer(), item("si_2", price("price_2", "prod_2")))
    await ingest.work_off()
    (row,) = await ingest.table("subscription_item")
    assert (row["id"], row["subscription"], row["price"]) == ("si_2", "sub_1", "price_2")
    assert await ingest.segments() == {}


async def test_a_lone_item_changes_what_its_owner_has(ingest: Ingest) -> None:
    await push(ingest, customer(), subscription(item()))
    await ingest.work_off()
    await push(ingest, item(of=price("price_2", "prod_2")), item("si_3", price("price_3", "prod_3")))
    await ingest.work_off()
    ends = {row["product_id"]: row["current_period_end"].timestamp() for row in await ingest.products()}
    assert ends == {"prod_2": START + MONTH, "prod_3": START + MONTH}
    assert await ingest.announced() == ["fxa_id:fxa-1"] * 2


async def test_pushes_end_the_same_in_whatever_order_they_are_worked_off(ingest: Ingest) -> None:
    """Each event alone in its batch, in every order: the mirror is that of the order of recording."""
    story = [
        customer(),
        subscription(item("si_1"), item("si_2", price("price_2", "prod_2"))),
        item("si_1", price("price_3", "prod_3")),
        item("si_4", price("price_4", "prod_4")),
        subscription(item("si_1"), status="past_due"),
        item("si_5", price("price_5", "prod_5")),
    ]
    expected = None
    for order in list(permutations(range(len(story))))[::17]:
        await empty(ingest)
        await push(ingest, *story)
        ids = [row["id"] for row in await ingest.rows("SELECT id FROM inbox.event ORDER BY id")]
        for turn in order:
            await ingest.rows("UPDATE inbox.event SET due_at = 'infinity' WHERE status = 'received'")
            await ingest.rows("UPDATE inbox.event SET due_at = '-infinity' WHERE id = $1", ids[turn])
            await ingest.work_off()
        outcome = (await ingest.mirror(), await ingest.products())
        expected = expected or outcome
        assert outcome == expected, order
    assert expected is not None
    items = {row["id"]: row["price"] for row in expected[0]["subscription_item"]}
    assert items == {"si_1": "price_1", "si_5": "price_5"}
    assert [row["product_id"] for row in expected[1]] == ["prod_1", "prod_5"]
