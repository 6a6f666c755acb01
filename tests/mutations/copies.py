"""Copies of the tree, in which one mutation at a time is tested."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.mutations.entries import Mutation

ROOT = Path(__file__).parents[2]
INTERRUPTIONS = 3
STOP_SECONDS = 4.0
SERVICES = ("ingest", "sync", "billing", "gateway")
OPTIONS = ("-p", "no:cacheprovider", "-p", "no:xdist", "-o", "junit_family=xunit1")
# The first failing example is enough: shrinking it takes minutes.
FIRST_FAILURE = "--hypothesis-profile=first-failure"


class BrokenError(Exception):
    """A mutation shows nothing: its tests did not come to fail by themselves."""


class Copy:
    """A copy of the tree's sources, in which one file at a time is changed."""

    def __init__(self, folder: Path, postgres: str | None = None) -> None:
        self.folder = folder
        self._postgres = postgres
        """Server for mutations of services: the value of MAINSTEM_TEST_POSTGRES."""
        self._writes = 0
        self._process: subprocess.Popen[str] | None = None
        self._ended = threading.Event()
        for name in _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
            if name and (ROOT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
        # The repo's own tests ask git which files there are.
        _git("init", "--quiet", cwd=folder)
        _git("add", "--all", cwd=folder)

    def test_mutated(self, mutation: Mutation, seconds: float) -> dict[str, str]:
        """Apply a mutation, run its tests as `test` does, and take it back.

        Raises:
            AnchorError: its text is not there exactly once.
            BrokenError: the tests did not end, or were not found.
        """
        with self._mutated(mutation) as path:
            # Migrations import nothing of a service: its mutations leave the template database as it is.
            is_shared = path.relative_to(self.folder).parts[:2] in {("services", name) for name in SERVICES}
            return self.test(mutation.tests, seconds, postgres=self._postgres if is_shared else None)

    @contextmanager
    def _mutated(self, mutation: Mutation) -> Iterator[Path]:
        """Apply the mutation and take it back at the end; yield the file that it changes."""
        place = mutation.find(self.folder)
        text = place.file.read_text()
        self._write(place.file, place.replace(mutation.old, mutation.new))
        try:
            yield place.file
        finally:
            self._write(place.file, text)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        # Byte code is told by the time and the size of its source: no two texts may have the same.
        self._writes += 1
        at = time.time() + self._writes
        os.utime(path, (at, at))

    def test(self, tests: Sequence[str], seconds: float, *, postgres: str | None = None) -> dict[str, str]:
        """Run tests on the copy; return how each of them ended: `passed`, `failed` or `broke`.

        Raises:
            BrokenError: they did not end, or were not found.
        """
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "--quiet", *OPTIONS, FIRST_FAILURE]
        output = self._run([*command, f"--junitxml={report}", *tests], seconds, postgres)
        if not report.exists():
            raise BrokenError(output[-2_000:])
        found = _endings(report)
        if missing := [test for test in tests if test not in found]:
            raise BrokenError(f"not run: {', '.join(missing)}\n{output[-2_000:]}")
        return {test: found[test] for test in tests}

    def _run(self, command: Sequence[str], seconds: float, postgres: str | None) -> str:
        sources = os.pathsep.join(map(str, sorted(self.folder.glob("*/*/src"))))
        server = {"MAINSTEM_TEST_POSTGRES": postgres} if postgres else {}
        self._process = process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": sources, "CI": "1", **server},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if self._ended.is_set():
            _stop(process)
        try:
            return process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            _stop(process)
            raise BrokenError(f"no end after {seconds:.0f} s") from None

    def end(self) -> None:
        """End the tests that run and those that would start after this; they end their servers themselves."""
        self._ended.set()
        if self._process is not None:
            _stop(self._process)


def _stop(process: subprocess.Popen[str]) -> None:
    """Interrupt pytest, which then tears down what it has set up; kill it when it does not end."""
    for _ in range(INTERRUPTIONS):
        if process.poll() is not None:
            return
        # Code under test, such as a server that ends gracefully, may take an interruption for itself.
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return
    os.killpg(process.pid, signal.SIGKILL)


def _git(*arguments: str, cwd: Path = ROOT) -> str:
    command = ["git", "-c", f"safe.directory={cwd}", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def _endings(report: Path) -> dict[str, str]:
    """Return how each test ended, by its id without parameters; one set of them that fails is enough."""
    endings: dict[str, set[str]] = defaultdict(set)
    for case in ET.parse(report).getroot().iter("testcase"):
        name = f"{case.get('file')}::{str(case.get('name')).partition('[')[0]}"
        tags = {child.tag for child in case}
        endings[name].add("failed" if "failure" in tags else "broke" if "error" in tags else "passed")
    return {
        name: next(ending for ending in ("failed", "broke", "passed") if ending in found)
        for name, found in endings.items()
    }
