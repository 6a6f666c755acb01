import asyncio
from datetime import timedelta
from typing import Any

import httpx
from deliveries import FAULT_ANSWER, MAIN, PRODUCT, calls, refuse
from sync_world import TRACE, MakeWorker, People, Worker, until

from mainstem.common.telemetry import spans
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind
from mainstem.sandbox.world.clock import MovableClock

Owner = Any


async def test_a_contact_and_its_products_arrive(
    people: People, worker: Worker, acoustic: AcousticStandIn, clock: MovableClock
) -> None:
    email_id = await people.add("fan", newsletters=[{"name": "hubs"}], vpn_waitlist={"geo": "ca"})
    await people.subscribe("fan", "prod_1")
    await people.subscribe("fan", "prod_2", segment="canceled", amount=None)
    assert await worker.deliver() == 1
    main = acoustic.holds()["main"][email_id]
    assert main["email"] == "fan@example.com"
    assert main["sub_hubs"] == "1"
    assert main["sub_miti"] == "0"
    assert main["fxa_id"] == "fxa-fan"
    assert main["vpn_waitlist_geo"] == "ca"
    assert main["create_timestamp"] == clock.now().strftime("%m/%d/%Y")
    products = acoustic.holds()["product"][email_id]
    assert products["prod_1"]["current_period_end"] == "11/27/2021 00:00:00"
    assert products["prod_1"]["amount"] == "999"
    assert products["prod_2"]["segment"] == "canceled"
    assert products["prod_2"]["amount"] == "-1"
    assert calls(acoustic) == ["AddRecipient", "InsertUpdateRelationalTable"]
    assert await people.log(email_id) == [MAIN, PRODUCT]
    delivery = await people.delivery(email_id)
    assert delivery["sent"] == delivery["wanted"] == 1
    assert delivery["lease_token"] is None


async def test_what_did_not_change_is_not_sent_again(
    people: People, worker: Worker, acoustic: AcousticStandIn
) -> None:
    email_id = await people.add()
    await people.subscribe("fan")
    await worker.deliver()
    await people.patch(email_id)
    await people.patch(email_id, mofo={"mofo_relevant": True})
    assert await worker.deliver() == 1
    assert await people.log(email_id) == [MAIN, PRODUCT]
    assert (await people.delivery(email_id))["sent"] == 3


async def test_only_the_table_that_changed_is_sent_and_it_goes_whole(
    people: People, worker: Worker, acoustic: AcousticStandIn
) -> None:
    email_id = await people.add()
    await people.subscribe("fan", "prod_1")
    await worker.deliver()
    await people.subscribe("fan", "prod_2")
    await people.patch(email_id)
    await worker.deliver()
    assert await people.log(email_id) == [MAIN, PRODUCT, PRODUCT]
    assert [row["product_id"] for row in acoustic.received()[-1]["rows"]] == ["prod_1", "prod_2"]
    await people.patch(email_id, email={"first_name": "New"})
    await worker.deliver()
    assert await people.log(email_id) == [MAIN, PRODUCT, PRODUCT, MAIN]


async def test_a_product_that_vanished_is_deleted(
    people: People, worker: Worker, acoustic: AcousticStandIn
) -> None:
    email_id = await people.add()
    await people.subscribe("fan", "prod_1")
    await people.subscribe("fan", "prod_2")
    await worker.deliver()
    await people.unsubscribe("prod_1")
    await people.patch(email_id)
    await worker.deliver()
    assert list(acoustic.holds()["product"][email_id]) == ["prod_2"]
    assert (await people.log(email_id))[2:] == [("product.delete", "success")]
    await people.patch(email_id)
    await worker.deliver()
    assert len(await people.log(email_id)) == 3


async def test_nothing_is_deleted_where_that_is_switched_off_and_all_of_it_later(
    people: People, make_worker: MakeWorker, acoustic: AcousticStandIn
) -> None:
    careful = await make_worker(MAINSTEM_DELETE_VANISHED_PRODUCTS="0")
    email_id = await people.add()
    await people.subscribe("fan")
    await careful.deliver()
    await people.unsubscribe()
    await people.patch(email_id)
    await careful.deliver()
    assert list(acoustic.holds()["product"][email_id]) == ["prod_1"]
    await people.patch(email_id)
    bold = await make_worker("bold")
    await bold.wait_for_slots()
    await bold.deliver()
    assert acoustic.holds()["product"] == {}


async def test_more_rows_than_a_call_carries_go_in_several(
    people: People, worker: Worker, acoustic: AcousticStandIn
) -> None:
    email_id = await people.add()
    for number in range(101):
        await people.subscribe("fan", f"prod_{number:03}")
    await worker.deliver()
    assert len(acoustic.holds()["product"][email_id]) == 101
    assert await people.log(email_id) == [MAIN, PRODUCT, PRODUCT]


async def test_a_mark_that_arrives_during_a_delivery_leaves_it_due(
    people: People, worker: Worker, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.5))
    email_id = await people.add(email={"first_name": "Old"})
    assert await worker.deliverer.work() == 1
    await until(lambda: faults.applied() == {"acoustic": 1})
    # The first request is on its way with the old name.
    await people.patch(email_id, email={"first_name": "New"})
    await worker.deliverer.finish()
    assert acoustic.holds()["main"][email_id]["first_name"] == "Old"
    delivery = await people.delivery(email_id)
    assert (delivery["wanted"], delivery["sent"]) == (2, 1)
    assert await worker.deliver() == 1
    assert acoustic.holds()["main"][email_id]["first_name"] == "New"


async def test_a_claim_that_outlives_its_lease_may_not_settle(
    people: People, make_worker: MakeWorker, acoustic: AcousticStandIn, faults: Faults, owner: Owner
) -> None:
    slow, quick = await make_worker("slow"), await make_worker("quick")
    await quick.wait_for_slots()
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.5))
    email_id = await people.add(email={"first_name": "Old"})
    await slow.deliverer.work()
    await until(lambda: faults.applied() == {"acoustic": 1})
    await owner.execute("UPDATE contact.delivery SET lease_expires_at = clock_timestamp() - interval '1 s'")
    assert await quick.deliver() == 1
    settled = await people.delivery(email_id)
    await slow.deliverer.finish()
    assert await people.delivery(email_id) == settled
    assert await people.log(email_id) == [MAIN, MAIN]
    # Nobody knows when the slow one's request arrived: the contact goes once more.
    assert settled["confirm_at"] is not None
    assert settled["wanted"] == settled["sent"] + 1


async def test_a_holder_that_died_leaves_a_delivery_that_is_sent_in_full_and_confirmed(
    people: People, worker: Worker, acoustic: AcousticStandIn, owner: Owner, clock: MovableClock
) -> None:
    email_id = await people.add()
    await worker.deliver()
    await people.patch(email_id)
    await owner.execute(
        "UPDATE contact.delivery SET lease_token = gen_random_uuid(),"
        " lease_expires_at = clock_timestamp() - interval '1 s'"
    )
    assert await worker.deliver() == 1
    clock.advance(timedelta(seconds=61))
    assert await worker.deliver() == 1
    assert await people.log(email_id) == [MAIN, MAIN, MAIN]


async def test_a_lost_answer_is_unknown_then_sent_in_full_then_confirmed_after_a_minute(
    people: People, worker: Worker, acoustic: AcousticStandIn, faults: Faults, clock: MovableClock
) -> None:
    email_id = await people.add()
    await people.subscribe("fan")
    await worker.deliver()
    faults.add(Fault("acoustic", Kind.LOSE_ANSWER, path="XMLAPI"))
    await people.patch(email_id, email={"first_name": "New"})
    await worker.deliver()
    assert (await people.log(email_id))[2:] == [("main.upsert", "unknown")]
    delivery = await people.delivery(email_id)
    assert (delivery["is_unknown"], delivery["failures"]) == (True, 1)
    assert delivery["base"] == {"main": {email_id: None}, "product": {"prod_1": None}}
    assert await worker.deliver() == 0

    clock.advance(timedelta(seconds=2))
    assert await worker.deliver() == 1
    assert (await people.log(email_id))[3:] == [MAIN, PRODUCT]
    delivery = await people.delivery(email_id)
    assert (delivery["is_unknown"], delivery["failures"]) == (False, 0)
    assert delivery["wanted"] == delivery["sent"] + 1

    clock.advance(timedelta(seconds=55))
    assert await worker.deliver() == 0
    clock.advance(timedelta(seconds=10))
    assert await worker.deliver() == 1
    assert (await people.log(email_id))[5:] == [MAIN, PRODUCT]
    clock.advance(timedelta(seconds=120))
    assert await worker.deliver() == 0
    assert None not in (await people.delivery(email_id))["base"]["main"].values()


async def test_a_change_while_a_confirmation_waits_goes_at_once_and_is_confirmed_too(
    people: People, worker: Worker, acoustic: AcousticStandIn, faults: Faults, clock: MovableClock
) -> None:
    faults.add(Fault("acoustic", Kind.LOSE_ANSWER, path="XMLAPI"))
    email_id = await people.add()
    await worker.deliver()
    clock.advance(timedelta(seconds=2))
    await worker.deliver()
    await people.patch(email_id, email={"first_name": "New"})
    assert await worker.deliver() == 1
    assert acoustic.holds()["main"][email_id]["first_name"] == "New"
    assert await worker.deliver() == 0
    clock.advance(timedelta(seconds=61))
    assert await worker.deliver() == 1
    clock.advance(timedelta(seconds=61))
    assert await worker.deliver() == 0
    assert await people.log(email_id) == [("main.upsert", "unknown"), MAIN, MAIN, MAIN]


async def test_no_answer_in_time_is_unknown(people: People, make_worker: MakeWorker, faults: Faults) -> None:
    worker = await make_worker(CTMS_ACOUSTIC_TIMEOUT_S="0.2")
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.5))
    email_id = await people.add()
    await worker.deliver()
    assert await people.log(email_id) == [("main.upsert", "unknown")]


async def test_a_change_that_is_taken_back_after_half_a_delivery_is_taken_back_at_the_platform(
    people: People, worker: Worker, acoustic: AcousticStandIn, faults: Faults, clock: MovableClock
) -> None:
    email_id = await people.add(email={"first_name": "Old"})
    await worker.deliver()
    await people.patch(email_id, email={"first_name": "New"})
    await people.subscribe("fan")
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.01))
    faults.add(refuse(FAULT_ANSWER))
    await worker.deliver()
    assert acoustic.holds()["main"][email_id]["first_name"] == "New"
    await people.patch(email_id, email={"first_name": "Old"})
    await people.unsubscribe()
    clock.advance(timedelta(seconds=2))
    await worker.deliver()
    assert acoustic.holds()["main"][email_id]["first_name"] == "Old"
    assert (await people.log(email_id))[3:] == [MAIN, ("product.delete", "success")]


async def test_deliveries_are_settled_unsent_where_the_integration_is_off(
    people: People, make_worker: MakeWorker, acoustic: AcousticStandIn
) -> None:
    worker = await make_worker(CTMS_ACOUSTIC_INTEGRATION_FEATURE_FLAG="0")
    email_id = await people.add()
    assert await worker.deliver() == 1
    assert acoustic.received() == []
    delivery = await people.delivery(email_id)
    assert delivery["sent"] == 1
    assert delivery["base"] == {}


async def test_a_value_that_xml_cannot_hold_loses_what_it_cannot_hold(
    people: People, worker: Worker, acoustic: AcousticStandIn
) -> None:
    email_id = await people.add(email={"first_name": "A\u0001B\ufffeC <&> \U0001f98a"})
    await worker.deliver()
    assert acoustic.holds()["main"][email_id]["first_name"] == "ABC <&> \U0001f98a"


async def test_a_delivery_continues_the_trace_of_the_write(
    api: httpx.AsyncClient, worker: Worker, acoustic: AcousticStandIn, owner: Owner
) -> None:
    with spans.span("somebody calls", parent=TRACE):
        await api.post("/ctms", json={"email": {"primary_email": "a@example.com"}})
    await worker.deliver()
    seen = [call["traceparent"] for call in acoustic.received() if call["operation"] == "AddRecipient"]
    logged = await owner.fetchval("SELECT traceparent FROM contact.delivery_log")
    assert spans.trace_id_of(TRACE) in seen[0]
    assert spans.trace_id_of(TRACE) in logged


async def test_nothing_is_claimed_without_a_slot(
    people: People, make_worker: MakeWorker, owner: Owner
) -> None:
    await people.add()
    first = await make_worker("first", MAINSTEM_ACOUSTIC_CONCURRENCY="1")
    second = await make_worker("second", MAINSTEM_ACOUSTIC_CONCURRENCY="1")
    assert await asyncio.wait_for(second.deliver(), 2) == 0
    assert await first.deliver() == 1
