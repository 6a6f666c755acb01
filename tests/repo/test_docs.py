import re
from pathlib import Path

import pytest
from sqlmodel import SQLModel
from tests.references.rooms import list_rooms
from tree import ROOT, list_files, name_of

from mainstem.common import models  # noqa: F401 -- registers the tables

ARCHITECTURE = ROOT / "docs" / "architecture.md"
TOUR = ROOT / "docs" / "tour.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
DATA_MODEL = ROOT / "docs" / "data-model.md"
CITING = [*sorted((ROOT / "docs" / "decisions").glob("*.md")), TOUR, ARCHITECTURE, CONTRIBUTING]
"""Pages in which a path or a dotted name in code stands for a place of the tree."""
HOUSES = sorted(ROOT.glob("*/*/src/mainstem/*/"))
PATH = re.compile(r"\.?[\w-]+(/[\w.-]+)+/?|[\w-]+\.(py|md|toml)")
DOTTED = re.compile(r"(mainstem|common|sandbox)(\.\w+)+")
LINKED = re.compile(r"\[`[^`]+`\]\([^)]+\)")
"""Code that is a link: its target is looked at instead."""

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TWO_SENTENCES = re.compile(r"\S[.!?] [A-Z`]")
NUMBER = re.compile(r"^(#+ |\s*)\d+\. ")
DOCUMENTS = list_files(".md")


def test_every_path_in_the_tours_code_map_exists() -> None:
    _, heading, code_map = TOUR.read_text().lower().rpartition("code map")
    assert heading, "the tour ends in a code map"
    code_map = TOUR.read_text()[-len(code_map) :]
    paths = [path for path in re.findall(r"`([^`\s]+)`", code_map) if "/" in path]
    assert len(paths) >= 8
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_document_has_one_sentence_a_line(document: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "`code`", FENCE.sub("", document.read_text()))
    lines = [NUMBER.sub("", line) for line in prose.splitlines() if not line.lstrip().startswith("|")]
    assert [line for line in lines if TWO_SENTENCES.search(line)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_link_to_another_file_of_the_tree_leads_somewhere(document: Path) -> None:
    assert [target for target in links_of(document) if not (document.parent / target).exists()] == []


def links_of(document: Path) -> list[str]:
    """Return the targets of a document's links to files of the tree."""
    text = FENCE.sub("", document.read_text())
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [target for target in targets if target and "://" not in target and ":" not in target]


def test_every_table_is_in_the_data_model() -> None:
    tables = {table.fullname for table in SQLModel.metadata.sorted_tables}
    named = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", DATA_MODEL.read_text(), re.MULTILINE))
    assert named == tables


def test_every_room_is_linked_once_on_the_architecture_page() -> None:
    targets = [(ARCHITECTURE.parent / target).resolve() for target in links_of(ARCHITECTURE)]
    counts = {room.short: targets.count(room.path) for room in list_rooms()}
    assert {name: count for name, count in counts.items() if count != 1} == {}


def test_the_architecture_page_names_the_file_of_at_least_twenty_behaviours() -> None:
    _, heading, places = ARCHITECTURE.read_text().partition("## Where does it happen?\n")
    assert heading
    rows = re.findall(r"^\| .+ \|$", places, re.MULTILINE)[1:]
    assert len(rows) >= 20
    assert [row for row in rows if ".py)" not in row] == []


@pytest.mark.parametrize("document", CITING, ids=name_of)
def test_every_path_and_module_that_a_page_cites_exists(document: Path) -> None:
    spans = cited(document)
    paths = [span for span in spans if PATH.fullmatch(span)]
    modules = [span for span in spans if DOTTED.fullmatch(span)]
    assert [path for path in paths if not is_path(path)] == []
    assert [module for module in modules if not is_module(module)] == []


def cited(document: Path) -> list[str]:
    """Return what a page sets as code, links left out."""
    return re.findall(r"`([^`\n]+)`", LINKED.sub("", FENCE.sub("", document.read_text())))


def is_path(path: str) -> bool:
    """Whether a path leads somewhere, from the root, from the namespace or, a bare name, in some package."""
    places = [ROOT, *{house.parent for house in HOUSES}, *(HOUSES if "/" not in path else ())]
    return any((place / path).exists() for place in places)


def is_module(dotted: str) -> bool:
    """Whether a dotted name is a module of ours."""
    path = dotted.removeprefix("mainstem.").replace(".", "/")
    return any(
        (house.parent / f"{path}{end}").exists() for house in HOUSES for end in (".py", "/__init__.py")
    )


def test_the_decisions_cite_places_of_the_tree() -> None:
    spans = {span for document in CITING for span in cited(document)}
    assert len([span for span in spans if PATH.fullmatch(span)]) > 30
    assert len([span for span in spans if DOTTED.fullmatch(span)]) >= 8
