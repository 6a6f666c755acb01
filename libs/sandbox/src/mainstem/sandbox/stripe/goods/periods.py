"""Billing periods: whole steps from an anchor, whose day of the month is kept where the month has it."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}
_MONTHS_A_YEAR = 12


@dataclass(frozen=True)
class Interval:
    """Length of one period: `count` times a `day`, `week`, `month` or `year`."""

    unit: str
    count: int


@dataclass(frozen=True)
class Period:
    """From `start` up to and without `end`, in seconds since 1970."""

    start: int
    end: int


def step(anchor: int, interval: Interval, times: int) -> int:
    """Return the instant that lies so many intervals after the anchor."""
    since = datetime.fromtimestamp(anchor, UTC)
    if interval.unit in _DAYS:
        return int((since + timedelta(days=_DAYS[interval.unit] * interval.count * times)).timestamp())
    months = since.month - 1 + _MONTHS[interval.unit] * interval.count * times
    year, month = since.year + months // _MONTHS_A_YEAR, months % _MONTHS_A_YEAR + 1
    # From the anchor's own day each time: 31 January, 28 February, 31 March.
    day = min(since.day, monthrange(year, month)[1])
    return int(since.replace(year=year, month=month, day=day).timestamp())


def period_at(anchor: int, interval: Interval, at: int) -> Period:
    """Return the period that contains `at`, which is not before the anchor."""
    times = 0
    while step(anchor, interval, times + 1) <= at:
        times += 1
    return Period(step(anchor, interval, times), step(anchor, interval, times + 1))
