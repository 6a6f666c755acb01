"""Refusals by Stripe: those that have an answer of their own, and the cause of all others."""

import json
from typing import Any

import httpx
import pytest
from billing_world import LOOKUP_KEY, BillingWorld, buy, register, url_of
from clicking import Browser
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from mainstem.sandbox.stand_ins.faults import Kind

METERED: Any = {"interval": "month", "usage_type": "metered"}
SESSIONS = "^/v1/checkout/sessions$"
MESSAGE = (
    "Quantity should not be specified where usage_type is `metered`. Remove quantity from `line_items[0]`"
)
REFUSAL = {"type": "invalid_request_error", "param": "line_items[0][quantity]", "message": MESSAGE}


def problem_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]


def request_of(world: BillingWorld) -> Any:
    """Return the parameters of the last session that Stripe was asked to make."""
    return [
        one["params"]
        for one in world.stripe.stand_in.received()
        if (one["method"], one["path"]) == ("POST", "/v1/checkout/sessions")
    ][-1]


async def manage(client: httpx.AsyncClient, intent: str) -> httpx.Response:
    return await client.post(
        "/billing/subscriptions/manage", json={"github_user_id": 12345, "intent": intent}
    )


async def assert_nothing_begun(world: BillingWorld) -> None:
    assert await world.reservations() == []
    assert (world.held("customer"), world.held("checkout.session")) == ([], [])


@pytest.fixture
async def buyer(world: BillingWorld) -> httpx.AsyncClient:
    """A process of billing that knows a person, and nothing to sell."""
    client = await world.serve()
    await register(client)
    return client


async def test_metered_price_is_sold_without_a_quantity(
    world: BillingWorld, buyer: httpx.AsyncClient, browser: Browser
) -> None:
    price = await world.price(recurring=METERED)
    await browser.open(await url_of(buyer))
    assert request_of(world)["line_items"] == [{"price": price}]
    await browser.click("pay")
    await world.mirror()
    (item,) = await world.rows("SELECT price, quantity FROM stripe.subscription_item")
    assert item == {"price": price, "quantity": None}
    assert problem_of(await buy(buyer)) == (409, "user already has an active subscription")


@pytest.mark.parametrize(
    "odd",
    [
        {
            "billing_scheme": "tiered",
            "tiers_mode": "graduated",
            "unit_amount": None,
            "unit_amount_decimal": None,
        },
        {"transform_quantity": {"divide_by": 10, "round": "up"}},
        {"currency_options": {"eur": {"unit_amount": 900}}},
        {"unit_amount": None, "unit_amount_decimal": "0.5"},
        {"product": "prod_1"},
    ],
)
async def test_price_of_any_shape_is_sold_if_a_subscription_can_have_it(
    world: BillingWorld, buyer: httpx.AsyncClient, odd: dict[str, Any]
) -> None:
    await world.price()
    (price,) = world.held("price")
    (product,) = world.held("product")
    page = {"object": "list", "data": [{**price, "product": product, **odd}], "has_more": False}
    world.break_(Kind.STATUS, "^/v1/prices", method="GET", status=200, body=json.dumps(page))
    await url_of(buyer)
    assert request_of(world)["line_items"] == [{"price": price["id"], "quantity": "1"}]


@pytest.mark.parametrize("by_id", [False, True], ids=["by lookup key", "by id"])
async def test_one_time_price_is_told_before_anything_is_begun(world: BillingWorld, by_id: bool) -> None:
    price = await world.shop.sdk.v1.prices.create_async(
        {"currency": "usd", "unit_amount": 5, "product_data": {"name": "Mug"}, "lookup_key": LOOKUP_KEY}
    )
    client = await world.serve(stripe_price_id=price.id if by_id else LOOKUP_KEY)
    await register(client)
    advice = "make a recurring price at Stripe, or name another one in STRIPE_PRICE_ID"
    assert problem_of(await buy(client)) == (501, f"the price {price.id} is charged once; {advice}")
    await assert_nothing_begun(world)


@pytest.mark.parametrize("what", ["price", "product"])
@pytest.mark.parametrize("by_id", [False, True], ids=["by lookup key", "by id"])
async def test_archived_price_or_product_is_named_before_anything_is_begun(
    world: BillingWorld, what: str, by_id: bool
) -> None:
    price = await world.price()
    (product,) = world.held("product")
    archived = await archive(world, what)
    client = await world.serve(stripe_price_id=price if by_id else LOOKUP_KEY)
    await register(client)
    named = f"price {price}" if what == "price" else f"product {product['id']} of the price {price}"
    assert problem_of(await buy(client)) == (
        501,
        f"the {named} is archived at Stripe; activate it there, or name another one in STRIPE_PRICE_ID",
    )
    assert archived in named
    await assert_nothing_begun(world)


async def archive(world: BillingWorld, what: str) -> str:
    """Archive the only price or product, and return its id."""
    (one,) = world.held(what)
    api = world.shop.sdk.v1.prices if what == "price" else world.shop.sdk.v1.products
    await api.update_async(one["id"], {"active": False})
    found: str = one["id"]
    return found


@pytest.mark.parametrize("what", ["price", "product"])
async def test_price_that_was_archived_since_it_was_found_is_named_too(
    world: BillingWorld, client: httpx.AsyncClient, what: str
) -> None:
    await register(client)
    await url_of(client)
    archived = await archive(world, what)
    await world.stripe.move_to(world.stripe.now + 86_401)
    status, detail = problem_of(await buy(client))
    assert (status, archived in detail, "STRIPE_PRICE_ID" in detail) == (501, True, True)


async def test_archived_price_gives_way_to_that_which_has_its_lookup_key_now(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    await url_of(client)
    (price,) = world.held("price")
    params: Any = {
        "product": price["product"],
        "currency": "usd",
        "unit_amount": 1_000,
        "recurring": {"interval": "month"},
        "lookup_key": LOOKUP_KEY,
        "transfer_lookup_key": True,
    }
    current = await world.shop.sdk.v1.prices.create_async(params)
    await world.shop.sdk.v1.prices.update_async(price["id"], {"active": False})
    await world.stripe.move_to(world.stripe.now + 86_401)
    await url_of(client)
    assert request_of(world)["line_items"] == [{"price": current.id, "quantity": "1"}]


async def test_cause_of_a_refusal_is_answered_logged_and_stored(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    body = json.dumps({"error": REFUSAL})
    world.break_(
        Kind.STATUS, SESSIONS, method="POST", status=400, body=body, headers={"Request-Id": "req_abc123"}
    )
    with capture_logs(processors=[merge_contextvars]) as logs:
        answer = await buy(client)
    cause = f"{MESSAGE} (HTTP 400, parameter line_items[0][quantity], request req_abc123)"
    assert problem_of(answer) == (502, f"Stripe refused the request: {cause}")
    given = {**REFUSAL, "status": 400, "code": None}
    assert answer.json()["stripe"] == {**given, "request_id": "req_abc123"}
    (logged,) = [line for line in logs if line["event"] == "stripe_request.refused"]
    assert logged.items() >= {**given, "stripe_request_id": "req_abc123"}.items()
    assert logged["request_id"] != "req_abc123"
    (reservation,) = await world.reservations()
    assert reservation["last_error"] == cause


async def test_refusal_of_a_customer_quotes_nobody(world: BillingWorld, client: httpx.AsyncClient) -> None:
    person = {"email": "ada.lovelace@example.com"}
    path = "/billing/accounts/fxa_id/secret-fxa-id"
    assert (await client.put(path, json=person)).is_success
    message = (
        "Invalid email: 'ada.lovelace@example.com' (SECRET-FXA-ID, bob@example.net, 'Ada King')"
        " under sk_test_123456"
    )
    error = {"type": "invalid_request_error", "code": "email_invalid", "param": "email", "message": message}
    world.break_(
        Kind.STATUS, "^/v1/", method="POST", status=400, body=json.dumps({"error": error}), remaining=2
    )
    owner = {"owner": {"kind": "fxa_id", "value": "secret-fxa-id"}}
    with capture_logs(processors=[merge_contextvars]) as logs:
        answers = [await client.post("/billing/subscriptions", json=owner) for _ in range(2)]
    said = str(logs) + "".join(one.text for one in answers)
    said += str(await world.rows("SELECT last_error FROM billing.reservation"))
    assert [one.json()["stripe"]["code"] for one in answers] == ["email_invalid"] * 2
    assert "code email_invalid" in said.rpartition("last_error")[2]
    for secret in ("lovelace", "secret-fxa-id", "bob@", "King", "sk_test_123456"):
        assert secret.casefold() not in said.casefold()


async def test_customer_who_pays_in_another_currency_is_a_conflict(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    await url_of(client)
    (customer,) = world.held("customer")
    item: Any = {"customer": customer["id"], "amount": 5, "currency": "eur"}
    await world.shop.sdk.v1.invoice_items.create_async(item)
    await world.stripe.move_to(world.stripe.now + 86_401)
    answer = await buy(client)
    status, detail = problem_of(answer)
    assert (status, detail.split(";")[0]) == (409, "the customer pays in another currency at Stripe")
    assert answer.json()["stripe"]["message"].endswith("with currency eur.")
    assert [one["status"] for one in world.held("checkout.session")] == ["expired"]


async def test_portal_that_was_never_configured_names_the_setting(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    await url_of(client)
    world.stripe.stand_in.account.has_portal = False
    for intent in ("manage", "update_payment_method"):
        status, detail = problem_of(await manage(client, intent))
        assert (status, "https://dashboard.stripe.com/settings/billing/portal" in detail) == (501, True)
    world.stripe.stand_in.account.has_portal = True
    assert (await manage(client, "manage")).status_code == 200


@pytest.mark.parametrize("what", ["schedule", "end"])
async def test_cancellation_that_cannot_be_taken_back_says_why(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, what: str
) -> None:
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay")
    await world.mirror()
    (held,) = world.held("subscription")
    if what == "end":
        await world.shop.sdk.v1.subscriptions.cancel_async(held["id"])
    else:
        schedules = world.shop.sdk.v1.subscription_schedules
        schedule = await schedules.create_async({"from_subscription": held["id"]})
        await schedules.update_async(schedule.id, {"end_behavior": "cancel"})
    status, detail = problem_of(await manage(client, "stop_cancellation"))
    says = "the subscription has ended" if what == "end" else "change or release the schedule at Stripe"
    assert (status, says in detail) == (409, True)
    assert [row["last_error"] for row in await world.rows("SELECT last_error FROM billing.operation")] == [
        detail
    ]
