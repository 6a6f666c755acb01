"""Reasons for which a mutant may pass: its verdict names its place as not compared or not run; pure."""

import re
from collections.abc import Iterator

from tests.conformance.ctms.requests import table_of
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.mutants.places import PAIRS, Json, Mutant, Place
from tests.conformance.verdict import Notes

REFUSED = DEVIATIONS["refused_fields"].ours
UNKNOWN = DEVIATIONS["unknown_outcome"].ours
OUTCOME = re.compile(r'_status$|"status": "failure"')
LEFT_OUT = re.compile(r"(steps|rows?) (\d+(?:, \d+)*)( and later)?")
POSITIONS = {"steps": (("steps",), 0), "row": (("table", "steps"), 1), "rows": (("cases",), 1)}
"""Words of remarks, the lists whose entries they number, and the number of the first entry."""


def is_explained(mutant: Mutant, notes: Notes, case: Notes) -> bool:
    """Whether the remarks on a mutant that passed explain it; `case` are the remarks on the case itself."""
    if notes.text() != case.text():
        return True
    if REFUSED in notes.documented and _is_in_other_words(mutant.place):
        return True
    if UNKNOWN in notes.documented and OUTCOME.search(str(mutant.place[-1])):
        return True
    names = {*_names(mutant)}
    if any(re.split(r" \(|: ", remark)[0] in names for remark in (*notes.not_compared, *notes.not_run)):
        return True
    return any(_is_left_out(mutant.place, remark) for remark in notes.not_run)


def _names(mutant: Mutant) -> Iterator[str]:
    """Yield the names that remarks may have for a place."""
    names = [name.partition("{")[0] for name in mutant.place if isinstance(name, str)]
    for first in range(len(names)):
        yield from (".".join(names[first:last]) for last in range(first + 1, len(names) + 1))
    content = mutant.original
    for depth, name in enumerate(mutant.place, start=1):
        if name not in (range(len(content)) if isinstance(content, list) else content):
            return
        content = content[name]
        yield from _names_of(content, mutant.place[:depth])


def _names_of(value: Json, place: Place) -> Iterator[str]:
    """Yield the names of a value that is named after its content."""
    name, kind = place[-1], place[-2] if len(place) > 1 else ""
    if name == "acoustic_requests":
        yield f"the {table_of(value[-1])} table"
    elif isinstance(name, str) and '"table": ' in name:
        yield re.sub(r'.*"table": "(\w+)".*', r"the \1 table", name)
    elif kind == "acoustic_requests":
        yield f"the {table_of(value)} table"
    elif name == "contact_logs" and value:
        yield from _names_of(value[-1], (*place, -1))
    elif kind == "contact_logs":
        yield f"contact_logs {str(value.get('event'))[:40]!r}"
    elif kind == "fxa_created_date":
        yield f"fxa_created_date {value['in']!r}"
    elif kind in PAIRS:
        yield f"{place[-3]}.{kind} {value[0]!r}"


def _is_in_other_words(place: Place) -> bool:
    """Whether a place is about a refused field, but not its place."""
    return "detail" in place and place[-1] != "loc" and place[-2] != "loc"


def _is_left_out(place: Place, remark: str) -> bool:
    match = LEFT_OUT.match(remark)
    if match is None:
        return False
    names, start = POSITIONS[match[1]]
    numbers = [int(number) - start for number in match[2].split(", ")]
    if place[0] not in names or not isinstance(place[1], int):
        return False
    return place[1] in numbers or (match[3] is not None and place[1] >= numbers[-1])
