"""Derivation, stop 5: which products an owner has by a rule set, from the entries of its customers; pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from mainstem.ingest.subscriptions.language import Conclusion, RuleSet

NEVER = datetime.min.replace(tzinfo=UTC)
AGAIN = "re-"
"""Prefix of the segment of an owner with more than one entry of the product that counts."""
PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of one subscription, with its price, as the mirror has it."""

    customer: str
    subscription_id: str
    item_id: str
    product_id: str
    status: str | None
    paused_reason: str | None
    created: datetime
    start_date: datetime | None
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    paused_at: datetime | None
    cancel_at_period_end: bool | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    price_id: str
    currency: str | None
    amount: int | None
    interval: str | None
    interval_count: int | None


@dataclass(frozen=True, slots=True)
class Payer:
    """One customer of an owner in one account, with all its entries."""

    customer: str
    created: datetime | None
    is_deleted: bool
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class DerivedProduct:
    """Conclusion for one owner and product: the latest entry, how many count, and the segment."""

    segment: str
    changed: datetime
    sub_count: int
    cancel_at_period_end: bool | None
    latest: Entry


class _Counted(NamedTuple):
    entry: Entry
    conclusion: Conclusion


def derive(rules: RuleSet, payers: Iterable[Payer]) -> list[DerivedProduct]:
    """Return the products of the owner that these customers of one account belong to, by product id."""
    by_product: dict[str, list[_Counted]] = defaultdict(list)
    for payer in _chosen(rules, payers):
        for entry in payer.entries:
            conclusion = _conclude(rules, payer, entry)
            if conclusion.counts:
                by_product[entry.product_id].append(_Counted(entry, conclusion))
    return [_product(rules, by_product[product]) for product in sorted(by_product)]


def _chosen(rules: RuleSet, payers: Iterable[Payer]) -> list[Payer]:
    """Return the customers that count; ids compare by code point."""
    ordered = sorted(payers, key=lambda payer: (payer.created or NEVER, payer.customer))
    return ordered[-1:] if rules.customers == "newest" else ordered


def _conclude(rules: RuleSet, payer: Payer, entry: Entry) -> Conclusion:
    conclusion = _by_status(rules, entry)
    if conclusion.counts and payer.is_deleted and rules.deleted_customer == "ended":
        return rules.ended
    if conclusion.holds and any(getattr(entry, signal) for signal in rules.signals):
        return rules.cancelling
    return conclusion


def _by_status(rules: RuleSet, entry: Entry) -> Conclusion:
    status = entry.status or ""
    if status == PAUSED and entry.paused_reason in rules.paused:
        return rules.paused[entry.paused_reason]
    return rules.statuses.get(status, rules.unknown)


def _product(rules: RuleSet, counted: Sequence[_Counted]) -> DerivedProduct:
    latest, conclusion = max(counted, key=lambda one: _lateness(rules, one))
    if rules.sub_count == "items":
        count = len(counted)
    else:
        count = len({entry.subscription_id for entry, _ in counted})
    prefix = AGAIN if conclusion.again and count > 1 else ""
    return DerivedProduct(
        segment=f"{prefix}{conclusion.segment}",
        changed=_changed(conclusion, latest),
        sub_count=count,
        cancel_at_period_end=_ends_with_period(rules, latest),
        latest=latest,
    )


def _lateness(rules: RuleSet, counted: _Counted) -> tuple[bool, datetime, datetime, str, str]:
    entry = counted.entry
    is_first = rules.latest == "holds" and counted.conclusion.holds
    end = entry.current_period_end or NEVER
    return is_first, end, entry.created, entry.subscription_id, entry.item_id


def _changed(conclusion: Conclusion, entry: Entry) -> datetime:
    times: Iterable[datetime | None] = (getattr(entry, name) for name in conclusion.since)
    return next(filter(None, times), entry.created)


def _ends_with_period(rules: RuleSet, entry: Entry) -> bool | None:
    if rules.cancel_at_period_end == "either signal" and entry.cancel_at is not None:
        return True
    return entry.cancel_at_period_end
