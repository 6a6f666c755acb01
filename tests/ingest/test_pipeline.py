import stripe_events as events
from stripe_events import START


async def test_a_subscription_travels_from_the_inbox_to_the_outbox(ingest):
    await ingest.record(
        events.event("customer.created", events.customer()),
        events.event("customer.subscription.created", events.subscription()),
        events.event("invoice.paid", events.invoice()),
        events.event("product.created", events.product()),
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    await ingest.work_off()
    (row,) = await ingest.products()
    assert row["segment"] == "active"
    assert row["sub_count"] == 1
    assert (row["owner_kind"], row["owner_value"], row["product_id"]) == ("fxa_id", "fxa-1", "prod_1")
    assert (row["price_id"], row["currency"], row["amount"]) == ("price_1", "usd", 999)
    assert await ingest.announced() == ["fxa_id:fxa-1"]
    assert ingest.woken == ["sync"]
    assert set((await ingest.statuses()).values()) == {"done"}
    (entry,) = await ingest.rows("SELECT * FROM outbox.entry")
    assert entry["traceparent"].startswith("00-aaaa")
    assert len(await ingest.rows("SELECT * FROM stripe.revision")) == 4
    assert len(await ingest.table("invoice_line")) == 1
