"""Earlier trees: programs of a commit beside those of today, each tree on a database of its own."""

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

from stage import PASSWORD, Stage, connected

from mainstem.sandbox.servers.ports import LOOPBACK
from mainstem.sandbox.servers.roles import login_of
from mainstem.sandbox.stack.programs import mainstem_script, without_ours

ROOT = Path(__file__).parent.parent
GUARD = "libs/common/src/mainstem/common/http/connections/guard.py"


def add_base(parser: argparse.ArgumentParser) -> None:
    """Add `--base`: the commit to compare with."""
    parser.add_argument(
        "--base",
        type=str,
        default=None,
        help="commit to compare with; else the one before guarded connections",
    )


def find_base() -> str:
    """Return the commit before the one that guards connections."""
    command = ["git", "log", "--diff-filter=A", "--format=%H", "--", GUARD]
    commits = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    if not commits:
        sys.exit("no commit brought the guard: name one with --base")
    return f"{commits[-1]}^"


def check_out(revision: str | None, folder: Path) -> Path:
    """Write a commit's libraries and services to a folder, and return it; None is `find_base()`."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", revision or find_base(), "libs", "services"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


async def prepare(stage: Stage, name: str, tree: Path, service: str) -> dict[str, str]:
    """Make a database by a tree's migrations, and return the environment of a service of that tree."""
    async with connected(stage.postgres.superuser_url()) as connection:
        await connection.execute(f"CREATE DATABASE {name} OWNER mainstem")
    sources = ("libs/common/src", f"services/{service}/src")
    environment = {"PYTHONPATH": os.pathsep.join(str(tree / source) for source in sources)}
    await output_of({**environment, "DATABASE_URL": stage.postgres.url(name)}, "database", "upgrade")
    login = f"{login_of(service)}:{PASSWORD}"
    return {**environment, "DATABASE_URL": f"postgresql://{login}@{LOOPBACK}:{stage.postgres.port}/{name}"}


async def output_of(told: dict[str, str], *words: str) -> bytes:
    """Return what a `mainstem` command of a tree prints."""
    environment = {**without_ours(os.environ), **told}
    child = await asyncio.create_subprocess_exec(
        mainstem_script(), *words, env=environment, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await child.communicate()
    if child.returncode:
        sys.exit(f"`mainstem {' '.join(words)}` failed in the tree at {told['PYTHONPATH']}")
    return output
