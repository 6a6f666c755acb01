"""Who does what a how-to says ends with tests that pass: each page is walked in a copy of the tree."""

import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.mutations.copies import Copy

Step = dict[str, Any]

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "how-to"
MIGRATIONS = ROOT / "libs/common/src/mainstem/common/migrations/versions"
WALKS = tomllib.loads(Path(__file__).with_name("walks.toml").read_text(encoding="utf-8"))["walk"]
BLOCK = re.compile(r"^```(?:python|toml|ini)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECONDS = 120.0
RUFF = Path(sys.executable).with_name("ruff")


def told(block: str) -> str:
    """Return what a block adds: all of it, or what stands below its `...`, as far in as that."""
    dots = re.search(r"^( *)\.\.\.\n", block, re.MULTILINE)
    if dots is None:
        return block
    below = block[dots.end() :].splitlines(keepends=True)
    return "".join(line for line in below if line.startswith(dots[1]))


def numbered(text: str) -> str:
    """Return what a page says of migrations, counted on from the last one that there is."""
    last = max(int(path.name[:4]) for path in MIGRATIONS.glob("[0-9]*.py"))
    numbers = {"1": last, "2": last + 1}
    text = re.sub(r"\b000([12])(?=[_\"])", lambda found: f"{numbers[found[1]]:04}", text)
    return re.sub(r"\b(VERSION = )([12])\b", lambda found: f"{found[1]}{numbers[found[2]]}", text)


def steps_of(walk: dict[str, Any]) -> Iterator[tuple[Step, str]]:
    """Yield each step with its text; all blocks of the page must be used."""
    blocks = iter(BLOCK.findall((PAGES / walk["page"]).read_text(encoding="utf-8")))
    for step in walk["steps"]:
        text = numbered(step["text"] if "text" in step else told(next(blocks)))
        if "indent" in step:
            text = textwrap.indent(textwrap.dedent(text), " " * step["indent"])
        yield {key: numbered(value) if isinstance(value, str) else value for key, value in step.items()}, text
    assert next(blocks, None) is None, f"{walk['page']} has a block that no step uses"


def take(folder: Path, step: Step, text: str) -> None:
    """Do what a step says."""
    path = folder / step["file"]
    if not {"before", "after", "replace", "end"} & step.keys():
        path.write_text(text, encoding="utf-8")
        return
    content = path.read_text(encoding="utf-8")
    if "end" in step:
        path.write_text(f"{content}\n\n{text}", encoding="utf-8")
        return
    [mode] = {"before", "after", "replace"} & step.keys()
    place: str = step[mode]
    assert place in content, f"{step['file']} has no such place any more: {place}"
    # What goes before a class or a function keeps its distance.
    gap = "\n\n" if mode == "before" and text[:1] not in {" ", "|", '"'} else ""
    new = {"before": f"{text}{gap}{place}", "after": f"{place}{text}", "replace": text}[mode]
    path.write_text(content.replace(place, new, 1), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.rotating
@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk["page"])
def test_who_does_what_a_page_says_ends_with_tests_that_pass(walk: dict[str, Any], tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    for step, text in steps_of(walk):
        take(tmp_path, step, text)
    changed = sorted({step["file"] for step in walk["steps"] if step["file"].endswith(".py")})
    for arguments in (["check", "--fix-only", "--quiet"], ["format", "--quiet"], ["check"]):
        command = [RUFF, *arguments, *changed]
        done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    endings = copy.test(walk["tests"], SECONDS)
    assert endings == dict.fromkeys(walk["tests"], "passed")


def test_every_how_to_that_changes_the_tree_is_walked() -> None:
    assert sorted(walk["page"] for walk in WALKS) == sorted(path.name for path in PAGES.glob("add-*.md"))
