"""The generated pages: each by its file's name, with what writes it."""

import tomllib
from collections.abc import Callable, Mapping

from tests.references import errors, events, metrics, rooms, rule_sets, settings
from tests.references.source import ROOT, list_modules

PAGES = ROOT / "docs" / "reference"
MEANINGS = ROOT / "tests" / "references" / "meanings.toml"


def write_pages() -> None:
    """Write every page."""
    for name, write in writers().items():
        (PAGES / name).write_text(write(), encoding="utf-8")


def writers() -> dict[str, Callable[[], str]]:
    """Return what writes each page."""
    modules, said = list_modules(), read_meanings()
    opening = said["openings"]
    return {
        "errors.md": lambda: errors.write(modules, opening["errors"]),
        "log-events.md": lambda: events.write(modules, opening["events"], said["events"]),
        "metrics.md": lambda: metrics.write(modules, opening["metrics"]),
        "rooms.md": lambda: rooms.write(opening["rooms"]),
        "rule-sets.md": lambda: rule_sets.write(opening["rule_sets"]),
        "settings.md": lambda: settings.write(modules, opening["settings"], said["environment"]),
    }


def read_meanings() -> Mapping[str, Mapping[str, str]]:
    """Return what the code itself does not say: what events and bare names of the environment mean."""
    return tomllib.loads(MEANINGS.read_text(encoding="utf-8"))
