from typing import Any

import pytest
import stripe_events as events
from bare_objects import push
from ingest_bench import Ingest
from pydantic import SecretStr
from statements import RecordedStatements
from stripe_events import START

from mainstem.common.owner import Link, rule
from mainstem.ingest.settings import Settings
from mainstem.ingest.subscriptions import owners, products


@pytest.mark.parametrize(
    ("setting", "values", "link"),
    [
        ("customer.description:fxa_id", {"description": "fxa-1"}, Link("fxa_id", "fxa-1")),
        ("customer.description:fxa_id", {"description": None}, None),
        ("customer.description:fxa_id", {"description": ""}, None),
        ("customer.email:email", {"email": "Ada@Example.com"}, Link("email", "ada@example.com")),
        ("customer.metadata.userid:fxa_id", {"metadata": '{"userid":"U1"}'}, Link("fxa_id", "U1")),
        (
            "customer.metadata.a:primary_email",
            {"metadata": '{"a":"Ada@X.com"}'},
            Link("primary_email", "ada@x.com"),
        ),
        ("customer.metadata.a:email_id", {"metadata": '{"a":"C4A7"}'}, Link("email_id", "c4a7")),
        ("customer.description:fxa_id", {"description": "x" * 255}, Link("fxa_id", "x" * 255)),
        ("customer.description:fxa_id", {"description": "x" * 256}, None),
        ("customer.metadata.a.b:kind", {"metadata": '{"a.b":"1"}'}, Link("kind", "1")),
        ("customer.metadata.userid:fxa_id", {"metadata": "{}"}, None),
        ("customer.metadata.userid:fxa_id", {"metadata": None}, None),
    ],
)
def test_a_setting_says_which_field_names_the_owner(
    setting: str, values: dict[str, Any], link: Link | None
) -> None:
    assert rule(setting).link(values) == link


@pytest.mark.parametrize("setting", ["customer.phone:phone", "description:fxa_id", "customer.email", ""])
def test_another_setting_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match="owner_link"):
        Settings(database_url=SecretStr("postgresql://localhost/x"), owner_link=setting)


async def test_a_customer_that_moves_to_another_owner_changes_both(ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
    )
    await ingest.take(events.event("customer.updated", events.customer(owner="fxa-2"), at=START + 1))
    assert await ingest.segments() == {("fxa-2", "prod_1"): "active"}
    assert await ingest.announced() == ["fxa_id:fxa-1", "fxa_id:fxa-1", "fxa_id:fxa-2"]


async def test_older_copy_that_postgres_cannot_store_fails_no_newer_event_of_its_customer(
    ingest: Ingest,
) -> None:
    names = {"k": "fxa-1"}
    unfit = events.customer(metadata={**names, "note": "x\0y"})
    fit = events.customer(metadata={**names, "note": "mended"})
    await ingest.record(
        events.event("customer.created", unfit), events.event("customer.updated", fit, at=START + 1)
    )
    await ingest.pipeline(link="customer.metadata.k:fxa_id").work()
    assert [row["value"] for row in await ingest.rows("SELECT value FROM subscription.owner")] == ["fxa-1"]


async def test_a_customer_that_names_nobody_any_more_leaves_nothing(ingest: Ingest) -> None:
    await ingest.take(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
    )
    await ingest.take(events.event("customer.updated", events.customer(owner=None), at=START + 1))
    assert await ingest.products() == []
    assert await ingest.rows("SELECT * FROM subscription.owner") == []


async def test_a_link_that_one_of_its_customers_gives_up_stays_with_the_others(ingest: Ingest) -> None:
    await ingest.activate("ctms-1.1.0")
    other = events.item("si_2", of=events.price("price_2", product="prod_2"))
    await ingest.take(
        events.event("customer.created", events.customer("cus_1")),
        events.event("customer.created", events.customer("cus_2", created=START + 1)),
        events.event("customer.subscription.created", events.subscription()),
        events.event(
            "customer.subscription.created", events.subscription("sub_2", of="cus_2", items=[other])
        ),
    )
    assert await ingest.segments() == {("fxa-1", "prod_2"): "active"}
    await ingest.activate("mainstem")
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active", ("fxa-1", "prod_2"): "active"}
    leaves = events.customer("cus_2", owner="fxa-2", created=START + 1)
    await ingest.take(events.event("customer.updated", leaves, at=START + 5))
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active", ("fxa-2", "prod_2"): "active"}


async def test_of_two_customers_of_one_second_the_greater_id_by_code_point_holds_the_link_at_ctms(
    ingest: Ingest,
) -> None:
    await ingest.activate("ctms-1.1.0")
    for one, product in (("cus_a", "prod_a"), ("cus_B", "prod_b")):
        item = events.item(f"si_{one}", of=events.price(f"price_{one}", product=product))
        await ingest.take(
            events.event("customer.created", events.customer(one)),
            events.event(
                "customer.subscription.created", events.subscription(f"sub_{one}", of=one, items=[item])
            ),
        )
    assert await ingest.segments() == {("fxa-1", "prod_a"): "active"}


async def test_each_account_has_its_own_holder_of_a_link(ingest: Ingest) -> None:
    for account in ("default", "other"):
        await ingest.take(
            events.event("customer.created", events.customer()),
            events.event("customer.subscription.created", events.subscription()),
            account=account,
        )
    rows = [(row["owner_value"], row["account"]) for row in await ingest.products()]
    assert rows == [("fxa-1", "default"), ("fxa-1", "other")]


@pytest.mark.parametrize("is_lone", [False, True])
async def test_an_item_that_moves_to_another_subscription_changes_both_owners(
    ingest: Ingest, is_lone: bool
) -> None:
    other = events.item("si_2", of=events.price("price_2", product="prod_2"))
    await ingest.take(
        events.event("customer.created", events.customer("cus_1", owner="fxa-1")),
        events.event("customer.created", events.customer("cus_2", owner="fxa-2")),
        events.event("customer.subscription.created", events.subscription("sub_1", of="cus_1")),
        events.event(
            "customer.subscription.created", events.subscription("sub_2", of="cus_2", items=[other])
        ),
    )
    assert await ingest.segments() == {("fxa-1", "prod_1"): "active", ("fxa-2", "prod_2"): "active"}
    if is_lone:
        await push(ingest, events.item("si_1", subscription="sub_2"))
        await ingest.work_off()
    else:
        both = events.subscription("sub_2", of="cus_2", items=[events.item("si_1"), other])
        await ingest.take(events.event("customer.subscription.updated", both, at=events.START + 1))
    assert await ingest.segments() == {("fxa-2", "prod_1"): "active", ("fxa-2", "prod_2"): "active"}
    assert set(await ingest.announced()) == {"fxa_id:fxa-1", "fxa_id:fxa-2"}


async def test_commit_reads_customers_before_and_under_the_locks_and_writes_owners_by_one_statement(
    ingest: Ingest,
) -> None:
    await ingest.take(
        events.event("customer.created", events.customer("cus_1")),
        events.event("customer.created", events.customer("cus_2", owner=None)),
        events.event("customer.subscription.created", events.subscription()),
    )
    await ingest.record(
        events.event("customer.updated", events.customer("cus_1", owner=None), at=START + 1),
        events.event("customer.updated", events.customer("cus_2", owner="fxa-2"), at=START + 1),
        events.event("customer.subscription.updated", events.subscription(), at=START + 1),
    )
    database = RecordedStatements(ingest.pool)
    await ingest.pipeline(database=database).work()
    concerned = [text for text in database.texts if "subscription.owner" in text or text == owners.HOLDERS]
    assert concerned == [
        owners.HOLDERS,
        owners.FIND,
        owners.write_statement("description"),
        products.ENTRIES,
    ]
    rows = await ingest.rows("SELECT customer, value FROM subscription.owner")
    assert rows == [{"customer": "cus_2", "value": "fxa-2"}]


async def test_changed_owner_setting_moves_a_customer_with_the_next_event_of_its_subscription(
    ingest: Ingest,
) -> None:
    await ingest.take(
        events.event("customer.created", events.customer("cus_1")),
        events.event("customer.subscription.created", events.subscription()),
    )
    await ingest.record(events.event("customer.subscription.updated", events.subscription(), at=START + 1))
    await ingest.pipeline(link="customer.email:email").work()
    assert await ingest.segments() == {("cus_1@example.com", "prod_1"): "active"}
    (owner,) = await ingest.rows("SELECT kind, value FROM subscription.owner")
    assert owner == {"kind": "email", "value": "cus_1@example.com"}
