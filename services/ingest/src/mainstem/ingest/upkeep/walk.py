"""Walk after a switch of the rule set: every owner is derived again, in batches, by whichever process may.

The cursor is stored in the transaction of each batch: a walk that is killed goes on from its last batch.
An owner that appears behind the cursor was derived by the active set already, as every commit does.
"""

from dataclasses import dataclass

import structlog

from mainstem.common.clock import Clock
from mainstem.common.database.locks import LockClass, lock
from mainstem.common.database.pool import Connection, Transactions
from mainstem.common.owner import Link
from mainstem.common.queue.outbox import PRODUCT_SUBSCRIPTION_CHANGED, Announcement
from mainstem.common.queue.outbox import insert as announce
from mainstem.common.telemetry import metrics
from mainstem.ingest.subscriptions.products import rederive
from mainstem.ingest.subscriptions.storage import Activation, find_active, read_active

BATCH = 200

# A locked row is another walker's: its batch is under way.
CLAIM = """
SELECT id, walked_kind, walked_value FROM subscription.rule_activation
WHERE id = (SELECT max(id) FROM subscription.rule_activation) AND completed_at IS NULL
FOR UPDATE SKIP LOCKED
"""
ADVANCE = "UPDATE subscription.rule_activation SET walked_kind = $2, walked_value = $3 WHERE id = $1"
COMPLETE = "UPDATE subscription.rule_activation SET completed_at = $2 WHERE id = $1"

# From owner to owner by the indexes, and never over all of them.
OWNERS = """
WITH RECURSIVE walk (kind, value, step) AS (
  SELECT $1::varchar, $2::varchar, 0
  UNION ALL
  SELECT next.kind, next.value, step + 1 FROM walk
  CROSS JOIN LATERAL (
    SELECT kind, value FROM (
      (SELECT kind, value FROM subscription.owner
       WHERE (kind, value) > (walk.kind, walk.value) ORDER BY kind, value LIMIT 1)
      UNION ALL
      (SELECT owner_kind, owner_value FROM subscription.product_subscription
       WHERE (owner_kind, owner_value) > (walk.kind, walk.value) ORDER BY owner_kind, owner_value LIMIT 1)
    ) AS either ORDER BY kind, value LIMIT 1
  ) AS next
  WHERE step < $3
)
SELECT kind, value FROM walk WHERE step > 0 ORDER BY step
"""
"""An owner of another provider has nothing to derive, and is walked over too."""
COUNT = """
SELECT count(*) FROM (
  SELECT kind, value FROM subscription.owner
  UNION SELECT owner_kind, owner_value FROM subscription.product_subscription
) AS owner
"""

log = structlog.get_logger()
_meter = metrics.meter()
active_sets = _meter.create_gauge(
    "mainstem_rules_active", description="1 for the active rule set, by its name in `rules`."
)
unfinished = _meter.create_gauge(
    "mainstem_rules_walk_unfinished",
    description="1 while owners are left to be derived again by the active rule set, else 0.",
)


@dataclass(frozen=True, slots=True)
class WalkStep:
    """One batch of a walk: owners derived again, those whose products changed, and whether none is left.

    `is_over` is also true if no walk is unfinished, and `is_held` if another process has the walk.
    """

    owners: int = 0
    changed: int = 0
    is_over: bool = False
    is_held: bool = False


class Walk:
    """Walks over all owners of a provider."""

    def __init__(self, provider: str, database: Transactions, clock: Clock, batch: int = BATCH) -> None:
        self._provider = provider
        self._database = database
        self._clock = clock
        self._name: str | None = None
        self.batch = batch

    async def work(self) -> int:
        """Derive the next owners of an unfinished walk; return how many. A drain of the worker."""
        async with self._database.transaction() as connection:
            active = await find_active(connection)
        if active is None:
            return 0
        self._measure(active)
        if active.completed_at is not None:
            return 0
        step = await self.step()
        if step.is_over:
            log.info("rules.walked", rules=active.name)
        return step.owners

    def _measure(self, active: Activation) -> None:
        if self._name != active.name:
            if self._name is not None:
                active_sets.set(0, {"rules": self._name})
            active_sets.set(1, {"rules": active.name})
            log.info("rules.switched", rules=active.name, digest=active.digest, former=self._name)
        self._name = active.name
        unfinished.set(int(active.completed_at is None))

    async def step(self) -> WalkStep:
        """Derive the next owners of an unfinished walk, in one transaction.

        Raises:
            RulesUnusableError: this release cannot derive by the active set.
        """
        async with self._database.transaction() as connection:
            rules = await read_active(connection)
            cursor = await connection.fetchrow(CLAIM)
            if cursor is None:
                active = await find_active(connection)
                is_over = active is None or active.completed_at is not None
                return WalkStep(is_over=is_over, is_held=not is_over)
            after = Link(cursor["walked_kind"] or "", cursor["walked_value"] or "")
            links = await list_owners(connection, after, self.batch)
            if not links:
                await connection.execute(COMPLETE, cursor["id"], self._clock.now())
                return WalkStep(is_over=True)
            await lock(connection, LockClass.OWNER, ((self._provider, *link) for link in links))
            now = self._clock.now()
            changed = await rederive(connection, self._provider, links, rules, now)
            announcements = [
                Announcement(PRODUCT_SUBSCRIPTION_CHANGED, f"{link.kind}:{link.value}", None)
                for link in sorted(changed)
            ]
            await announce(connection, announcements, now)
            await connection.execute(ADVANCE, cursor["id"], *links[-1])
            return WalkStep(owners=len(links), changed=len(changed))


async def list_owners(connection: Connection, after: Link, limit: int) -> list[Link]:
    """Return the next owners that have customers or products, in the order of (kind, value)."""
    rows = await connection.fetch(OWNERS, *after, limit)
    return [Link(row["kind"], row["value"]) for row in rows]


async def count_owners(connection: Connection) -> int:
    """Return how many owners have customers or products."""
    count: int = await connection.fetchval(COUNT)
    return count
