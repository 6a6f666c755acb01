import re
from pathlib import Path

import pytest
from sqlmodel import SQLModel
from tree import ROOT, list_files, name_of

from mainstem.common import models  # noqa: F401 -- registers the tables

TOUR = ROOT / "docs" / "tour.md"
DATA_MODEL = ROOT / "docs" / "data-model.md"
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
    text = FENCE.sub("", document.read_text())
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target and ":" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_every_table_is_in_the_data_model() -> None:
    tables = {table.fullname for table in SQLModel.metadata.sorted_tables}
    named = set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", DATA_MODEL.read_text(), re.MULTILINE))
    assert named == tables
