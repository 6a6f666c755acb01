"""The page on rule sets: the tables of statuses, with the reason of each row."""

from collections.abc import Iterator, Sequence

from tests.references.markdown import code, page, table

from mainstem.ingest.subscriptions.language import Conclusion, RuleSet
from mainstem.ingest.subscriptions.sets import SETS

HEADING = ("entry", "holds", "counts", "segment", "`re-`", "since, the first that is known", "reason")
CHOICES = (
    ("customers of one link that count", "customers"),
    ("entries of a deleted customer", "deleted_customer"),
    ("latest entry, before period end, creation and ids", "latest"),
    ("`sub_count` counts", "sub_count"),
    ("signals of `cancelling`", "signals"),
    ("column `cancel_at_period_end`", "cancel_at_period_end"),
    ("digest", "digest"),
)


def write(opening: str) -> str:
    """Return the page."""
    choices = table(("rule", *map(code, SETS)), [(text, *_chosen(name)) for text, name in CHOICES])
    tables = [(f"Entries by {code(rules.name)}", table(HEADING, _rows(rules))) for rules in SETS.values()]
    return page("Rule sets", opening, [("Choices", choices), *tables])


def _chosen(name: str) -> Iterator[str]:
    for rules in SETS.values():
        value = getattr(rules, name)
        yield ", ".join(map(code, value)) if isinstance(value, tuple) else str(value)


def _rows(rules: RuleSet) -> Iterator[Sequence[str]]:
    for status, row in rules.statuses.items():
        yield _row(code(status), row)
    for reason, row in rules.paused.items():
        yield _row(f"`paused` for {code(reason)}", row)
    yield _row("holds, and has a signal", rules.cancelling)
    if rules.deleted_customer == "ended":
        yield _row("counts, of a deleted customer", rules.ended)
    yield _row("any other status", rules.unknown)


def _row(entry: str, row: Conclusion) -> Sequence[str]:
    since = ", ".join(map(code, (*row.since, "created"))) if row.counts else ""
    words = [("no", "yes")[one] for one in (row.holds, row.counts)]
    return entry, *words, row.segment or "none", ("no", "yes")[row.again], since, row.reason
