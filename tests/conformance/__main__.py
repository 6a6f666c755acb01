"""`./just conformance`: the reference's cases, and others in its format, against a stack of their own."""

import asyncio
from pathlib import Path

from cyclopts import App

from mainstem.sandbox.servers.process import die_with_parent

app = App(name="conformance", help="Run cases against a stack of their own.")


@app.default
def conformance(path: Path, *paths: Path) -> None:
    """Run every case of the folders and files; the exit code says whether none failed.

    Args:
        path: a case file, or a folder of them.
        paths: more of these.
    """
    die_with_parent()
    # Loaded after the line above, since loading takes a while.
    from tests.conformance.case import CaseError, find_files  # noqa: PLC0415 -- see above
    from tests.conformance.run import run  # noqa: PLC0415 -- see above

    try:
        files = find_files([path, *paths])
    except CaseError as error:
        raise SystemExit(str(error)) from None
    if not asyncio.run(run(files)):
        raise SystemExit(1)


if __name__ == "__main__":
    app()
