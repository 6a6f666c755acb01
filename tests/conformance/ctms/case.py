"""Cases of CTMS's format: contacts, steps and the state at the end; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.case import CaseError, no_case
from tests.conformance.ctms import members

Json = Any


@dataclass(frozen=True)
class Step:
    """One action by its kind, and its expectation."""

    number: int
    kind: str
    action: Json
    expected: Mapping[str, Json]
    has_later_log: bool = False
    """Whether the case also has log fields of a later release, which are optional."""


@dataclass(frozen=True)
class Case:
    """One case; `final` must hold at its end."""

    name: str
    contacts: Sequence[Json]
    api_clients: Sequence[Mapping[str, Json]]
    sql_after_contacts: Sequence[str]
    steps: Sequence[Step]
    final: Mapping[str, Json]


@dataclass(frozen=True)
class Table:
    """Examples without steps: `kind` is one of `members.TABLES`."""

    name: str
    kind: str
    content: Mapping[str, Json]


def read(name: str, content: Json) -> Case | Table:
    """Return the case, or the table of examples, in a file's content.

    Args:
        name: name of the file, for a case without an id.
        content: JSON of the file.

    Raises:
        CaseError: the content is neither, or has an unknown member.
    """
    try:
        members.check(content)
        kind = members.table_of(content)
        if kind is not None:
            return Table(content["id"], kind, content)
        if not content.get("steps"):
            raise CaseError("no case file: no steps, and no table of a known kind")
        merged = with_recommended(content)
        members.check(merged)
        return _case(name, merged)
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise no_case(error) from error


def _case(name: str, content: Mapping[str, Json]) -> Case:
    setup = content.get("setup", {})
    steps = [_step(number, step) for number, step in enumerate(content["steps"])]
    numbers = [step.number for step in steps]
    if numbers != sorted(set(numbers)):
        raise CaseError(f"no case file: the steps are numbered {numbers}")
    if not content.get("final") and not any(step.expected for step in steps):
        raise CaseError("no case file: nothing is expected")
    return Case(
        name=content.get("id", name),
        contacts=setup.get("contacts", []),
        api_clients=setup.get("api_clients", []),
        sql_after_contacts=setup.get("sql_after_contacts", []),
        steps=steps,
        final=content.get("final", {}),
    )


def _step(position: int, content: Mapping[str, Json]) -> Step:
    ((kind, action),) = content["action"].items()
    expected = content.get("expect") or {}
    later = content.get("expect_log_since_v1.1.2") is not None
    return Step(content.get("n", position), kind, action, expected, later)


def with_recommended(content: Mapping[str, Json]) -> dict[str, Json]:
    """Return the case with its recommendations in place of the upstream's behaviour; a text changes nothing.

    A step's own recommendation is what is expected of it. The case's has parts of `final`, kinds of actions
    or numbers of steps with what is expected of each step, or what is expected of the last step.

    Raises:
        CaseError: it has another member.
    """
    recommended = _mapping(content.get("recommended"))
    final = {name: value for name, value in recommended.items() if name in members.FINAL.split()}
    numbered, last = _of_steps({name: recommended[name] for name in recommended.keys() - final.keys()})
    steps = []
    for position, step in enumerate(content["steps"]):
        ((kind, _),) = step["action"].items()
        number = str(step.get("n", position))
        instead = numbered.get((kind, number)) or numbered.get(("", number)) or {}
        more = last if position == len(content["steps"]) - 1 else {}
        expected = {**(step.get("expect") or {}), **_mapping(step.get("recommended")), **instead, **more}
        steps.append({**_without(step), "expect": expected})
    return {**_without(content), "steps": steps, "final": {**content.get("final", {}), **final}}


def _mapping(recommended: Json) -> Mapping[str, Json]:
    return recommended if isinstance(recommended, Mapping) else {}


def _without(content: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in content.items() if name != "recommended"}


def _of_steps(recommended: Mapping[str, Json]) -> tuple[dict[tuple[str, str], Json], dict[str, Json]]:
    """Return what is recommended of steps by kind and number, and what is recommended of the last step."""
    numbered, last = {}, {}
    for name, value in recommended.items():
        if name in members.ACTIONS.split():
            numbered.update({(name, str(number)): one for number, one in value.items()})
        elif name.isdecimal():
            numbered["", name] = value
        elif name in (*members.ANSWER.split(), *members.WINDOW.split()):
            last[name] = value
        else:
            raise CaseError(f"no case file: unknown member recommended.{name}")
    return numbered, last
