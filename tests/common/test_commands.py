import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from mainstem.common.commands import GROUP

pytestmark = pytest.mark.slow

SCRIPT = Path(sys.executable).parent / "mainstem"


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [SCRIPT, *arguments],
        env={"PATH": "/usr/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_distribution_registers_its_commands() -> None:
    names = {point.name for point in entry_points(group=GROUP)}
    assert names == {"database", "sandbox", "ingest", "sync", "billing", "gateway"}


def test_help_lists_every_service() -> None:
    result = run("--help")
    assert result.returncode == 0
    for point in entry_points(group=GROUP):
        assert point.name in result.stdout


@pytest.mark.parametrize("service", ["ingest", "sync", "billing", "gateway"])
def test_a_service_without_its_environment_says_what_is_missing_in_one_text(service: str) -> None:
    result = run(service, "serve")
    assert result.returncode == 1
    assert "DATABASE_URL" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_command_that_does_not_exist_is_an_error() -> None:
    result = run("ingest", "dance")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
