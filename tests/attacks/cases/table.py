"""All attacks in one table."""

from collections.abc import Sequence

from tests.attacks.case import Case
from tests.attacks.cases import chunks, flows, framing, lines, upgrades

ALL: Sequence[Case] = (*framing.CASES, *chunks.CASES, *upgrades.CASES, *lines.CASES, *flows.CASES)

WAITING = tuple(case for case in ALL if not case.is_whole)
"""Cases that a right server ends by a time limit: they run at once."""

QUICK = tuple(case for case in ALL if case.is_whole)
