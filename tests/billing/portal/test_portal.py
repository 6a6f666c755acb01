"""Managing: the rules of Zed's `POST /billing/subscriptions/manage`, and its list."""

from typing import Any

import httpx
import pytest
from billing_world import PUBLIC, BillingWorld, register, url_of
from clicking import Browser

from mainstem.sandbox.stand_ins.faults import Kind


async def manage(client: httpx.AsyncClient, intent: str, **more: Any) -> httpx.Response:
    body = {"github_user_id": 12345, "intent": intent, **more}
    return await client.post("/billing/subscriptions/manage", json=body)


async def portal_of(client: httpx.AsyncClient, intent: str, **more: Any) -> str:
    answer = await manage(client, intent, **more)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["billing_portal_session_url"]
    return url


def status_and_detail(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["detail"]


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await client.get("/billing/subscriptions", params=query or {"github_user_id": 12345})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["subscriptions"]
    return found


@pytest.fixture
async def subscription(world: BillingWorld, client: httpx.AsyncClient, browser: Browser) -> str:
    """What the person has bought, mirrored."""
    await register(client)
    await browser.open(await url_of(client))
    await browser.click("pay")
    await world.mirror()
    (subscription,) = world.held("subscription")
    found: str = subscription["id"]
    return found


async def test_what_a_person_has_is_listed(client: httpx.AsyncClient, subscription: str) -> None:
    assert await listed(client) == [
        {
            "id": subscription,
            "name": "VPN",
            "status": "active",
            "trial_end_at": None,
            "cancel_at": None,
            "is_cancelable": True,
        }
    ]


async def test_a_person_cancels_in_the_portal_and_takes_it_back_here(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, subscription: str
) -> None:
    await browser.open(await portal_of(client, "cancel"))
    await browser.click("confirm-cancel")
    assert browser.left_to == PUBLIC
    await world.mirror()
    (one,) = await listed(client)
    (held,) = world.held("subscription")
    assert one["is_cancelable"] is False
    assert one["cancel_at"].endswith(".000Z")
    assert status_and_detail(await manage(client, "cancel")) == (409, "subscription cannot be canceled")
    assert await portal_of(client, "stop_cancellation", subscription_id=subscription) is None
    (held,) = world.held("subscription")
    assert held["cancel_at_period_end"] is False
    assert await world.hints() == [("subscription", "received")]
    await world.work_off_inbox()
    assert await world.hints() == [("subscription", "done")]
    assert (await listed(client))[0]["is_cancelable"] is True


@pytest.mark.parametrize("signal", ["cancel_at_period_end = true", "cancel_at = now()"])
async def test_either_signal_of_a_cancellation_keeps_from_cancelling_again(
    world: BillingWorld, client: httpx.AsyncClient, subscription: str, signal: str
) -> None:
    async with world.ingest.owner.transaction() as connection:
        await connection.execute(f"UPDATE stripe.subscription SET {signal}")
    assert [one["is_cancelable"] for one in await listed(client)] == [False]
    assert status_and_detail(await manage(client, "cancel")) == (409, "subscription cannot be canceled")


@pytest.mark.parametrize("intent", ["manage", "manage_subscription"])
async def test_the_portal_opens_at_its_first_page(
    client: httpx.AsyncClient, browser: Browser, subscription: str, intent: str
) -> None:
    await browser.open(await portal_of(client, intent))
    assert f"cancel-{subscription}" in browser.page.links
    assert browser.page.links["return"] == PUBLIC


async def test_a_card_is_changed_and_the_way_back_is_the_callers(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, subscription: str
) -> None:
    back = f"{PUBLIC}/team?a=1"
    await browser.open(await portal_of(client, "update_payment_method", redirect_to=back))
    await browser.click("save-card")
    assert browser.left_to == back


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.net/",
        "https://pay.example.com@evil.example.net/",
        "https://pay.example.com.evil.example.net/",
        "http://pay.example.com/",
        "//pay.example.com/",
        "/team",
        "javascript:alert(1)",
        "https://pay.example.com\\@evil.example.net/",
        "https://[",
        "https://pay.example.com/\n",
        f"{PUBLIC}/a b",
    ],
)
async def test_nobody_is_sent_to_an_origin_that_is_not_ours(direct: httpx.AsyncClient, target: str) -> None:
    answer = await manage(direct, "manage", redirect_to=target)
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "redirect_to"])


async def test_further_origins_are_those_that_were_configured(
    world: BillingWorld, client: httpx.AsyncClient, subscription: str
) -> None:
    other = await world.serve(redirect_origins="https://app.example.com, https://b.example.com")
    assert (await manage(other, "manage", redirect_to="https://app.example.com/x")).status_code == 200


async def test_a_strangers_subscription_is_not_found(
    world: BillingWorld, client: httpx.AsyncClient, subscription: str
) -> None:
    await world.shop.subscription()
    await world.mirror()
    (stranger,) = [one["id"] for one in world.held("subscription") if one["id"] != subscription]
    for intent in ("cancel", "manage", "stop_cancellation", "update_payment_method"):
        answer = await manage(client, intent, subscription_id=stranger)
        assert status_and_detail(answer) == (404, "subscription not found"), intent
    assert [one["id"] for one in await listed(client)] == [subscription]


async def test_it_must_be_clear_which_subscription_is_meant(
    world: BillingWorld, client: httpx.AsyncClient, subscription: str
) -> None:
    (held,) = world.held("subscription")
    card = held["default_payment_method"]
    await world.shop.subscription(customer=held["customer"], default_payment_method=card)
    await world.mirror()
    assert status_and_detail(await manage(client, "cancel")) == (
        409,
        "user has multiple active subscriptions",
    )
    assert await portal_of(client, "cancel", subscription_id=subscription)
    for one in world.held("subscription"):
        await world.shop.sdk.v1.subscriptions.cancel_async(one["id"])
    await world.mirror()
    assert status_and_detail(await manage(client, "cancel")) == (409, "user has no active subscriptions")
    assert [one["status"] for one in await listed(client)] == ["canceled", "canceled"]


async def test_who_never_bought_has_nothing_to_manage(world: BillingWorld, client: httpx.AsyncClient) -> None:
    assert status_and_detail(await manage(client, "cancel")) == (404, "user not found")
    await register(client)
    assert status_and_detail(await manage(client, "cancel")) == (404, "billing customer not found")
    assert await listed(client) == []
    unequipped = await world.serve(stripe_api_key=None)
    assert status_and_detail(await manage(unequipped, "cancel")) == (501, "not supported")


@pytest.mark.parametrize(
    "body", [{}, {"intent": "upgrade"}, {"intent": "cancel", "subscription_id": 7}, {"intent": None}]
)
async def test_what_cannot_be_meant_is_refused(direct: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await direct.post("/billing/subscriptions/manage", json={"github_user_id": 12345, **body})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"github_user_id": "x"},
        {"owner_kind": "fxa_id"},
        {"github_user_id": 1, "owner_kind": "fxa_id"},
        {"github_user_id": 1, "owner_kind": "fxa_id", "owner_value": "a"},
    ],
)
async def test_a_list_is_of_one_person(direct: httpx.AsyncClient, query: dict[str, Any]) -> None:
    assert (await direct.get("/billing/subscriptions", params=query)).status_code == 422


async def test_a_list_may_be_asked_for_by_any_owner(direct: httpx.AsyncClient) -> None:
    await register(direct, "fxa_id", "person-1")
    assert await listed(direct, owner_kind="fxa_id", owner_value="person-1") == []


async def test_a_customer_that_was_deleted_at_stripe_has_nothing_to_manage(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    await register(client)
    await url_of(client)
    (customer,) = world.held("customer")
    await world.shop.sdk.v1.customers.delete_async(customer["id"])
    assert status_and_detail(await manage(client, "manage")) == (404, "billing customer not found")


async def test_a_lost_answer_of_the_portal_costs_a_repeat(
    world: BillingWorld, client: httpx.AsyncClient, subscription: str
) -> None:
    world.break_(Kind.LOSE_ANSWER, "/v1/billing_portal/sessions")
    assert await portal_of(client, "manage")
