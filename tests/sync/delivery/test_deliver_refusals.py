from datetime import timedelta
from typing import Any

import httpx
import pytest
from deliveries import FAULT_ANSWER, MAIN, PRODUCT, calls, refuse
from sync_world import MakeWorker, People, Worker

from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind
from mainstem.sandbox.world.clock import MovableClock

Owner = Any


EXPIRED_ANSWER = (
    "<Envelope><Body><RESULT><SUCCESS>false</SUCCESS></RESULT><Fault><FaultString>Session has expired or is"
    " invalid</FaultString><detail><error><errorid>145</errorid></error></detail></Fault></Body></Envelope>"
)


@pytest.mark.parametrize(
    "body",
    [
        FAULT_ANSWER,
        "no xml",
        "<html><body>Sorry</body></html>",
        "",
        "<Envelope/>",
        "<Envelope><Body><RESULT><SUCCESS>false</SUCCESS></RESULT></Body></Envelope>",
    ],
)
async def test_a_refusal_is_retried_whole_after_its_wait(
    people: People, worker: Worker, faults: Faults, clock: MovableClock, body: str
) -> None:
    faults.add(refuse(body))
    email_id = await people.add()
    await people.subscribe("fan")
    await worker.deliver()
    assert await people.log(email_id) == [("main.upsert", "failure")]
    delivery = await people.delivery(email_id)
    assert (delivery["failures"], delivery["is_unknown"], delivery["sent"]) == (1, False, 0)
    assert delivery["last_error"]
    await people.patch(email_id, email={"first_name": "New"})
    assert await worker.deliver() == 0, "a new mark does not shorten the wait"
    clock.advance(timedelta(seconds=2))
    assert await worker.deliver() == 1
    assert (await people.log(email_id))[1:] == [MAIN, PRODUCT]
    delivery = await people.delivery(email_id)
    assert (delivery["failures"], delivery["last_error"]) == (0, None)
    clock.advance(timedelta(minutes=5))
    assert await worker.deliver() == 0


async def test_one_failing_contact_is_never_in_the_way_of_others(
    people: People, worker: Worker, acoustic: AcousticStandIn, owner: Owner, clock: MovableClock
) -> None:
    broken = await people.add("broken")
    # What no code of ours writes: this contact cannot even be loaded.
    await owner.execute(
        "UPDATE contact.contact_group SET data = '{}' WHERE name = 'email' AND contact_id = $1", broken
    )
    others = [await people.add(f"fan-{number}") for number in range(5)]
    for _ in range(3):
        await worker.deliver()
        clock.advance(timedelta(hours=1))
    assert set(acoustic.holds()["main"]) == set(others)
    delivery = await people.delivery(broken)
    assert (delivery["failures"], delivery["last_error"]) == (3, "ValidationError")


async def test_live_deliveries_go_before_retries(
    people: People, make_worker: MakeWorker, acoustic: AcousticStandIn, faults: Faults, clock: MovableClock
) -> None:
    worker = await make_worker(MAINSTEM_ACOUSTIC_CONCURRENCY="1")
    faults.add(refuse(FAULT_ANSWER))
    old = await people.add("old")
    await worker.deliver()
    clock.advance(timedelta(hours=1))
    new = await people.add("new")
    await worker.deliver()
    sent = [call["sync_fields"]["email_id"] for call in acoustic.received() if call.get("sync_fields")]
    assert sent == [new, old]


async def test_an_expired_session_costs_one_new_token_and_no_failure(
    people: People, worker: Worker, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(refuse(EXPIRED_ANSWER))
    email_id = await people.add()
    await worker.deliver()
    assert await people.log(email_id) == [("main.upsert", "failure"), MAIN]
    assert (await people.delivery(email_id))["sent"] == 1
    tokens = [call for call in acoustic.received() if call["operation"] == "token"]
    assert len(tokens) == 2


async def test_a_session_that_stays_expired_is_a_failure(
    people: People, worker: Worker, faults: Faults
) -> None:
    faults.add(refuse(EXPIRED_ANSWER, remaining=2))
    email_id = await people.add()
    await worker.deliver()
    assert (await people.delivery(email_id))["failures"] == 1


async def test_without_a_token_nothing_is_sent(
    people: People, worker: Worker, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.STATUS, path="oauth/token", status=401))
    email_id = await people.add()
    await worker.deliver()
    assert await people.log(email_id) == [("prepare", "failure")]
    assert calls(acoustic) == []


async def test_one_token_serves_all_deliveries(
    people: People, worker: Worker, acoustic: AcousticStandIn
) -> None:
    for number in range(5):
        await people.add(f"fan-{number}")
    assert await worker.deliver() == 5
    assert [call["operation"] for call in acoustic.received()].count("token") == 1


async def test_an_answer_that_quotes_a_person_is_kept_without_the_quotation(
    people: People, worker: Worker, faults: Faults, owner: Owner
) -> None:
    quoting = FAULT_ANSWER.replace(
        "Invalid XML Request", "Invalid address fan@example.com 'Jane Doe' 5551234"
    )
    faults.add(refuse(quoting))
    email_id = await people.add()
    await worker.deliver()
    error = await owner.fetchval("SELECT error FROM contact.delivery_log")
    assert error == (await people.delivery(email_id))["last_error"]
    assert "Invalid address" in error
    assert not any(part in error for part in ("fan@example.com", "Jane", "5551234"))


async def test_requests_are_counted_under_the_names_that_ctms_gave_them(
    api: httpx.AsyncClient, people: People, worker: Worker
) -> None:
    await people.add()
    await worker.deliver()
    # Both processes are this one here.
    text = (await api.get("/metrics")).text
    for name in ("request_total", "requests_duration_bucket"):
        lines = [line for line in text.splitlines() if line.startswith(f"ctms_background_acoustic_{name}{{")]
        labels = ('method="add_recipient"', 'status="success"', 'table="main"')
        assert any(all(label in line for label in labels) for line in lines), name


@pytest.mark.parametrize("status", [500, 502, 403])
async def test_an_answer_with_an_error_status_is_no_delivery_whatever_its_body_says(
    people: People, worker: Worker, faults: Faults, status: int
) -> None:
    body = "<Envelope><Body><RESULT><SUCCESS>TRUE</SUCCESS></RESULT></Body></Envelope>"
    faults.add(Fault("acoustic", Kind.STATUS, path="XMLAPI", status=status, body=body))
    email_id = await people.add()
    await worker.deliver()
    assert await people.log(email_id) == [("main.upsert", "failure")]
    assert (await people.delivery(email_id))["sent"] == 0


async def test_a_token_that_is_refused_is_replaced_and_the_request_sent_again(
    people: People, worker: Worker, faults: Faults, acoustic: AcousticStandIn
) -> None:
    await people.add("first")
    await worker.deliver()
    body = '{"error":"invalid_token"}'
    faults.add(Fault("acoustic", Kind.STATUS, path="XMLAPI", status=401, body=body))
    email_id = await people.add("second")
    await worker.deliver()
    assert await people.log(email_id) == [("main.upsert", "failure"), MAIN]
    assert [call["operation"] for call in acoustic.received()].count("token") == 2
