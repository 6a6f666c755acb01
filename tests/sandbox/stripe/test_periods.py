"""Periods and the agenda: pure rules about time."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stripe.goods.periods import Interval, period_at, step
from mainstem.sandbox.stripe.state.agenda import Agenda

ANCHORS = st.integers(0, 4_000_000_000)
INTERVALS = st.builds(Interval, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 6))


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_month_keeps_the_anchors_day_where_it_can() -> None:
    anchor = _at("2027-01-31T10:00:00")
    month = Interval("month", 1)
    assert [step(anchor, month, n) for n in range(1, 4)] == [
        _at("2027-02-28T10:00:00"),
        _at("2027-03-31T10:00:00"),
        _at("2027-04-30T10:00:00"),
    ]
    assert step(_at("2028-02-29T00:00:00"), Interval("year", 1), 1) == _at("2029-02-28T00:00:00")


@given(ANCHORS, INTERVALS, st.integers(0, 40))
def test_each_period_begins_where_the_one_before_ends(anchor: int, interval: Interval, times: int) -> None:
    period = period_at(anchor, interval, step(anchor, interval, times))
    assert period.start == step(anchor, interval, times)
    assert period.end == step(anchor, interval, times + 1) > period.start
    assert period_at(anchor, interval, period.end - 1) == period


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 9)), max_size=30))
def test_the_agenda_yields_the_last_instant_of_each_key_in_order(
    changes: list[tuple[str, int | None]],
) -> None:
    agenda, expected = Agenda(Archive()), {}
    for name, at in changes:
        agenda.put(("subscription", name), at)
        expected[name] = at
    taken = []
    while (first := agenda.first()) is not None:
        assert agenda.take(first - 1) is None
        key = agenda.take(first)
        assert key is not None
        taken.append((first, key[1]))
    assert [at for at, _ in taken] == sorted(at for at, _ in taken)
    assert {name: at for at, name in taken} == {n: at for n, at in expected.items() if at is not None}
