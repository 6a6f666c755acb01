"""Case files: what one holds, and which files a path stands for."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = Any


class CaseError(Exception):
    """A file is no case, or its stack does not do what a case needs."""


@dataclass(frozen=True)
class Step:
    """One thing that is done, by the name of the action, and what is expected of it."""

    number: int
    kind: str
    action: Json
    expected: Mapping[str, Json]


@dataclass(frozen=True)
class Case:
    """One case; `final` is what must hold at its end, `None` where it says nothing."""

    name: str
    contacts: Sequence[Json]
    api_clients: Sequence[Mapping[str, Json]]
    sql_after_contacts: Sequence[str]
    steps: Sequence[Step]
    final: Mapping[str, Json]

    def statements(self) -> Iterable[str]:
        """Yield every statement that the case has run, in order."""
        yield from self.sql_after_contacts
        for step in self.steps:
            if step.kind == "sql":
                yield step.action

    def http_actions(self) -> Iterable[tuple[Mapping[str, Json], int | None]]:
        """Yield every request, each with the status that is expected."""
        for step in self.steps:
            if step.kind == "http":
                yield step.action, step.expected.get("status")


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the case files: those of a folder by name, a file as it is.

    Raises:
        CaseError: there is no such path.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise CaseError(f"there is no {path}")
        found += sorted(path.glob("*.json")) if path.is_dir() else [path]
    return found


def load(path: Path) -> Json:
    """Return what a file holds.

    Raises:
        CaseError: no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _no_case(error) from error


def read(name: str, content: Json) -> Case:
    """Return the case that a file's content is; the name is its file's.

    Raises:
        CaseError: it is none.
    """
    try:
        setup = content.get("setup", {})
        return Case(
            name=content.get("id", name),
            contacts=setup.get("contacts", []),
            api_clients=setup.get("api_clients", []),
            sql_after_contacts=setup.get("sql_after_contacts", []),
            steps=[_step(number, step) for number, step in enumerate(content.get("steps", []))],
            final=content.get("final", {}),
        )
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise _no_case(error) from error


def _no_case(error: Exception) -> CaseError:
    return CaseError(f"no case file: {type(error).__name__}: {error}")


def _step(position: int, content: Mapping[str, Json]) -> Step:
    ((kind, action),) = content["action"].items()
    return Step(content.get("n", position), kind, action, content.get("expect", {}))
