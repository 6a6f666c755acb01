"""One run: every case on the stack of its kind, a line for each, the sum last."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from rich.console import Console
from tests.conformance import guardian
from tests.conformance.case import CaseError, Json, load, no_case
from tests.conformance.ctms import examples, mirror
from tests.conformance.ctms.case import Case, Table
from tests.conformance.ctms.case import read as read_ctms
from tests.conformance.ctms.parts import Plan, plan
from tests.conformance.ctms.runner import Runner
from tests.conformance.stage import SETTINGS, Stage, open_stage
from tests.conformance.verdict import FAILED, PASSED, SKIPPED, Notes, Verdict
from tests.conformance.zed import case as zed_case
from tests.conformance.zed import skips as zed_skips
from tests.conformance.zed.case import ZedCase
from tests.conformance.zed.runner import Runner as ZedRunner
from tests.conformance.zed.shop import Shop, open_shop

from mainstem.sandbox.stack.assembly import Options
from mainstem.sandbox.stack.folder import Stack
from mainstem.sandbox.stack.launcher import Launcher
from mainstem.sandbox.stack.up import Progress, cancel_on_signal


class Stacks:
    """The stacks of a run, each started when the first case needs it; they end with `opened`."""

    def __init__(self, opened: AsyncExitStack) -> None:
        self._opened = opened
        self._progress = Progress(Console(stderr=True, highlight=False))
        self._stages: dict[frozenset[tuple[str, str]], Stage] = {}
        self._shop: Shop | None = None

    async def stage(self, more: Mapping[str, str] | None = None) -> Stage:
        """Return CTMS's stack, which has no key of Stripe's, with these settings more."""
        settings = {**SETTINGS, **(more or {})}
        key = frozenset(settings.items())
        if key not in self._stages:
            launcher = Launcher(Options(durable=False, settings=settings), report=self._progress)
            self._stages[key] = await self._opened.enter_async_context(open_stage(launcher, settings))
        return self._stages[key]

    async def shop(self) -> Shop:
        """Return the stack that sells."""
        if self._shop is None:
            self._shop = await self._opened.enter_async_context(open_shop(self._progress))
        return self._shop

    async def empty(self) -> Stack:
        """Return the stack that sells, emptied, for a story."""
        shop = await self.shop()
        await shop.empty()
        return shop.stage.stack


Play = Callable[[Stacks, Notes], Awaitable[str | None]]


async def run(files: Sequence[Path]) -> bool:
    """Run the cases on stacks of their own, print a line for each, and return whether none failed.

    Raises:
        ServerError: the stack cannot be started.
    """
    plans = [(file, prepare(file)) for file in files]
    counts: Counter[str] = Counter()
    with cancel_on_signal():
        async with AsyncExitStack() as opened:
            stacks = Stacks(opened)
            for file, prepared in plans:
                verdict = await judge(prepared, stacks)
                counts[verdict.outcome] += 1
                _say(file, verdict)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in (PASSED, FAILED, SKIPPED)), flush=True)  # noqa: T201 -- its output
    return not counts[FAILED]


async def judge(prepared: Play | Verdict, stacks: Stacks) -> Verdict:
    """Return the verdict on a prepared case: the one that it has, or that of its run."""
    return prepared if isinstance(prepared, Verdict) else await play(prepared, stacks)


def prepare(file: Path) -> Play | Verdict:
    """Return what runs a file's case, or its verdict where nothing of it runs."""
    try:
        content = load(file)
    except CaseError as error:
        return Verdict(FAILED, str(error))
    return prepare_content(file.stem, content)


def prepare_content(name: str, content: Json) -> Play | Verdict:
    """Return what runs a case, or its verdict where nothing of it runs; `name` is the file's."""
    try:
        if zed_case.is_one(content):
            return _of_zed(name, content)
        if guardian.is_one(content):
            return Verdict(SKIPPED, guardian.reason(content))
        return _of_ctms(name, content)
    except CaseError as error:
        return Verdict(FAILED, str(error))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        return Verdict(FAILED, str(no_case(error)))


def _of_ctms(name: str, content: Json) -> Play | Verdict:
    case = read_ctms(name, content)
    if isinstance(case, Table):
        reason = examples.why_not(case)
        return Verdict(SKIPPED, reason) if reason else partial(_play_table, case)
    mirror.check(case.final.get("stripe_rows") or {})
    planned = plan(case)
    if not planned.steps:
        return Verdict(SKIPPED, f"no part can run: {'; '.join(planned.not_run)}")
    return partial(_play_ctms, case, planned)


def _of_zed(name: str, content: Json) -> Play | Verdict:
    reason = zed_skips.reason(content)
    if reason:
        return Verdict(SKIPPED, reason)
    case = zed_case.read(name, content)
    return partial(_play_zed, case)


def _say(file: Path, verdict: Verdict) -> None:
    text = " ".join(verdict.text.split())
    print(f"{verdict.outcome:<8} {file.stem}{text and f': {text}'}", flush=True)  # noqa: T201 -- the run's output


async def play(case: Play, stacks: Stacks) -> Verdict:
    """Run a case and return its verdict."""
    notes = Notes()
    try:
        difference = await case(stacks, notes)
    except CaseError as error:
        return Verdict(FAILED, str(error))
    except Exception as error:  # noqa: BLE001 -- one case must not keep the others from being run
        return Verdict(FAILED, f"{type(error).__name__}: {error}")
    return Verdict(PASSED, notes.text()) if difference is None else Verdict(FAILED, difference)


async def _play_ctms(case: Case, planned: Plan, stacks: Stacks, notes: Notes) -> str | None:
    stage = await stacks.stage(planned.settings)
    await stage.empty()
    return await Runner(stage, case, planned, notes).run()


async def _play_table(table: Table, stacks: Stacks, notes: Notes) -> str | None:
    stage = await stacks.stage()
    await stage.empty()
    return await examples.run(stage, table, notes)


async def _play_zed(case: ZedCase, stacks: Stacks, notes: Notes) -> str | None:
    return await ZedRunner(await stacks.shop(), stacks.stage, case, notes).run()
