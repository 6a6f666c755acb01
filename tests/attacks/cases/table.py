"""All attacks in one table."""

from collections.abc import Mapping, Sequence

from tests.attacks.case import Case
from tests.attacks.cases import chunks, flows, framing, lines, upgrades

FAMILIES: Mapping[str, Sequence[Case]] = {
    "framing": framing.CASES,
    "chunks": chunks.CASES,
    "upgrades": upgrades.CASES,
    "lines": lines.CASES,
    "flows": flows.CASES,
}
ALL: Sequence[Case] = [case for cases in FAMILIES.values() for case in cases]

WAITING = tuple(case for case in ALL if not case.is_whole)
"""Cases that a right server ends by a time limit: they run at once."""

QUICK = tuple(case for case in ALL if case.is_whole)
