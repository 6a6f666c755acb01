"""What is refused, and that the official SDK understands why."""

from typing import Any

import httpx
import pytest
import stripe
from stripe_shop import API_KEY, Shop, World

from mainstem.sandbox.stand_ins.faults import Fault, Kind
from mainstem.sandbox.stripe.state.account import ACCOUNT_ID


async def test_a_wrong_key_is_401(world: World) -> None:
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided") as refused:
        await world.client(key="sk_test_someone_else").v1.customers.list_async()
    assert refused.value.http_status == 401
    assert "someone_else" not in str(refused.value)


@pytest.mark.parametrize("header", [None, "Bearer", "Basic !", "Digest x"])
async def test_no_key_is_401(world: World, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{world.url}/stripe/v1/customers", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_basic_credentials_are_a_key_as_well(world: World) -> None:
    async with httpx.AsyncClient(auth=(API_KEY, "")) as client:
        assert (await client.get(f"{world.url}/stripe/v1/customers")).status_code == 200


@pytest.mark.parametrize(
    ("path", "noun", "given"),
    [
        ("customers/cus_none", "customer", "cus_none"),
        ("products/prod_none", "product", "prod_none"),
        ("prices/price_none", "price", "price_none"),
        ("payment_methods/pm_none", "PaymentMethod", "pm_none"),
        ("subscriptions/sub_none", "subscription", "sub_none"),
        ("subscription_items/si_none", "subscription item", "si_none"),
        ("invoices/in_none", "invoice", "in_none"),
        ("events/evt_none", "event", "evt_none"),
        ("webhook_endpoints/we_none", "webhook endpoint", "we_none"),
    ],
)
async def test_what_is_not_there_is_404(world: World, path: str, noun: str, given: str) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        answer = await client.get(f"{world.url}/stripe/v1/{path}")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "code": "resource_missing",
            "doc_url": "https://stripe.com/docs/error-codes/resource-missing",
            "message": f"No such {noun}: '{given}'",
            "param": "id",
            "type": "invalid_request_error",
        }
    }
    assert answer.headers["request-id"].startswith("req_")


async def test_an_unknown_url_is_404(world: World) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        answers = [
            await client.get(f"{world.url}/stripe/v1/unicorns"),
            await client.delete(f"{world.url}/stripe/v1/events/evt_1"),
        ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert "Unrecognized request URL (GET: /v1/unicorns)" in answers[0].text


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        ({"colour": "red"}, "parameter_unknown", "colour"),
        ({"address": {"planet": "Mars"}}, "parameter_unknown", "address[planet]"),
        ({"balance": "much"}, "parameter_invalid_integer", "balance"),
        ({"invoice_prefix": ""}, "parameter_invalid_empty", "invoice_prefix"),
        ({"payment_method": "pm_none"}, "resource_missing", "payment_method"),
    ],
)
async def test_a_parameter_that_will_not_do_is_named(
    sdk: stripe.StripeClient, data: Any, code: str, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.customers.create_async(data)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)


async def test_a_missing_parameter_is_named(sdk: stripe.StripeClient) -> None:
    nothing: Any = {}
    with pytest.raises(stripe.InvalidRequestError, match=r"Missing required param: name\.") as refused:
        await sdk.v1.products.create_async(nothing)
    assert refused.value.code == "parameter_missing"


@pytest.mark.parametrize(
    ("card", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
async def test_a_card_that_is_declined_is_402(shop: Shop, card: str, code: str, decline: str) -> None:
    customer = await shop.customer(card=None)
    with pytest.raises(stripe.CardError) as declined:
        await shop.sdk.v1.payment_methods.attach_async(card, {"customer": customer.id})
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, error.code, error.decline_code) == (402, code, decline)


async def test_a_method_belongs_to_one_customer(shop: Shop, sdk: stripe.StripeClient) -> None:
    owner, other = await shop.customer(), await shop.customer(card=None)
    assert owner.invoice_settings is not None
    method = str(owner.invoice_settings.default_payment_method)
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await sdk.v1.payment_methods.attach_async(method, {"customer": other.id})
    with pytest.raises(stripe.InvalidRequestError, match="must be attached to the customer"):
        await sdk.v1.customers.update_async(
            other.id, {"invoice_settings": {"default_payment_method": method}}
        )


async def test_a_scripted_429_is_a_rate_limit_to_the_sdk(world: World, sdk: stripe.StripeClient) -> None:
    world.faults.add(Fault(target="stripe", kind=Kind.STATUS, status=429, headers={"Retry-After": "1"}))
    with pytest.raises(stripe.RateLimitError) as refused:
        await sdk.v1.customers.list_async()
    assert refused.value.headers is not None
    assert refused.value.headers["retry-after"] == "1"
    assert "stripe-should-retry" not in refused.value.headers
    await sdk.v1.customers.list_async()


async def test_requests_are_noted_without_the_key(world: World, sdk: stripe.StripeClient) -> None:
    await sdk.v1.customers.list_async({"limit": 3})
    (noted,) = world.stand_in.received()
    assert (noted["method"], noted["path"], noted["params"]) == ("GET", "/v1/customers", {"limit": "3"})
    assert (noted["status"], noted["stripe_version"]) == (200, "2026-10-28.endive")
    assert API_KEY not in str(noted)


@pytest.mark.parametrize(
    ("paths", "works"),
    [
        (["customer", "latest_invoice.customer", "items.data.price.product"], True),
        (["default_payment_method", "latest_invoice.payment_intent"], False),
        (["status"], False),
        (["nothing"], False),
        (["customer.invoice_settings.default_payment_method.customer.x"], False),
    ],
)
async def test_only_what_names_an_object_is_expanded(
    shop: Shop, sdk: stripe.StripeClient, paths: list[str], works: bool
) -> None:
    subscription = await shop.subscription()
    if not works:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await sdk.v1.subscriptions.retrieve_async(subscription.id, {"expand": paths})
        assert refused.value.param == "expand"
        return
    listed = await sdk.v1.subscriptions.list_async({"expand": [f"data.{path}" for path in paths]})
    found = await sdk.v1.subscriptions.retrieve_async(subscription.id, {"expand": paths})
    for one in (found, listed.data[0]):
        assert isinstance(one.customer, stripe.Customer)
        assert isinstance(one.latest_invoice, stripe.Invoice)
        assert isinstance(one.latest_invoice.customer, stripe.Customer)
        assert one["items"].data[0].price.product.name == "VPN"


@pytest.mark.parametrize("path", ["no_such_things/x_1", "customers/", "customers/cus_1/%2E%2E/x"])
async def test_unrecognized_url_is_404_without_a_code(world: World, path: str) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {API_KEY}"}) as client:
        answer = await client.get(f"{world.url}/stripe/v1/{path}")
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error.keys() == {"message", "type"}
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("Unrecognized request URL (GET: /v1/")


async def test_key_reads_its_account(world: World) -> None:
    account = await world.client().v1.accounts.retrieve_current_async()
    assert (account.object, account.id) == ("account", ACCOUNT_ID)
