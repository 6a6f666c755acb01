import asyncio

import pytest
from acoustic_calls import Caller, recipient

from mainstem.sandbox.acoustic.limit import REJECTION
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind


async def _at_once(caller: Caller, count: int) -> list[list[str | None]]:
    readings = await asyncio.gather(
        *(caller.call(recipient({"email_id": f"person-{number}"})) for number in range(count))
    )
    return [reading.faults for reading in readings]


async def test_the_eleventh_at_once_is_rejected_and_never_acted_on(
    caller: Caller, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=2.0, remaining=None))
    answers = await _at_once(caller, 11)
    assert answers.count([REJECTION.text]) == 1
    assert len(acoustic.holds()["main"]) == 10
    assert acoustic.holds()["requests"] == {
        "accepted": 10,
        "rejected": 1,
        "most_at_once": 10,
        "under_way": 0,
    }
    assert [call["faults"] for call in acoustic.received() if call["operation"] is None] == [[REJECTION.text]]


async def test_a_rejection_comes_at_once_and_is_not_queued(
    caller: Caller, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=2.0, remaining=None))
    slow = asyncio.gather(*(caller.post(recipient({"email_id": f"{number}"})) for number in range(10)))
    while acoustic.holds()["requests"]["under_way"] < 10:  # noqa: ASYNC110 -- the stand-in sets no event for it
        await asyncio.sleep(0.01)
    rejected = await caller.call(recipient({"email_id": "late"}))
    assert rejected.faults == [REJECTION.text]
    assert not slow.done()
    await slow


async def test_ten_at_once_pass_and_so_does_the_next_after_them(
    caller: Caller, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.DELAY, path="XMLAPI", delay_seconds=0.1, remaining=10))
    assert await _at_once(caller, 10) == [[]] * 10
    assert await _at_once(caller, 1) == [[]]
    assert acoustic.holds()["requests"]["rejected"] == 0


@pytest.mark.parametrize("kind", [Kind.STATUS, Kind.DROP, Kind.LOSE_ANSWER])
async def test_a_faulty_request_gives_its_place_back(
    caller: Caller, acoustic: AcousticStandIn, faults: Faults, kind: Kind
) -> None:
    faults.add(Fault("acoustic", kind, path="XMLAPI", remaining=12))
    xml = recipient({"email_id": "somebody"})
    await asyncio.gather(*(caller.post(xml) for _ in range(4)), return_exceptions=True)
    assert acoustic.holds()["requests"]["under_way"] == 0


async def test_tokens_do_not_count(caller: Caller, acoustic: AcousticStandIn) -> None:
    await asyncio.gather(*(caller.authorise() for _ in range(20)))
    assert acoustic.holds()["requests"]["accepted"] == 0
