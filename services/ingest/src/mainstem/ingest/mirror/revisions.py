"""Revisions, the history: every distinct version of an object that was seen, once (stop 4)."""

from collections.abc import Iterable
from datetime import datetime

from mainstem.common.database.pool import Connection
from mainstem.ingest.providers.protocol import Revision

INSERT = """
INSERT INTO stripe.revision
  (recorded_at, account, object_type, object_id, valid_from, content_hash, event, body)
SELECT $1, new.* FROM unnest(
  $2::varchar[], $3::varchar[], $4::varchar[], $5::timestamptz[], $6::bytea[], $7::bigint[], $8::bytea[]
) AS new (account, object_type, object_id, valid_from, content_hash, event, body)
WHERE NOT EXISTS (
  SELECT FROM stripe.revision AS old
  WHERE old.account = new.account AND old.object_id = new.object_id AND old.valid_from = new.valid_from
    AND old.content_hash = new.content_hash
)
"""


async def write(connection: Connection, revisions: Iterable[Revision], now: datetime) -> None:
    """Store the revisions that are not there yet; of equal ones the first. Safe to repeat.

    The caller holds the locks of their objects: the table is partitioned and cannot be unique by itself.
    """
    distinct: dict[tuple[str, str, datetime, bytes], Revision] = {}
    for one in revisions:
        distinct.setdefault((one.account, one.object_id, one.valid_from, one.content_hash), one)
    if distinct:
        columns = [[getattr(one, name) for one in distinct.values()] for name in Revision.__slots__]
        await connection.execute(INSERT, now, *columns)
