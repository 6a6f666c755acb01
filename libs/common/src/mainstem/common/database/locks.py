"""Advisory locks in three classes, each sorted: the order in which transactions wait (stop 4)."""

from collections.abc import Iterable
from enum import IntEnum
from hashlib import blake2b

from mainstem.common.database.pool import Connection

SHARE = "SELECT pg_advisory_xact_lock_shared($1, 0)"
TAKE = "SELECT pg_advisory_xact_lock($1, 0)"
LOCK = "SELECT pg_advisory_xact_lock($1, key) FROM unnest($2::integer[]) AS key"


class LockClass(IntEnum):
    """The classes, in the order in which they are taken; the numbers are ours alone in this database."""

    RULES = 71_000
    OBJECT = 71_001
    OWNER = 71_002


async def share_rules(connection: Connection) -> None:
    """Keep the active rule set from being switched until the transaction ends."""
    await connection.execute(SHARE, int(LockClass.RULES))


async def take_rules(connection: Connection) -> None:
    """Wait for every transaction that derives, and keep new ones waiting until this one ends."""
    await connection.execute(TAKE, int(LockClass.RULES))


async def lock(connection: Connection, lock_class: LockClass, names: Iterable[tuple[str, ...]]) -> None:
    """Wait for these locks and hold them until the transaction ends.

    Two names with one hash share a lock, which costs a wait and nothing else; the hashes are what is sorted.
    """
    keys = sorted({_key(name) for name in names})
    if keys:
        await connection.execute(LOCK, int(lock_class), keys)


def _key(name: tuple[str, ...]) -> int:
    digest = blake2b("\0".join(name).encode(), digest_size=4).digest()
    return int.from_bytes(digest, signed=True)
