"""Earlier trees: programs of a commit beside those of today, each tree on a database of its own."""

import argparse
import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stage import PASSWORD, Stage, connected

from mainstem.sandbox.servers.ports import LOOPBACK
from mainstem.sandbox.servers.roles import login_of
from mainstem.sandbox.stack.programs import mainstem_script, without_ours

ROOT = Path(__file__).parent.parent
GUARD = "libs/common/src/mainstem/common/http/connections/guard.py"


def add_base(parser: argparse.ArgumentParser) -> None:
    """Add `--base`: the commit to compare with."""
    parser.add_argument("--base", default=None, help="commit to compare with, in the same run")


def find_base() -> str:
    """Return the commit before the one that guards connections, wherever its file stands now."""
    command = ["git", "log", "--follow", "--diff-filter=A", "--format=%H", "--", GUARD]
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


@dataclass(frozen=True)
class Prepared:
    """A tree with a database that its own migrations made."""

    stage: Stage
    name: str
    tree: Path

    @property
    def superuser_url(self) -> str:
        """The superuser's DSN of the database."""
        return self.stage.postgres.superuser_url(self.name)

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment by which a service runs from the tree's sources on the database."""
        login = f"{login_of(service)}:{PASSWORD}"
        url = f"postgresql://{login}@{LOOPBACK}:{self.stage.postgres.port}/{self.name}"
        return {**sources_of(self.tree), "DATABASE_URL": url}


async def prepare(stage: Stage, name: str, tree: Path) -> Prepared:
    """Make a database by a tree's migrations."""
    async with connected(stage.postgres.superuser_url()) as connection:
        await connection.execute(f"CREATE DATABASE {name} OWNER mainstem")
    environment = {**sources_of(tree), "DATABASE_URL": stage.postgres.url(name)}
    await output_of(environment, "database", "upgrade")
    return Prepared(stage, name, tree)


def sources_of(tree: Path) -> dict[str, str]:
    """Return the variable by which Python imports a tree's packages before those that are installed."""
    return {"PYTHONPATH": os.pathsep.join(map(str, sorted(tree.glob("*/*/src"))))}


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
