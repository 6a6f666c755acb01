"""`./just mutations [NAME…]`: take each rule out of a copy of the tree, and demand that its tests fail.

The list is `mutations.toml`. First the tests must pass as they are; then each mutation is applied alone, and
each of its tests must fail: not break while it is collected or set up, nor hang.
"""

import argparse
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.mutations.anchors import AnchorError, Place, find_in_file, find_in_symbol

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("mutations.toml")
TIMEOUT_SECONDS = 300.0
BASELINE_SECONDS = 1_200.0
STOP_SECONDS = 30.0
JOBS = 2


@dataclass(frozen=True)
class Mutation:
    """One rule taken out: the only `old` in its symbol or file becomes `new`; then `tests` must fail."""

    name: str
    rule: str
    symbol: str | None
    """`in` of the list: a distribution and a qualified name."""
    file: str | None
    """For text outside of the distributions' sources: a path in the tree."""
    old: str
    new: str
    tests: tuple[str, ...]

    def find(self, root: Path) -> Place:
        """Return where `old` stands in a tree without mutations.

        Raises:
            AnchorError: it is not there exactly once.
        """
        if (self.symbol is None) == (self.file is None):
            raise AnchorError("a mutation has `in` or `file`, and not both")
        if self.symbol is not None:
            return find_in_symbol(root, self.symbol, self.old)
        return find_in_file(root, str(self.file), self.old)


class BrokenError(Exception):
    """A mutation shows nothing: its tests did not come to fail by themselves."""


class Copy:
    """A copy of the tree's sources, in which one file at a time is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writes = 0
        self._process: subprocess.Popen[str] | None = None
        for name in _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
            if name and (ROOT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
        # The repo's own tests ask git which files there are.
        _git("init", "--quiet", cwd=folder)
        _git("add", "--all", cwd=folder)

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Apply the mutation to the copy, and take it back at the end.

        Raises:
            AnchorError: its text is not there exactly once.
        """
        place = mutation.find(self.folder)
        text = place.file.read_text()
        self._write(place.file, place.replace(mutation.old, mutation.new))
        try:
            yield
        finally:
            self._write(place.file, text)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        # Byte code is told by the time and the size of its source: no two texts may have the same.
        self._writes += 1
        at = time.time() + self._writes
        os.utime(path, (at, at))

    def test(self, tests: Sequence[str], seconds: float) -> dict[str, str]:
        """Run tests on the copy; return how each of them ended: `passed`, `failed` or `broke`.

        Raises:
            BrokenError: they did not end, or were not found.
        """
        report = self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]
        command += ["-o", "junit_family=xunit1", f"--junitxml={report}", *tests]
        output = self._run(command, seconds)
        if not report.exists():
            raise BrokenError(output[-2_000:])
        found = _endings(report)
        if missing := [one for one in tests if one not in found]:
            raise BrokenError(f"not run: {', '.join(missing)}\n{output[-2_000:]}")
        return {one: found[one] for one in tests}

    def _run(self, command: Sequence[str], seconds: float) -> str:
        sources = os.pathsep.join(map(str, sorted(self.folder.glob("*/*/src"))))
        self._process = process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": sources, "CI": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            return process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            self.stop()
            raise BrokenError(f"no end after {seconds:.0f} s") from None

    def stop(self) -> None:
        """End the tests that run, if any do: they end their servers when they are told to."""
        process = self._process
        if process is not None and process.poll() is None:
            # Pytest tears down what it has set up when it is interrupted.
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
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
        name: next(one for one in ("failed", "broke", "passed") if one in found)
        for name, found in endings.items()
    }


def load() -> list[Mutation]:
    """Return every mutation of the list."""
    content = tomllib.loads(LIST.read_text())
    return [
        Mutation(
            name=entry["name"],
            rule=entry["rule"],
            symbol=entry.get("in"),
            file=entry.get("file"),
            old=entry["old"],
            new=entry["new"],
            tests=tuple(entry["tests"]),
        )
        for entry in content["mutation"]
    ]


def check(copy: Copy, mutation: Mutation) -> str | None:
    """Return why a mutation shows nothing, None if all of its tests fail with it."""
    try:
        with copy.mutated(mutation):
            endings = copy.test(mutation.tests, TIMEOUT_SECONDS)
    except (AnchorError, BrokenError) as error:
        return str(error)
    wrong = [f"{test} {ending}" for test, ending in endings.items() if ending != "failed"]
    return "; ".join(wrong) or None


def check_all(copies: Sequence[Copy], mutations: Sequence[Mutation]) -> int:
    """Check the mutations, some at once, with a line each; return how many show nothing."""
    free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def check_one(mutation: Mutation) -> str | None:
        copy = free.get()
        try:
            return check(copy, mutation)
        finally:
            free.put(copy)

    failures = 0
    with ThreadPoolExecutor(len(copies)) as pool:
        running = {pool.submit(check_one, one): one for one in mutations}
        try:
            for number, done in enumerate(as_completed(running), start=1):
                mutation, problem = running[done], done.result()
                failures += problem is not None
                verdict = "passed" if problem is None else f"FAILED: {problem}"
                say(f"[{number}/{len(mutations)}] {mutation.name}: {verdict}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for copy in copies:
                copy.stop()
            raise
    return failures


def say(text: str) -> None:
    """Show a line at once, also where output is a file."""
    print(text, flush=True)  # noqa: T201 -- a command speaks to a person


def main() -> int:
    """Check the named mutations, or all; the exit code says whether every one shows what it should."""
    parser = argparse.ArgumentParser(prog="./just mutations", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="mutations of the list; all if none is named"
    )
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many run at once (%(default)s)")
    given = parser.parse_args()
    known = {one.name: one for one in load()}
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"no such mutation: {', '.join(unknown)}")
    mutations = [known[name] for name in given.names] or list(known.values())
    # Told to end, it ends as when it is interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mainstem-mutations-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # as root Postgres runs as another user
        copies = [Copy(Path(folder) / str(number)) for number in range(min(given.jobs, len(mutations)))]
        tests = sorted({test for one in mutations for test in one.tests})
        say(f"{len(tests)} tests must pass as the tree is …")
        try:
            endings = copies[0].test(tests, BASELINE_SECONDS)
        except BaseException:
            copies[0].stop()
            raise
        if broken := [test for test, ending in endings.items() if ending != "passed"]:
            say("\n".join(f"fails without any mutation: {test}" for test in broken))
            return 1
        failures = check_all(copies, mutations)
    say(f"{len(mutations) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
