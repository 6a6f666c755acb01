"""`python -m tests.conformance.mutants PATH…`: changes each expectation of cases, lists changes that pass.

Every value, entry and member that a case expects is changed or removed, one at a time, and each
mutant is run.
A mutant that passes is explained if its verdict names the changed place as not compared or not run,
or if its verdict differs from the case's. Any other mutant that passes is a hole of the runner.
"""

import asyncio
from pathlib import Path

from cyclopts import App

from mainstem.sandbox.servers.process import die_with_parent

app = App(name="conformance-mutants", help="Change each expectation of cases; list the changes that pass.")


@app.default
def main(path: Path, *paths: Path, most: int | None = None) -> None:
    """Run the mutants of every case; the exit code says whether each that passes is explained.

    Args:
        path: a case file, or a folder of them.
        paths: more of these.
        most: mutants of each case; all by default.
    """
    die_with_parent()
    # Loaded after the line above, since loading takes a while.
    from tests.conformance.case import CaseError, find_files  # noqa: PLC0415 -- see above
    from tests.conformance.mutants.run import run  # noqa: PLC0415 -- see above

    try:
        files = find_files([path, *paths])
    except CaseError as error:
        raise SystemExit(str(error)) from None
    if not asyncio.run(run(files, most)):
        raise SystemExit(1)


if __name__ == "__main__":
    app()
