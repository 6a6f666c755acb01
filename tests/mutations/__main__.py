"""`./just mutations [NAME…]`: take each rule out of a copy of the tree, and demand that its tests fail.

The list is `mutations.toml`. First the tests must pass as they are; then each mutation is applied alone, and
each of its tests must fail: not break while it is collected or set up, nor hang.
"""

import argparse
import asyncio
import queue
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.mutations.anchors import AnchorError
from tests.mutations.copies import BrokenError, Copy
from tests.mutations.entries import Mutation, load, part_of

from mainstem.sandbox.servers.ports import Ports
from mainstem.sandbox.servers.postgres import DISPOSABLE, Postgres

TIMEOUT_SECONDS = 300.0
BASELINE_SECONDS = 1_200.0
JOBS = 2


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Keep a Postgres of a copy's own running; yield it as MAINSTEM_TEST_POSTGRES has it."""
    ports = Ports()
    server = Postgres(folder, port=ports.take(), settings=DISPOSABLE)
    try:
        asyncio.run(server.start())
        yield f"{server.port}:{folder}"
    finally:
        asyncio.run(server.stop())
        server.remove()
        ports.close()


@contextmanager
def copies_of_the_tree(number: int) -> Iterator[list[Copy]]:
    """Make copies, each with a Postgres; remove them and their servers at the end."""
    with ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="mainstem-mutations-", ignore_cleanup_errors=True)
        path = Path(stack.enter_context(folder))
        path.chmod(0o711)  # as root Postgres runs as another user
        copies = []
        for name in map(str, range(number)):
            postgres = stack.enter_context(running_postgres(path / f"postgres-{name}"))
            copies.append(Copy(path / name, postgres))
        yield copies


def check_baseline(copies: Sequence[Copy], tests: Iterable[str]) -> list[str]:
    """Run the tests on the copies as they are, some files on each; return those that do not pass."""
    files = sorted({test.partition("::")[0] for test in tests})
    shares = [set(files[number :: len(copies)]) for number in range(len(copies))]

    def check_share(copy: Copy, share: set[str]) -> list[str]:
        mine = sorted(test for test in tests if test.partition("::")[0] in share)
        endings = copy.test(mine, BASELINE_SECONDS) if mine else {}
        return [test for test, ending in endings.items() if ending != "passed"]

    with pool_of(copies) as pool:
        running = [pool.submit(check_share, *each) for each in zip(copies, shares, strict=True)]
        return sorted(test for done in as_completed(running) for test in done.result())


def check(copy: Copy, mutation: Mutation) -> str | None:
    """Return why a mutation shows nothing, None if all of its tests fail with it."""
    try:
        endings = copy.test_mutated(mutation, TIMEOUT_SECONDS)
    except (AnchorError, BrokenError) as error:
        return str(error)
    wrong = [f"{test} {ending}" for test, ending in endings.items() if ending != "failed"]
    return "; ".join(wrong) or None


def check_all(copies: Sequence[Copy], mutations: Sequence[Mutation]) -> int:
    """Check the mutations, some at once, with a line each; return how many show nothing."""
    free: queue.SimpleQueue[Copy] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def check_one(mutation: Mutation) -> tuple[str | None, float]:
        copy, start = free.get(), time.monotonic()
        try:
            return check(copy, mutation), time.monotonic() - start
        finally:
            free.put(copy)

    failures, start = 0, time.monotonic()
    with pool_of(copies) as pool:
        running = {pool.submit(check_one, mutation): mutation for mutation in mutations}
        for number, done in enumerate(as_completed(running), start=1):
            problem, seconds = done.result()
            failures += problem is not None
            verdict = "passed" if problem is None else f"FAILED: {problem}"
            passed = time.monotonic() - start
            left = passed / number * (len(mutations) - number)
            times = f"{seconds:.0f} s; {minutes(passed)} so far, about {minutes(left)} left"
            say(f"[{number}/{len(mutations)}] {running[done].name}: {verdict} ({times})")
    return failures


@contextmanager
def pool_of(copies: Sequence[Copy]) -> Iterator[ThreadPoolExecutor]:
    """Have a thread for each copy; an interruption ends the copies' tests and starts no others."""
    with ThreadPoolExecutor(len(copies)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_all(copies)
            raise


def end_all(copies: Sequence[Copy]) -> None:
    """End the tests of every copy, all at once."""
    with ThreadPoolExecutor(len(copies)) as pool:
        list(pool.map(Copy.end, copies))


def minutes(seconds: float) -> str:
    """Return a time as `4:05`."""
    whole, rest = divmod(round(seconds), 60)
    return f"{whole}:{rest:02}"


def say(text: str) -> None:
    """Show a line at once, also where output is a file."""
    print(text, flush=True)  # noqa: T201 -- a command speaks to a person


def read_part(text: str) -> tuple[int, int]:
    """Read `2/4`.

    Raises:
        ValueError: it is no part of a whole.
    """
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    number, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= parts:
        raise argparse.ArgumentTypeError(f"{text!r} is no part; write K/N with K from 1 to N, such as 2/4")
    return number, parts


def choose(arguments: Sequence[str] | None = None) -> tuple[list[Mutation], int]:
    """Return the mutations that the command line names, and how many run at once."""
    parser = argparse.ArgumentParser(prog="./just mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations of the list; default: all")
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many run at once (%(default)s)")
    parser.add_argument(
        "--part", type=read_part, default=(1, 1), metavar="K/N", help="run the K-th of N parts of the list"
    )
    given = parser.parse_args(arguments)
    known = {mutation.name: mutation for mutation in load()}
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"no such mutation: {', '.join(unknown)}")
    mutations = [known[name] for name in given.names] or list(known.values())
    part = part_of(mutations, *given.part)
    if not part:
        parser.error(f"there are only {len(mutations)} mutations; ask for fewer parts")
    return part, given.jobs


def main() -> int:
    """Check the chosen mutations; the exit code says whether every one shows what it should."""
    mutations, jobs = choose()
    # SIGTERM ends the command in the same way as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    with copies_of_the_tree(min(jobs, len(mutations))) as copies:
        say(f"{len(tests)} tests must pass as the tree is …")
        start = time.monotonic()
        if broken := check_baseline(copies, tests):
            say("\n".join(f"fails without any mutation: {test}" for test in broken))
            return 1
        say(f"they pass ({minutes(time.monotonic() - start)})")
        failures = check_all(copies, mutations)
    say(f"{len(mutations) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("interrupted: every process has ended")
        sys.exit(128 + signal.SIGINT)
