"""Alembic's entry: runs on the connection that `upgrade` opened, in its transaction."""

from typing import Any

from alembic import context
from sqlmodel import SQLModel

from mainstem.common.models import SCHEMAS


def _is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave out other schemas, and the partitions that are made at run time."""
    if kind == "schema":
        return name in SCHEMAS
    return not (kind == "table" and name is not None and "_p_" in name)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    include_schemas=True,
    include_name=_is_ours,
    version_table_schema="mainstem",
)
with context.begin_transaction():
    context.run_migrations()
