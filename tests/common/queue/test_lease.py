from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.common.queue.lease import (
    RETRY_SECONDS,
    Lease,
    LeaseLostError,
    affected,
    demand_all,
    retry_delay,
)

SCHEDULES = st.lists(st.floats(0.1, 10_000), min_size=1, max_size=8)


@given(failures=st.integers(1, 1_000), schedule=SCHEDULES)
def test_a_retry_waits_as_long_as_the_schedule_says_and_at_most_a_tenth_more(
    failures: int, schedule: list[float]
) -> None:
    expected = timedelta(seconds=schedule[min(failures, len(schedule)) - 1])
    assert expected <= retry_delay(failures, schedule) <= expected * 1.1 + timedelta(microseconds=1)


def test_retries_wait_longer_each_time_and_an_hour_at_most() -> None:
    waits = [retry_delay(failures) for failures in range(1, len(RETRY_SECONDS) + 3)]
    assert waits[: len(RETRY_SECONDS)] == sorted(waits[: len(RETRY_SECONDS)])
    assert max(waits) <= timedelta(hours=1.1)


@given(touched=st.integers(0, 500), claimed=st.integers(0, 500))
def test_settling_passes_only_when_it_touched_what_was_claimed(touched: int, claimed: int) -> None:
    if touched == claimed:
        demand_all(touched, claimed)
        return
    with pytest.raises(LeaseLostError, match=f"{touched} of {claimed}"):
        demand_all(touched, claimed)


@given(count=st.integers(0, 10**6))
def test_the_number_of_rows_is_read_from_any_command_tag(count: int) -> None:
    assert [affected(tag) for tag in (f"UPDATE {count}", f"INSERT 0 {count}", f"DELETE {count}")] == [
        count
    ] * 3


def test_two_leases_of_one_owner_are_told_apart() -> None:
    assert Lease("worker", 60).token != Lease("worker", 60).token
