"""Run of mutants: each case once on a stack, its mutants by the recording of that run where possible."""

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.conformance.case import CaseError, Json, load
from tests.conformance.ctms.case import with_recommended
from tests.conformance.mutants.places import Mutant, mutants
from tests.conformance.mutants.reasons import is_explained
from tests.conformance.mutants.recording import Diverged, Recording
from tests.conformance.run import Play, Stacks, prepare_content
from tests.conformance.verdict import Notes, Verdict
from tests.conformance.zed import case as zed

from mainstem.sandbox.stack.up import cancel_on_signal

TRIED, KILLED, EXPLAINED, UNEXPLAINED = "tried", "killed", "explained", "unexplained"
ON_STACK, BROKEN = "run on a stack", "cases that fail"


@dataclass(frozen=True)
class Result:
    """First difference of a run, None if it passed, and its remarks."""

    difference: str | None
    notes: Notes


class MutantRunner:
    """Runs cases and their mutants.

    Args:
        stacks: stacks of the run.
        most: number of mutants of each case, a fixed random sample; None for all.
    """

    def __init__(self, stacks: Stacks, most: int | None) -> None:
        self._stacks = stacks
        self._most = most
        self.counts: Counter[str] = Counter()

    async def run(self, file: Path) -> None:
        """Run the mutants of a file's case, and print those that pass."""
        content = load(file)
        prepared = prepare_content(file.stem, content)
        if isinstance(prepared, Verdict):
            _print(f"{prepared.outcome} {file.stem}: {prepared.text}")
            return
        if not zed.is_one(content) and "steps" in content:
            content = with_recommended(content)
        recording = Recording()
        case = await _run(prepared, recording.recorded(self._stacks))
        if case.difference is not None:
            self.counts[BROKEN] += 1
            _print(f"failed {file.stem}: {case.difference}")
            return
        found = Counter[str]()
        for mutant in self._sample(content):
            found.update([TRIED, await self._fate(file.stem, mutant, recording, case)])
        self.counts.update(found)
        _print(f"{file.stem}: {_summary(found)}")

    def _sample(self, content: Json) -> Sequence[Mutant]:
        found = [*mutants(content)]
        return found if self._most is None else Random(0).sample(found, min(self._most, len(found)))

    async def _fate(self, name: str, mutant: Mutant, recording: Recording, case: Result) -> str:
        prepared = prepare_content(name, mutant.content)
        if isinstance(prepared, Verdict):
            return KILLED
        try:
            result = await _run(prepared, recording.replayed(self._stacks))
        except Diverged:
            self.counts[ON_STACK] += 1
            result = await _run(prepared, self._stacks)
        if result.difference is not None:
            return KILLED
        fate = EXPLAINED if is_explained(mutant, result.notes, case.notes) else UNEXPLAINED
        _print(f"  {fate}: {mutant}")
        return fate


async def run(files: Sequence[Path], most: int | None) -> bool:
    """Run the mutants of all cases, and return whether each mutant that passed is explained."""
    with cancel_on_signal():
        async with AsyncExitStack() as opened:
            runner = MutantRunner(Stacks(opened), most)
            for file in files:
                await runner.run(file)
    _print(_summary(runner.counts))
    return not runner.counts[UNEXPLAINED] and not runner.counts[BROKEN]


async def _run(play: Play, stacks: Stacks) -> Result:
    notes = Notes()
    try:
        return Result(await play(stacks, notes), notes)
    except CaseError as error:
        return Result(str(error), notes)
    except Exception as error:  # noqa: BLE001 -- as the runner of cases does
        return Result(f"{type(error).__name__}: {error}", notes)


def _summary(counts: Counter[str]) -> str:
    names = (TRIED, KILLED, EXPLAINED, UNEXPLAINED, ON_STACK, BROKEN)
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name] or name == UNEXPLAINED)


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- the run's output
