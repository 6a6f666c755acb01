"""Case files on disk: the files that a path stands for, and the JSON in each."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Json = Any


class CaseError(Exception):
    """A file is no case, or its stack does not do what a case needs."""


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the case files: those of a folder by name, a file as it is.

    Raises:
        CaseError: a path does not exist.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise CaseError(f"there is no {path}")
        found += sorted(path.glob("*.json")) if path.is_dir() else [path]
    return found


def load(path: Path) -> Json:
    """Return the JSON of a file.

    Raises:
        CaseError: the file holds no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_members)
    except (OSError, ValueError) as error:
        raise no_case(error) from error


def _members(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a member comes twice among {', '.join(name for name, _ in pairs)}")
    return found


def no_case(error: Exception) -> CaseError:
    """Return the error for content that cannot be read as a case."""
    return CaseError(f"no case file: {type(error).__name__}: {error}")
