"""Command `./just conformance`: a line for each case, their counts last, and an exit code."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OWN = ROOT / "tests" / "conformance" / "cases"
PATIENCE_SECONDS = 120
_LINE = re.compile(r"(passed|failed|skipped) +([\w.-]+)(?:: (.*))?")


@dataclass(frozen=True)
class Run:
    """What a run of the command said."""

    code: int
    verdicts: Mapping[str, tuple[str, str]]
    last_line: str


async def run(*paths: Path) -> Run:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.conformance", *map(str, paths)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await child.communicate()
    *lines, last_line = output.decode().splitlines() or [errors.decode()[-500:]]
    matches = [match for line in lines if (match := _LINE.fullmatch(line))]
    verdicts = {match[2]: (match[1], match[3] or "") for match in matches}
    return Run(child.returncode or 0, verdicts, last_line)


async def test_command_prints_each_verdict_and_their_counts_and_a_failure_is_its_exit_code(
    tmp_path: Path,
) -> None:
    case = json.loads((OWN / "tied_items.json").read_text())
    (tmp_path / "wrong_rows.json").write_text(json.dumps(case | {"final": {"products": {}}}))
    (tmp_path / "wrong_file.json").write_text("[1]")
    (tmp_path / "table.json").write_text('{"id": "d13_loop_and_sleep", "cases": []}')
    found = await run(OWN / "exact.json", tmp_path)
    outcomes = {name: outcome for name, (outcome, _) in found.verdicts.items()}
    assert outcomes == {"exact": "passed", "table": "skipped", "wrong_file": "failed", "wrong_rows": "failed"}
    assert found.verdicts["wrong_rows"][1].startswith("products: contact ")
    assert (found.code, found.last_line) == (1, "1 passed, 2 failed, 1 skipped")


async def test_skips_do_not_fail(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text('{"id": "d13_loop_and_sleep", "cases": []}')
    found = await run(tmp_path)
    assert (found.code, found.last_line) == (0, "0 passed, 0 failed, 1 skipped")
    assert found.verdicts["table"][1].startswith("no part can run")


async def test_unknown_format_fails(tmp_path: Path) -> None:
    (tmp_path / "table.json").write_text('{"id": "table", "cases": []}')
    found = await run(tmp_path)
    assert (found.code, found.last_line) == (1, "0 passed, 1 failed, 0 skipped")


async def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    found = await run(tmp_path / "nowhere")
    assert found.code == 1
    assert "nowhere" in found.last_line
