"""Output of commands, and the options that several of them take."""

from datetime import datetime
from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="")]
Scopes = Annotated[tuple[str, ...], Parameter(name="--scope", negative="")]


def iso(at: datetime | None) -> str | None:
    """Return a time as ISO 8601; None for None."""
    return None if at is None else at.isoformat()


def write(text: str) -> None:
    """Write a line to standard output."""
    print(text)  # noqa: T201 -- a command's output is for its caller
