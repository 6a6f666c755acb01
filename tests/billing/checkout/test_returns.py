"""The page that people come back to."""

import asyncio

import httpx
import pytest
from billing_world import BillingWorld, register, url_of
from clicking import Browser, HtmlPage

from mainstem.sandbox.stand_ins.faults import Kind


async def come_back(client: httpx.AsyncClient, session: str) -> tuple[int, str, HtmlPage]:
    """Return the page's status and state, and the page."""
    browser = httpx.AsyncClient(base_url=client.base_url)
    async with browser:
        return read_page(await browser.get("/billing/return", params={"session_id": session}))


def read_page(answer: httpx.Response) -> tuple[int, str, HtmlPage]:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    state = answer.text.partition('data-state="')[2].partition('"')[0]
    return answer.status_code, state, HtmlPage(answer.text)


async def state_of(client: httpx.AsyncClient, session: str) -> str:
    return (await come_back(client, session))[1]


@pytest.fixture
async def session(world: BillingWorld, client: httpx.AsyncClient, browser: Browser) -> str:
    """A session that is open, on its page."""
    await register(client)
    await browser.open(await url_of(client))
    (session,) = world.held("checkout.session")
    found: str = session["id"]
    return found


async def test_who_paid_sees_it_as_soon_as_the_mirror_does(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, session: str
) -> None:
    await browser.click("pay")
    patient = await world.serve(return_wait_seconds=10.0)
    coming = asyncio.create_task(state_of(patient, session))
    async with asyncio.timeout(5):
        while not await world.hints():  # noqa: ASYNC110 -- what happens elsewhere sets no event of ours
            await asyncio.sleep(0.02)
    assert [kind for kind, _ in await world.hints()] == ["customer", "subscription", "invoice"]
    await world.work_off_inbox()
    assert await coming == "active"
    assert [row["status"] for row in await world.reservations()] == ["done"]


async def test_while_the_mirror_has_not_heard_the_page_says_so_and_hints_once(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, session: str
) -> None:
    await browser.click("pay")
    assert [await state_of(client, session) for _ in range(3)] == ["setting_up"] * 3
    assert len(await world.hints()) == 3
    await world.work_off_inbox()
    assert [await state_of(client, session) for _ in range(3)] == ["active"] * 3
    assert len(await world.hints()) == 3


async def test_what_the_mirror_knows_already_is_not_hinted_at(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, session: str
) -> None:
    await browser.click("pay")
    await world.mirror()
    assert await state_of(client, session) == "active"
    assert await world.hints() == []


async def test_a_payment_that_is_pending_is_called_so_until_it_is_there(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, session: str
) -> None:
    await browser.click("pay-later")
    assert await state_of(client, session) == "pending"
    await world.work_off_inbox()
    assert await state_of(client, session) == "pending"
    assert len(await world.hints()) == 3
    (held,) = world.held("checkout.session")
    await browser.open(f"{world.stripe.url}/stripe/_pages/checkout/{held['id']}")
    await browser.click("payment-succeed")
    assert await state_of(client, session) == "setting_up"
    await world.work_off_inbox()
    assert await state_of(client, session) == "active"


async def test_who_comes_back_without_paying_may_go_on(client: httpx.AsyncClient, session: str) -> None:
    status, state, page = await come_back(client, session)
    assert (status, state) == (200, "open")
    assert page.links["continue"] == await url_of(client)


async def test_who_comes_too_late_is_told_so(
    world: BillingWorld, client: httpx.AsyncClient, session: str
) -> None:
    await world.stripe.move_to(world.stripe.now + 86_401)
    assert await state_of(client, session) == "expired"
    assert [row["status"] for row in await world.reservations()] == ["expired"]


async def test_a_subscription_that_ended_since_is_not_called_active(
    world: BillingWorld, client: httpx.AsyncClient, browser: Browser, session: str
) -> None:
    await browser.click("pay")
    (subscription,) = world.held("subscription")
    await world.shop.sdk.v1.subscriptions.cancel_async(subscription["id"])
    await world.mirror()
    assert await state_of(client, session) == "ended"


@pytest.mark.parametrize("given", ["", "cs_test_1", "sub_1", "cs_<script>", "cs_" + "a" * 300])
async def test_a_session_that_is_none_of_ours_is_not_found(direct: httpx.AsyncClient, given: str) -> None:
    direct.headers.pop("Authorization")
    status, state, _ = read_page(await direct.get("/billing/return", params={"session_id": given}))
    assert (status, state) == (404, "unknown")


async def test_a_session_that_others_made_is_not_found(
    world: BillingWorld, client: httpx.AsyncClient
) -> None:
    theirs = await world.shop.checkout()
    assert await state_of(client, theirs.id) == "unknown"


async def test_while_stripe_is_away_the_page_says_that_it_does_not_know(
    world: BillingWorld, client: httpx.AsyncClient, session: str
) -> None:
    kept = {"Idempotent-Replayed": "true"}
    world.break_(Kind.STATUS, "/v1/checkout/sessions/", status=500, headers=kept)
    status, state, _ = await come_back(client, session)
    assert (status, state) == (503, "unreachable")
