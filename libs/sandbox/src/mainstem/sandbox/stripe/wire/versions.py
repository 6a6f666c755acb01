"""Stripe's API versions, and the era whose shapes each one uses."""

from enum import StrEnum

from mainstem.sandbox.stripe.wire.errors import StripeError

TODAY = "2026-10-28.endive"
"""The version that the pinned SDK asks for; the account's own unless it is given another."""


class Era(StrEnum):
    """A span of versions in which our objects have the same fields."""

    BEFORE = "before"
    """Until 2025-02-24.acacia: a subscription has the period, an invoice names its subscription."""
    TODAY = "today"
    """Since 2025-03-31.basil: items have the period, an invoice names its subscription in `parent`."""


_FIRST_OF_TODAY = "2025-03-31"

# https://docs.stripe.com/changelog
_UNNAMED = ("2022-11-15", "2023-08-16", "2023-10-16", "2024-04-10", "2024-06-20")
_NAMED = {
    "acacia": ("2024-09-30", "2024-10-28", "2024-11-20", "2024-12-18", "2025-01-27", "2025-02-24"),
    "basil": ("2025-03-31", "2025-04-30", "2025-05-28", "2025-06-30", "2025-07-30", "2025-08-27"),
    "clover": ("2025-09-30", "2025-10-29", "2025-11-17", "2025-12-15", "2026-01-28", "2026-02-25"),
    "dahlia": ("2026-03-25", "2026-04-22", "2026-05-27", "2026-06-24", "2026-07-29", "2026-08-26"),
    "endive": ("2026-09-30", "2026-10-28"),
}
_KNOWN = frozenset(_UNNAMED) | {f"{day}.{name}" for name, days in _NAMED.items() for day in days}


def check(version: str, *, param: str | None = None) -> str:
    """Return the version.

    Raises:
        StripeError: there is no such version, or it is older than the shapes kept here.
    """
    if version not in _KNOWN:
        raise StripeError(f"Invalid Stripe API version: {version}", param=param)
    return version


def era(version: str) -> Era:
    """Return the era of a known version."""
    return Era.BEFORE if version < _FIRST_OF_TODAY else Era.TODAY
