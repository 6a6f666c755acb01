"""One run: every case on one stack, a line for each, the sum last."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from tests.conformance import skips
from tests.conformance.case import Case, CaseError, read
from tests.conformance.runner import Runner
from tests.conformance.stage import SETTINGS, Stage, open_stage

from mainstem.sandbox.assembly import Options
from mainstem.sandbox.launcher import Launcher
from mainstem.sandbox.up import Progress, cancel_on_signal

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Verdict:
    """How a case went; the text is the first difference, or the reason for which it was not run."""

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
            stage = None
            for file, plan in plans:
                if isinstance(plan, Case):
                    stage = stage or await _open(opened)
                    verdict = await _play(plan, stage)
                else:
                    verdict = plan
                counts[verdict.outcome] += 1
                _say(file, verdict)
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in (PASSED, FAILED, SKIPPED)), flush=True)  # noqa: T201 -- its output
    return not counts[FAILED]


async def _open(opened: AsyncExitStack) -> Stage:
    """Start the run's one stack; it ends with what was given."""
    progress = Progress(Console(stderr=True, highlight=False))
    stack = await opened.enter_async_context(Launcher(Options(settings=SETTINGS), report=progress))
    return await opened.enter_async_context(open_stage(stack))


def _say(file: Path, verdict: Verdict) -> None:
    text = " ".join(verdict.text.split())
    print(f"{verdict.outcome:<8} {file.stem}{text and f': {text}'}", flush=True)  # noqa: T201 -- the run's output


def _plan(file: Path) -> "Case | Verdict":
    """Return the case to run, or what there is to say without running it."""
    try:
        case = read(file)
        reason = skips.reason(case)
    except CaseError as error:
        return Verdict(FAILED, str(error))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        return Verdict(FAILED, f"no case file: {type(error).__name__}: {error}")
    return case if reason is None else Verdict(SKIPPED, reason)


async def _play(case: Case, stage: Stage) -> Verdict:
    try:
        await stage.empty()
        difference = await Runner(stage, case).run()
    except CaseError as error:
        return Verdict(FAILED, str(error))
    except Exception as error:  # noqa: BLE001 -- one case must not keep the others from being run
        return Verdict(FAILED, f"{type(error).__name__}: {error}")
    return Verdict(PASSED) if difference is None else Verdict(FAILED, difference)
