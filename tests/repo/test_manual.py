"""What the pages for people name must be there: commands, settings, metrics, log events, statements."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import cyclopts
import pytest
from servers import Database
from sqlmodel import SQLModel
from tests.charts.schema import SETTINGS
from tests.references import events, metrics, settings
from tests.references.pages import read_meanings
from tests.references.source import ROOT, list_modules

from mainstem.common import models  # noqa: F401 -- registers the tables
from mainstem.common.commands import build
from mainstem.common.migrations.grants import READERS

PAGES = sorted([*ROOT.glob("docs/services/*.md"), *ROOT.glob("docs/how-to/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"(?:MAINSTEM|CTMS|OTEL|STRIPE|FORWARDED)_[A-Z_]*[A-Z]")
METRIC = re.compile(r"(?:mainstem|ctms|http_server)_[a-z_]+")
DOTTED = re.compile(r"[a-z_]+\.[a-z_]+")
COMMAND = re.compile(r"mainstem ((?:gateway|ingest|sync|billing|database|sandbox)\b.*)")
OPERATE = ROOT / "docs/how-to/operate.md"
OPERATED = [OPERATE, *sorted(ROOT.glob("docs/services/*.md"))]
"""The pages in which a name with a dot is a table, a view, or an event of the log."""

EXAMPLES = {"MAINSTEM_HOOK_URL"}
"""Names that a how-to makes up."""


def spans(page: Path) -> Iterator[str]:
    """Yield what a page sets as code within its sentences and tables."""
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text(encoding="utf-8")))


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each `mainstem …` that a page names."""
    shown = [line for text in blocks(page, "sh") for line in text.replace("\\\n", " ").splitlines()]
    for text in (*spans(page), *shown):
        found = COMMAND.search(text.partition("#")[0].strip())
        if found is not None:
            yield shlex.split(found[1].replace("…", ""))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    for words in commands(page):
        app, rest = found_in(build(words), words)
        is_group = app.default_command is None
        assert not (is_group and rest and rest[0].islower()), f"{page.name}: {app.name} has no {rest[0]}"
        if not is_group:
            known = {name for argument in app.assemble_argument_collection() for name in argument.names}
            assert {word for word in rest if word.startswith("--")} <= known, f"{page.name}: {words}"


def found_in(app: cyclopts.App, words: list[str]) -> tuple[cyclopts.App, list[str]]:
    """Return the command that the words lead to, and the words that remain."""
    return found_in(app[words[0]], words[1:]) if words and words[0] in app else (app, words)


def test_the_pages_name_commands() -> None:
    assert len([words for page in PAGES for words in commands(page)]) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_and_metric_that_a_page_names_is_there(page: Path) -> None:
    known = {one.name for kind in SETTINGS.values() for one in settings.list_settings(kind)}
    known |= {*read_meanings()["environment"], *EXAMPLES}
    measured = {one.exposed for one in metrics.list_metrics(list_modules())}
    for text in spans(page):
        if NAME.fullmatch(text):
            assert text in known, f"{page.name}: no setting {text}"
        if METRIC.fullmatch(text) and not is_role(text):
            assert text in measured, f"{page.name}: no metric {text}"


def is_role(text: str) -> bool:
    return text in {f"mainstem_{service}{ending}" for service in SETTINGS for ending in ("", "_login")}


@pytest.mark.parametrize("page", OPERATED, ids=lambda page: page.name)
def test_every_event_and_table_that_a_page_names_is_there(page: Path) -> None:
    known = {one.name for one in events.list_events(list_modules())}
    known |= {*(table.fullname for table in SQLModel.metadata.sorted_tables), *READERS}
    for text in filter(DOTTED.fullmatch, spans(page)):
        assert text in known, f"{page.name}: what is {text}?"


async def test_the_statements_for_operators_run(database: Database) -> None:
    statements = [one for text in blocks(OPERATE, "sql") for one in text.split(";\n")]
    assert len(statements) >= 3
    connection = await asyncpg.connect(database.url)
    try:
        for statement in filter(str.strip, statements):
            await connection.prepare(statement.replace("'…'", "NULL"))
    finally:
        await connection.close()
