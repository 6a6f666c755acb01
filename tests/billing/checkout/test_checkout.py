"""Checkout: the rules, texts and codes of Zed's `POST /billing/subscriptions`."""

import json
from typing import Any

import httpx
import pytest
from billing_world import LOOKUP_KEY, OTHER_KEY, PUBLIC, BillingWorld, buy, register, url_of
from clicking import Browser
from owing import MONTH_SECONDS, break_the_card

from mainstem.sandbox.stand_ins.faults import Kind

DAY = 86_400


def status_and_detail(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["detail"]


async def test_a_person_is_sent_to_a_session_of_their_own(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    account = await register(client)
    url = await url_of(client)
    (customer,) = world.held("customer")
    (session,) = world.held("checkout.session")
    assert session["url"] == url
    assert (session["customer"], session["client_reference_id"]) == (customer["id"], "ada")
    assert session["success_url"] == f"{PUBLIC}/billing/return?session_id={{CHECKOUT_SESSION_ID}}"
    assert session["cancel_url"] == PUBLIC
    (item,) = world.held("item")
    (price,) = world.held("price")
    assert (item["price"]["id"], item["quantity"]) == (price["id"], 1)
    assert (customer["email"], customer["metadata"]) == (
        "ada@example.com",
        {"mainstem_account": account["id"]},
    )
    shown = (await client.get("/billing/accounts/github_user_id/12345")).json()
    assert shown["stripe_customer_id"] == customer["id"]


async def test_the_customer_is_tied_before_the_session_is_asked_for(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    world.break_(Kind.STATUS, "/v1/checkout/sessions", method="POST", status=400)
    assert status_and_detail(await buy(client)) == (
        502,
        "Stripe refused the request: The sandbox was told to fail here. (HTTP 400)",
    )
    (customer,) = world.held("customer")
    (account,) = await world.rows("SELECT stripe_customer_id FROM billing.account")
    assert account["stripe_customer_id"] == customer["id"]


@pytest.mark.parametrize(
    ("setting", "kind", "expected"),
    [
        ("customer.description:fxa_id", "fxa_id", {"description": "person-1"}),
        ("customer.metadata.who:user", "user", {"description": None}),
        ("customer.description:fxa_id", "sfdc_id", {"description": None}),
    ],
)
async def test_the_customer_says_whose_it_is_as_ingest_reads_it(
    world: BillingWorld, setting: str, kind: str, expected: dict[str, Any]
) -> None:
    await world.price()
    client = await world.serve(owner_link=setting)
    account = await register(client, kind, "person-1")
    answer = await client.post("/billing/subscriptions", json={"owner": {"kind": kind, "value": "person-1"}})
    assert answer.status_code == 200
    (customer,) = world.held("customer")
    assert {name: customer[name] for name in expected} == expected
    linked = {"who": "person-1"} if kind == "user" else {}
    assert customer["metadata"] == {"mainstem_account": account["id"], **linked}


async def test_an_open_session_is_used_again(world: BillingWorld, client: httpx.AsyncClient) -> None:
    await register(client)
    assert await url_of(client) == await url_of(client)
    assert len(world.held("checkout.session")) == 1


async def test_an_expired_session_frees_its_reservation(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    first = await url_of(client)
    await world.stripe.move_to(world.stripe.now + DAY + 1)
    assert await url_of(client) != first
    assert [row["status"] for row in await world.reservations()] == ["expired", "open"]
    assert len(world.held("customer")) == 1


async def test_another_price_of_the_product_takes_the_place_of_the_first(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    (price,) = world.held("price")
    params: Any = {
        "product": price["product"],
        "currency": "usd",
        "unit_amount": 9_900,
        "recurring": {"interval": "year"},
        "lookup_key": OTHER_KEY,
    }
    await world.shop.sdk.v1.prices.create_async(params)
    await register(client)
    first = await url_of(client, price=LOOKUP_KEY)
    second = await url_of(client, price=OTHER_KEY)
    assert first != second
    assert sorted(one["status"] for one in world.held("checkout.session")) == ["expired", "open"]
    assert await url_of(client, price=OTHER_KEY) == second
    (ending,) = (one for one in world.stripe.stand_in.received() if one["path"].endswith("/expire"))
    # A key of ours could repeat a failure for a day, and nobody needs one for what may be repeated.
    assert "cs_" not in (ending["idempotency_key"] or "")


async def test_who_has_paid_is_told_so_though_the_mirror_has_not_heard(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser
) -> None:
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay")
    assert status_and_detail(await buy(client)) == (409, "user already has an active subscription")
    assert status_and_detail(await buy(client)) == (409, "user already has an active subscription")
    assert len(world.held("checkout.session")) == 1


async def test_who_has_a_subscription_in_the_mirror_is_told_so(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser
) -> None:
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay")
    await world.mirror()
    asked = len(world.stripe.stand_in.received())
    assert status_and_detail(await buy(client)) == (409, "user already has an active subscription")
    assert len(world.stripe.stand_in.received()) == asked


async def test_a_payment_that_is_under_way_is_not_asked_for_twice(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser
) -> None:
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay-later")
    assert status_and_detail(await buy(client)) == (409, "the payment of the last checkout is still pending")


async def test_who_owes_money_is_told_so(
    world: BillingWorld, client: httpx.AsyncClient, customer: str
) -> None:
    await break_the_card(world, customer)
    await world.stripe.move_to(world.stripe.now + MONTH_SECONDS)
    await world.mirror()
    assert status_and_detail(await buy(client)) == (402, "user has overdue invoices")


async def test_nobody_is_sold_to_who_was_not_registered(direct: httpx.AsyncClient) -> None:
    assert status_and_detail(await buy(direct)) == (404, "user not found")


@pytest.mark.parametrize(
    "missing", [{"stripe_api_key": None}, {"stripe_api_key": ""}, {"stripe_price_id": " , "}]
)
async def test_without_key_or_price_nothing_is_sold(world: BillingWorld, missing: dict[str, Any]) -> None:
    client = await world.serve(**missing)
    assert status_and_detail(await buy(client)) == (404, "user not found")
    await register(client)
    assert status_and_detail(await buy(client)) == (501, "not supported")


async def test_a_price_that_is_made_later_is_found_then(world: BillingWorld) -> None:
    client = await world.serve()
    await register(client)
    assert status_and_detail(await buy(client)) == (501, 'no price found for "demo-plus"')
    await world.price()
    assert await url_of(client)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"github_user_id": "12345"}',
        b'{"github_user_id": true}',
        b'{"github_user_id": 0}',
        b'{"github_user_id": 1, "owner": {"kind": "fxa_id", "value": "x"}}',
        b'{"owner": {"kind": "Fxa", "value": "x"}}',
        b'{"owner": {"kind": "fxa_id", "value": "a\\u0000"}}',
        b'{"github_user_id": 12345, "price": "price_of_somebody"}',
    ],
)
async def test_what_cannot_be_meant_is_refused(direct: httpx.AsyncClient, body: bytes) -> None:
    await register(direct)
    answer = await direct.post("/billing/subscriptions", content=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"][0] == "body"


async def test_a_definite_failure_starts_a_new_attempt_under_a_new_key(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    world.break_(Kind.STATUS, "/v1/checkout/sessions", method="POST", status=400)
    assert (await buy(client)).status_code == 502
    assert await url_of(client)
    (row,) = await world.reservations()
    assert (row["attempt"], row["status"]) == (2, "open")


async def test_a_failure_that_its_key_repeats_for_good_is_left_for_a_new_one(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    kept = {"Idempotent-Replayed": "true"}
    world.break_(Kind.STATUS, "/v1/checkout/sessions", method="POST", status=500, headers=kept)
    assert (await buy(client)).status_code == 503
    assert await url_of(client)
    assert [row["attempt"] for row in await world.reservations()] == [2]


@pytest.mark.parametrize("body", ["null", "{}"])
async def test_an_answer_that_is_no_object_tells_nothing(
    world: BillingWorld, client: httpx.AsyncClient, body: str
) -> None:
    await register(client)
    url = await url_of(client)
    world.break_(Kind.STATUS, "/v1/checkout/sessions/", method="GET", status=200, body=body)
    assert await url_of(client) == url
    assert len(world.held("checkout.session")) == 1


async def test_a_session_that_was_made_after_all_is_adopted(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    refusal = {"status": 400, "remaining": 1}
    world.break_(Kind.REPLACE_ANSWER, "/v1/checkout/sessions", method="POST", **refusal)
    url = await url_of(client)
    (session,) = world.held("checkout.session")
    assert session["url"] == url
    assert [row["attempt"] for row in await world.reservations()] == [1]


async def test_a_customer_that_was_deleted_at_stripe_is_replaced(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    await url_of(client)
    (customer,) = world.held("customer")
    await world.stripe.move_to(world.stripe.now + DAY + 1)
    await world.shop.sdk.v1.customers.delete_async(customer["id"])
    assert await url_of(client)
    (account,) = await world.rows("SELECT stripe_customer_id FROM billing.account")
    assert account["stripe_customer_id"] != customer["id"]


async def test_a_session_without_a_page_is_told_as_it_is(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    session = {
        "id": "cs_test_1",
        "object": "checkout.session",
        "status": "open",
        "url": None,
        "subscription": None,
        "expires_at": world.stripe.now + DAY,
    }
    body = json.dumps(session)
    world.break_(Kind.STATUS, "/v1/checkout/sessions$", method="POST", status=200, body=body)
    world.break_(Kind.STATUS, "/v1/checkout/sessions/cs_test_1", status=200, body=body)
    assert status_and_detail(await buy(client)) == (500, "no checkout session URL")


async def test_stripe_away_is_a_503_that_says_when_to_come_again(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    world.break_(Kind.DROP, "/v1/customers", remaining=None)
    client = await world.serve(wait_seconds=0.5)
    answer = await buy(client)
    assert status_and_detail(answer) == (503, "the checkout is still being prepared")
    assert answer.headers["retry-after"] == "1"
    world.stripe.faults.clear()
    assert await url_of(client)
    assert len(world.held("customer")) == 1
