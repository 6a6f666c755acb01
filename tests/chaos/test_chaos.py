"""The chaos run, short, as a person would start it; and that its plan and its oracle are to be trusted."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rotation import rotation
from tests.chaos import oracle
from tests.chaos.comparison import Comparison
from tests.chaos.oracle import Holdings
from tests.chaos.people import Person
from tests.chaos.schedule import ALL_WORKERS, CARDS, LEASE_SECONDS, OUTLAST, plan

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 600
SHORT_MINUTES = 0.4
OUTLASTING_MINUTES = 80 / 60
"""A storm in which a worker of each service is certainly paused past its lease."""
KINDS = 12
"""Kinds of fault that strike at least; a short storm plans fifteen, and some find nothing to befall."""
PRICE = {
    "id": "price_1",
    "product": "prod_1",
    "currency": "usd",
    "unit_amount": 999,
    "recurring": {"interval": "month", "interval_count": 1},
}


def customer(given: str, link: str | None, created: int = 1) -> dict[str, object]:
    return {"id": given, "description": link, "created": created}


def subscription(given: str, payer: str, **more: object) -> dict[str, object]:
    facts = {
        "status": "active",
        "cancel_at": None,
        "canceled_at": None,
        "ended_at": None,
        "cancel_at_period_end": False,
    }
    return {"id": given, "customer": payer, "created": 5, "start_date": 6, **facts, **more}


def item(given: str, parent: str, end: int) -> dict[str, object]:
    period = {"current_period_start": 7, "current_period_end": end}
    return {"id": given, "subscription": parent, "price": PRICE, **period}


def holdings(*, events: tuple[object, ...] = (), **kinds: list[dict[str, object]]) -> Holdings:
    return Holdings.of({**kinds, "event": list(events)})  # type: ignore[arg-type]  # what the stand-in's JSON holds


def test_a_seed_plays_the_same_storm_again() -> None:
    assert plan(7, 600) == plan(7, 600)
    assert plan(7, 600) != plan(8, 600)


@pytest.mark.parametrize("seed", range(20))
def test_two_minutes_deal_nearly_every_fault_and_outlast_a_lease_in_both_services(seed: int) -> None:
    strikes = plan(seed, 120)
    assert len({(one.fault, one.target) for one in strikes} & set(CARDS)) >= len(CARDS) - 8
    paused = [one for one in strikes if one.fault == OUTLAST]
    assert {one.target.partition("-")[0] for one in paused} == {"ingest", "sync"}
    assert all(one.seconds > LEASE_SECONDS for one in paused)


@pytest.mark.parametrize("seed", range(20))
def test_storm_of_each_length_plans_its_faults_whatever_its_seed(seed: int) -> None:
    short, longer = (plan(seed, minutes * 60) for minutes in (SHORT_MINUTES, OUTLASTING_MINUTES))
    assert min(len({one.fault for one in strikes}) for strikes in (short, longer)) >= KINDS + 3
    paused = [one.target.partition("-")[0] for one in longer if one.fault == OUTLAST]
    assert sorted(paused) == ["ingest", "sync"]


@pytest.mark.parametrize("seed", range(20))
def test_a_worker_that_is_paused_past_its_lease_is_left_alone(seed: int) -> None:
    strikes = plan(seed, 300)
    for pause in (one for one in strikes if one.fault == OUTLAST):
        others = [one for one in strikes if one.target == pause.target and one is not pause]
        assert not [one for one in others if pause.at <= one.at <= pause.at + pause.seconds]


def test_every_worker_is_killed_in_ten_minutes() -> None:
    killed = {one.target for one in plan(1, 600) if one.fault == "kill"}
    assert killed >= set(ALL_WORKERS)


def test_two_customers_with_one_link_count_together() -> None:
    held = holdings(
        customer=[customer("cus_1", "fxa", 1), customer("cus_2", "fxa", 2)],
        subscription=[subscription("sub_1", "cus_1"), subscription("sub_2", "cus_2")],
        subscription_item=[item("si_1", "sub_1", 99), item("si_2", "sub_2", 50)],
    )
    (row,) = oracle.products(held).values()
    assert (row["customer"], row["sub_count"], row["segment"]) == ("cus_1", 2, "re-active")


@pytest.mark.parametrize("status", ["canceled", "active"])
def test_what_a_deleted_customer_had_is_ended(status: str) -> None:
    held = holdings(
        events=({"type": "customer.deleted", "data": {"object": customer("cus_1", "fxa")}},),
        customer=[],
        subscription=[subscription("sub_1", "cus_1", status=status, canceled_at=9, ended_at=9)],
        subscription_item=[item("si_1", "sub_1", 99)],
    )
    (row,) = oracle.products(held).values()
    assert row["segment"] == "canceled"


def test_who_has_a_product_twice_has_it_again_by_the_held_entry_that_ends_last() -> None:
    held = holdings(
        customer=[customer("cus_1", "fxa")],
        subscription=[
            subscription("sub_1", "cus_1"),
            subscription("sub_2", "cus_1", canceled_at=8, cancel_at=99),
            subscription("sub_3", "cus_1", status="canceled", ended_at=8),
            subscription("sub_4", "cus_1", status="incomplete_expired"),
        ],
        subscription_item=[
            item(f"si_{n}", f"sub_{n}", end) for n, end in ((1, 50), (2, 99), (3, 200), (4, 300))
        ],
    )
    (row,) = oracle.products(held).values()
    assert (row["item_id"], row["sub_count"], row["segment"]) == ("si_2", 3, "re-cancelling")


def test_acoustic_is_told_of_contacts_alone() -> None:
    held = holdings(
        customer=[customer("cus_1", "one"), customer("cus_2", "two")],
        subscription=[subscription("sub_1", "cus_1"), subscription("sub_2", "cus_2")],
        subscription_item=[item("si_1", "sub_1", 99), item("si_2", "sub_2", 99)],
    )
    people = [Person(1, "one", "id-1", is_contact=True), Person(2, "two", "id-2")]
    rows = oracle.acoustic_products(people, oracle.products(held))
    assert list(rows) == ["id-1 prod_1"]
    assert rows["id-1 prod_1"]["current_period_end"] == "01/01/1970 00:01:39"


def test_whatever_is_missing_superfluous_or_other_is_a_difference_told_without_its_value() -> None:
    comparison = Comparison()
    comparison.rows(
        "things",
        {"same": {"a": 1, "b": 2}, "other": {"a": 1}, "superfluous": {}},
        {"same": {"a": 1}, "other": {"a": 777}, "missing": {}},
    )
    assert comparison.compared == {"things": 3}
    assert comparison.differences == [
        "things missing: is missing",
        "things other: a",
        "things superfluous: should not be there",
    ]


async def run_chaos(*, minutes: float, events: int, seed: int) -> dict[str, Any]:
    """Run chaos as a person would start it; return its report."""
    numbers = ("--minutes", str(minutes), "--events", str(events), "--seed", str(seed))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos", *numbers),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        written, _ = await child.communicate()
    output = written.decode()
    assert child.returncode == 0, output
    report: dict[str, Any] = json.loads(output.splitlines()[-1])["chaos"]
    return report


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.rotating
@pytest.mark.parametrize(
    ("minutes", "turn"),
    [(SHORT_MINUTES, 0), (SHORT_MINUTES, 1), (OUTLASTING_MINUTES, 2)],
    ids=["short", "other short", "outlasting"],
)
async def test_storm_of_this_runs_seed_leaves_no_trace(minutes: float, turn: int) -> None:
    report = await run_chaos(minutes=minutes, events=400, seed=rotation() + turn)
    assert report["figures"]["events"] >= 400
    assert len(report["faults"]) >= KINDS
    assert (OUTLAST in report["faults"]) == (minutes == OUTLASTING_MINUTES)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.minutes
async def test_two_minutes_of_chaos_leave_no_trace() -> None:
    report = await run_chaos(minutes=2, events=2000, seed=1)
    assert report["figures"]["events"] >= 2000
    assert report["faults"][OUTLAST]
