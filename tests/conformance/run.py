"""One run: every case on the stack of its kind, a line for each, the sum last."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tests.conformance import skips
from tests.conformance.case import Case, CaseError, load, read
from tests.conformance.runner import Runner
from tests.conformance.stage import SETTINGS, Stage, open_stage
from tests.conformance.zed import case as zed_case
from tests.conformance.zed import skips as zed_skips
from tests.conformance.zed.case import ZedCase
from tests.conformance.zed.runner import Runner as ZedRunner
from tests.conformance.zed.shop import Shop, open_shop

from mainstem.sandbox.assembly import Options
from mainstem.sandbox.launcher import Launcher
from mainstem.sandbox.up import Progress, cancel_on_signal

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Verdict:
    """How a case went; the text is the first difference, why it was not run, or how it deviates as it may."""

    outcome: str
    text: str = ""


async def run(files: Sequence[Path]) -> bool:
    """Run the cases, say of each how it went, and return whether none failed.

    Raises:
        ServerError: the stack cannot be started.
    """
    plans = [(file, _plan(file)) for file in files]
    counts: Counter[str] = Counter()
    with cancel_on_signal():
        async with AsyncExitStack() as opened:
            stacks = Stacks(opened)
            for file, plan in plans:
                verdict = plan if isinstance(plan, Verdict) else await _play(plan, stacks)
                counts[verdict.outcome] += 1
                _say(file, verdict)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in (PASSED, FAILED, SKIPPED)), flush=True)  # noqa: T201 -- its output
    return not counts[FAILED]


class Stacks:
    """The stacks of a run, each started when the first case needs it; they end with what was given."""

    def __init__(self, opened: AsyncExitStack) -> None:
        self._opened = opened
        self._progress = Progress(Console(stderr=True, highlight=False))
        self._stage: Stage | None = None
        self._shop: Shop | None = None

    async def stage(self) -> Stage:
        """Return the one without a key of Stripe's, on which CTMS's cases run."""
        if self._stage is None:
            launcher = Launcher(Options(settings=SETTINGS), report=self._progress)
            stack = await self._opened.enter_async_context(launcher)
            self._stage = await self._opened.enter_async_context(open_stage(stack))
        return self._stage

    async def shop(self) -> Shop:
        """Return the one that sells."""
        if self._shop is None:
            self._shop = await self._opened.enter_async_context(open_shop(self._progress))
        return self._shop


def _say(file: Path, verdict: Verdict) -> None:
    text = " ".join(verdict.text.split())
    print(f"{verdict.outcome:<8} {file.stem}{text and f': {text}'}", flush=True)  # noqa: T201 -- the run's output


def _plan(file: Path) -> "Case | ZedCase | Verdict":
    """Return the case to run, or what there is to say without running it."""
    try:
        content = load(file)
        if zed_case.is_one(content):
            reason = zed_skips.reason(content)
            return Verdict(SKIPPED, reason) if reason else zed_case.read(file.stem, content)
        case = read(file.stem, content)
        reason = skips.reason(case)
    except CaseError as error:
        return Verdict(FAILED, str(error))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        return Verdict(FAILED, f"no case file: {type(error).__name__}: {error}")
    return case if reason is None else Verdict(SKIPPED, reason)


async def _play(case: "Case | ZedCase", stacks: Stacks) -> Verdict:
    try:
        if isinstance(case, ZedCase):
            return await _play_zed(case, stacks)
        stage = await stacks.stage()
        await stage.empty()
        difference = await Runner(stage, case).run()
    except CaseError as error:
        return Verdict(FAILED, str(error))
    except Exception as error:  # noqa: BLE001 -- one case must not keep the others from being run
        return Verdict(FAILED, f"{type(error).__name__}: {error}")
    return Verdict(PASSED) if difference is None else Verdict(FAILED, difference)


async def _play_zed(case: ZedCase, stacks: Stacks) -> Verdict:
    runner = ZedRunner(await stacks.shop(), stacks.stage, case)
    difference = await runner.run()
    if difference is not None:
        return Verdict(FAILED, difference)
    documented = "; ".join(sorted({*runner.deviations}))
    return Verdict(PASSED, documented and f"as documented {documented}")
