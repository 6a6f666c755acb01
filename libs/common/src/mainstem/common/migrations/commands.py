"""`mainstem database`: the schema, as its owner."""

import asyncio
from typing import Annotated

from cyclopts import App, Parameter

from mainstem.common.migrations.upgrade import upgrade as upgrade_database

app = App(name="database", help="Bring the database to this release's schema.")


@app.command
def upgrade(*, url: Annotated[str, Parameter(env_var="DATABASE_URL")]) -> None:
    """Run the migrations and apply the grants. Safe to repeat, and to run from several pods at once.

    Args:
        url: Postgres, as its owner.
    """
    version = asyncio.run(upgrade_database(url))
    print(f"the database is at schema {version}")  # noqa: T201 -- a command speaks to a person
