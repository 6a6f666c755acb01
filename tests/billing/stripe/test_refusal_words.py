"""Words of Stripe's messages, past and present, by which refusals get an answer of their own."""

import json

import httpx
import pytest
from billing_world import BillingWorld, register, url_of

from mainstem.sandbox.stand_ins.faults import Kind

ARCHIVED = (501, "the price or its product is archived at Stripe")
SCHEDULED = (409, "a subscription schedule manages this subscription")
CURRENCY = (409, "the customer pays in another currency at Stripe")
NO_PORTAL = (501, "the billing portal has no configuration at Stripe")
ENDED = (409, "the subscription has ended")

OLD_PORTAL = (
    "You can\u2019t create a portal session in live mode until you save your customer portal settings in "
    "live mode at https://dashboard.stripe.com/settings/billing/portal."
)
HELD = (
    "The subscription is managed by the subscription schedule `sub_sched_1`, and updating any "
    "cancelation behavior directly is not allowed. Please update the schedule instead."
)
COMBINED = (
    "You cannot combine currencies on a single customer. This customer has an active subscription, "
    "subscription schedule, discount, quote, or invoice item with currency eur."
)
WORDS = [
    (ARCHIVED, "The price specified is inactive. This field only accepts active prices."),
    (ARCHIVED, "Price `price_1` is not available to be purchased because its product is not active."),
    (ARCHIVED, "Price `price_1` is not available because its product is not active"),
    (SCHEDULED, HELD),
    (CURRENCY, "The currency of the selected prices (eur) does not match the customer currency (usd)."),
    (CURRENCY, "The price specified only supports `usd`. This doesn't match the expected currency: `aud`."),
    (CURRENCY, "Can't combine currencies on a single customer. This customer has had a coupon in eur"),
    (CURRENCY, COMBINED),
    (NO_PORTAL, "No configuration provided and your live mode default configuration has not been created."),
    (NO_PORTAL, "No configuration provided and your test mode default configuration has not been created."),
    (NO_PORTAL, OLD_PORTAL),
    (ENDED, "A canceled subscription can only update its cancellation_details and metadata."),
    (ENDED, "A canceled subscription can only update its cancellation_details."),
]


@pytest.mark.parametrize(("expected", "message"), WORDS)
async def test_refusal_of_known_words_has_its_own_answer_wherever_it_comes(
    world: BillingWorld, client: httpx.AsyncClient, expected: tuple[int, str], message: str
) -> None:
    await register(client)
    await url_of(client)
    body = json.dumps({"error": {"type": "invalid_request_error", "message": message}})
    world.break_(Kind.STATUS, "^/v1/billing_portal/sessions", status=400, body=body)
    wish = {"github_user_id": 12345, "intent": "manage"}
    answer = await client.post("/billing/subscriptions/manage", json=wish)
    problem = answer.json()
    assert (answer.status_code, problem["detail"].split(";")[0].split(".")[0]) == expected
    assert problem["stripe"]["message"] == message
    assert f"Stripe: {message}" in problem["detail"]
