"""Subscriptions as requests make, change and end them."""

from typing import Any

import pytest
import stripe
from stripe_shop import Shop, World

PAID = ["invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"]
OPEN = ["invoice.created", "invoice.finalized"]


def _items(subscription: stripe.Subscription) -> list[stripe.SubscriptionItem]:
    return subscription["items"].data  # type: ignore[no-any-return]  # `.items` is the dict method's name


async def _since(shop: Shop, event: stripe.Event) -> list[str]:
    events = await shop.events()
    return [later.type for later in events[[e.id for e in events].index(event.id) + 1 :]]


async def test_a_good_card_makes_it_active_and_events_come_in_stripes_order(shop: Shop) -> None:
    subscription = await shop.subscription(expand=["latest_invoice"], metadata={"plan": "pro"})
    invoice = subscription.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (subscription.status, invoice.status, invoice.amount_paid) == ("active", "paid", 999)
    events = await shop.events()
    start = [event.type for event in events].index("customer.subscription.created")
    assert [event.type for event in events[start:]] == ["customer.subscription.created", *PAID]
    shown = [event.data.object["status"] for event in events[start:]]
    assert shown == ["active", "draft", "open", "paid", "paid"]
    request = events[start].request
    assert request is not None
    assert request.id is not None
    assert request.idempotency_key is not None
    assert {event.request.id for event in events[start:] if event.request} == {request.id}


async def test_no_way_to_pay_makes_no_subscription(shop: Shop, sdk: stripe.StripeClient) -> None:
    customer = await shop.customer(card=None)
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source") as refused:
        await shop.subscription(customer=customer.id)
    assert refused.value.code == "resource_missing"
    assert (await sdk.v1.subscriptions.list_async({"status": "all"})).data == []


@pytest.mark.parametrize("card", [None, "pm_card_visa"])
async def test_default_incomplete_waits_to_be_paid(
    shop: Shop, sdk: stripe.StripeClient, card: str | None
) -> None:
    subscription = await shop.subscription(card, payment_behavior="default_incomplete")
    assert subscription.status == "incomplete"
    marker = (await shop.events())[-1]
    assert (await shop.types())[-3:] == ["customer.subscription.created", *OPEN]
    await shop.pay_with(str(subscription.customer), "pm_card_visa")
    assert (await sdk.v1.invoices.pay_async(str(subscription.latest_invoice))).status == "paid"
    assert (await sdk.v1.subscriptions.retrieve_async(subscription.id)).status == "active"
    assert (await _since(shop, marker))[-3:] == [
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]


async def test_a_declined_card_leaves_it_incomplete(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription("pm_card_chargeCustomerFail")
    assert subscription.status == "incomplete"
    assert (await shop.types())[-4:] == ["customer.subscription.created", *OPEN, "invoice.payment_failed"]
    invoice = str(subscription.latest_invoice)
    with pytest.raises(stripe.CardError) as declined:
        await sdk.v1.invoices.pay_async(invoice)
    assert declined.value.code == "card_declined"
    assert (await sdk.v1.invoices.retrieve_async(invoice)).attempt_count == 2
    good = await sdk.v1.payment_methods.attach_async("pm_card_visa", {"customer": str(subscription.customer)})
    assert (await sdk.v1.invoices.pay_async(invoice, {"payment_method": good.id})).status == "paid"


async def test_a_declined_card_makes_nothing_if_that_is_an_error(
    shop: Shop, sdk: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        await shop.subscription("pm_card_chargeCustomerFail", payment_behavior="error_if_incomplete")
    assert declined.value.http_status == 402
    assert (await sdk.v1.subscriptions.list_async({"status": "all"})).data == []
    assert (await sdk.v1.invoices.list_async()).data == []


async def test_an_incomplete_one_expires_after_23_hours(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription(None, payment_behavior="default_incomplete")
    await world.move_to(subscription.created + 23 * 3600)
    expired = await sdk.v1.subscriptions.retrieve_async(subscription.id)
    assert (expired.status, expired.ended_at) == ("incomplete_expired", subscription.created + 23 * 3600)
    assert (await shop.types())[-2:] == ["customer.subscription.updated", "invoice.voided"]


async def test_101_items_are_read_to_their_end(shop: Shop, sdk: stripe.StripeClient) -> None:
    prices = [(await shop.price(amount=100 + n)).id for n in range(101)]
    params: Any = {
        "customer": (await shop.customer()).id,
        "items": [{"price": price} for price in prices[:20]],
    }
    subscription = await sdk.v1.subscriptions.create_async(params)
    with pytest.raises(stripe.InvalidRequestError, match="maximum 20"):
        await sdk.v1.subscriptions.update_async(
            subscription.id, {"items": [{"price": p} for p in prices[:21]]}
        )
    for price in prices[20:]:
        await sdk.v1.subscription_items.create_async(
            {"subscription": subscription.id, "price": price, "proration_behavior": "none"}
        )
    nested = (await sdk.v1.subscriptions.retrieve_async(subscription.id))["items"]
    assert (len(nested.data), nested.has_more) == (10, True)
    rest = await sdk.v1.subscription_items.list_async(
        {"subscription": subscription.id, "starting_after": nested.data[-1].id, "limit": 100}
    )
    assert [item.price.id for item in [*nested.data, *rest.data]] == prices
    assert rest.has_more is False
    assert [item.price.id async for item in nested.auto_paging_iter()] == prices


async def test_an_item_is_added_changed_and_removed(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription()
    first = _items(subscription)[0]
    second = await shop.price(500)
    changed = await sdk.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": first.id, "quantity": 3}, {"price": second.id, "metadata": {"seat": "1"}}],
            "proration_behavior": "none",
        },
    )
    assert [(item.price.unit_amount, item.quantity) for item in _items(changed)] == [(999, 3), (500, 1)]
    event = (await shop.events())[-1]
    assert event.type == "customer.subscription.updated"
    former = event.to_dict()["data"]["previous_attributes"]
    assert [item["quantity"] for item in former["items"]["data"]] == [1]
    assert (await sdk.v1.subscription_items.delete_async(first.id)).deleted is True
    left = _items(await sdk.v1.subscriptions.retrieve_async(subscription.id))
    assert [item.price.id for item in left] == [second.id]
    with pytest.raises(stripe.InvalidRequestError, match="at least one active plan"):
        await sdk.v1.subscription_items.delete_async(left[0].id)


async def test_a_change_in_mid_period_is_prorated_on_the_next_invoice(
    shop: Shop, sdk: stripe.StripeClient, world: World
) -> None:
    subscription = await shop.subscription(price=(await shop.price(1000)).id)
    item = _items(subscription)[0]
    middle = (item.current_period_start + item.current_period_end) // 2
    await world.move_to(middle)
    await sdk.v1.subscription_items.update_async(item.id, {"quantity": 3})
    await world.move_to(item.current_period_end)
    after = await sdk.v1.subscriptions.retrieve_async(subscription.id, {"expand": ["latest_invoice"]})
    assert isinstance(after.latest_invoice, stripe.Invoice)
    lines = after.latest_invoice.lines.data
    assert [line.amount for line in lines] == [pytest.approx(-500, abs=1), pytest.approx(1500, abs=1), 3000]
    details = [line.parent.subscription_item_details for line in lines if line.parent]
    assert [detail.proration for detail in details if detail] == [True, True, False]
    assert after.latest_invoice.status == "paid"


async def test_always_invoice_collects_the_proration_at_once(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription()
    marker = (await shop.events())[-1]
    await sdk.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": _items(subscription)[0].id, "quantity": 2}],
            "proration_behavior": "always_invoice",
        },
    )
    happened = await _since(shop, marker)
    assert happened[-5:] == ["customer.subscription.updated", *PAID]
    invoice = (await sdk.v1.invoices.list_async({"subscription": subscription.id})).data[0]
    assert invoice.billing_reason == "subscription_update"
    assert invoice.amount_paid == pytest.approx(999, abs=1)


async def test_another_interval_begins_a_new_period_at_once(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription()
    yearly = await shop.price(9000, "year")
    changed = await sdk.v1.subscriptions.update_async(
        subscription.id, {"items": [{"id": _items(subscription)[0].id, "price": yearly.id}]}
    )
    item = _items(changed)[0]
    assert item.current_period_end - item.current_period_start in (365 * 86400, 366 * 86400)
    invoice = (await sdk.v1.invoices.list_async({"subscription": subscription.id})).data[0]
    assert sorted(line.amount for line in invoice.lines.data) == [-999, 9000]


async def test_a_cancellation_at_period_end_can_be_taken_back(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription()
    end = _items(subscription)[0].current_period_end
    going = await sdk.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    assert (going.status, going.cancel_at, going.cancel_at_period_end) == ("active", end, True)
    assert going.cancellation_details is not None
    assert going.cancellation_details.reason == "cancellation_requested"
    former = (await shop.events())[-1].to_dict()["data"]["previous_attributes"]
    assert former["cancel_at"] is None
    assert former["cancel_at_period_end"] is False
    back = await sdk.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    assert (back.cancel_at, back.canceled_at, back.cancel_at_period_end) == (None, None, False)
    assert (await shop.types())[-2:] == ["customer.subscription.updated"] * 2


async def test_a_cancellation_now_ends_it_for_good(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription()
    ended = await sdk.v1.subscriptions.cancel_async(
        subscription.id, {"cancellation_details": {"comment": "too dear"}}
    )
    assert ended.status == "canceled"
    assert ended.ended_at == ended.canceled_at is not None
    assert (await shop.types())[-1] == "customer.subscription.deleted"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await sdk.v1.subscriptions.cancel_async(subscription.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError, match="can only update"):
        await sdk.v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": False})
    assert (await sdk.v1.subscriptions.list_async()).data == []
    found = await sdk.v1.subscriptions.list_async({"status": "ended"})
    assert [one.id for one in found.data] == [subscription.id]


async def test_a_deleted_customer_ends_its_subscriptions(shop: Shop, sdk: stripe.StripeClient) -> None:
    subscription = await shop.subscription()
    await sdk.v1.customers.delete_async(str(subscription.customer))
    ended = await sdk.v1.subscriptions.retrieve_async(subscription.id, {"expand": ["customer"]})
    assert ended.status == "canceled"
    assert isinstance(ended.customer, stripe.Customer)
    assert ended.customer.deleted is True
    assert (await shop.types())[-2:] == ["customer.subscription.deleted", "customer.deleted"]


async def test_filters_find_subscriptions(shop: Shop, sdk: stripe.StripeClient) -> None:
    price = (await shop.price()).id
    one, two = await shop.subscription(price=price), await shop.subscription()
    trial = await shop.subscription(customer=str(one.customer), trial_period_days=10)
    queries: list[tuple[Any, list[str]]] = [
        ({"customer": str(one.customer)}, [trial.id, one.id]),
        ({"price": price}, [one.id]),
        ({"status": "trialing"}, [trial.id]),
        ({"status": "all"}, [trial.id, two.id, one.id]),
        ({"created": {"gt": trial.created}}, []),
        ({"created": {"gte": one.created, "lte": trial.created}}, [trial.id, two.id, one.id]),
    ]
    for query, expected in queries:
        found = await sdk.v1.subscriptions.list_async(query)
        assert [subscription.id for subscription in found.data] == expected


async def test_terms_that_contradict_each_other_are_refused(shop: Shop) -> None:
    monthly, yearly = await shop.price(), await shop.price(9000, "year")
    customer = (await shop.customer()).id
    bad: list[tuple[Any, str]] = [
        ({"items": [{"price": monthly.id}, {"price": yearly.id}]}, "must match across all prices"),
        ({"items": []}, "items"),
        ({"items": [{"price": "price_none"}]}, "No such price"),
        ({"items": [{"quantity": 1}]}, r"items\[0\]\[price\]"),
        ({"items": [{"price": monthly.id}], "trial_end": 1}, "in the future"),
        ({"items": [{"price": monthly.id}], "trial_settings": ""}, "Invalid object"),
        ({"items": [""]}, "a member is empty"),
        ({"items": [{"price": monthly.id}], "payment_behavior": "sometimes"}, "must be one of"),
    ]
    before = await shop.types()
    for params, message in bad:
        with pytest.raises(stripe.InvalidRequestError, match=message):
            await shop.sdk.v1.subscriptions.create_async(params | {"customer": customer})
    assert await shop.types() == before
