"""Cache of API clients: entries are used for ten seconds at most."""

import asyncio
import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta

import structlog

from mainstem.common.database.pool import DATABASE_ERRORS, Transactions
from mainstem.common.errors import UnavailableError
from mainstem.gateway.clients import storage as clients
from mainstem.gateway.clients.storage import USE_SECONDS, ApiClient, ClientSecret

BELIEVED_SECONDS = 10.0
REMEMBERED = 10_000
_USE = timedelta(seconds=USE_SECONDS)

log = structlog.get_logger()


class Directory:
    """Finds clients; those who ask for one at the same time share one look."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._looks: OrderedDict[str, tuple[float, asyncio.Task[ApiClient | None]]] = OrderedDict()
        self._notes: dict[str, asyncio.Task[None]] = {}

    async def find(self, client_id: str) -> ApiClient | None:
        """Return the client as it was ten seconds ago or later, or None.

        Raises:
            UnavailableError: the database does not answer.
        """
        looked_at, look = self._looks.get(client_id, (0.0, None))
        if look is None or time.monotonic() - looked_at > BELIEVED_SECONDS or _has_failed(look):
            look = asyncio.create_task(self.read(client_id))
            self._remember(client_id, look)
        # Shielded: a caller that leaves must not end the look of the others.
        return await asyncio.shield(look)

    async def read(self, client_id: str) -> ApiClient | None:
        """Return the client as it is now, or None.

        Raises:
            UnavailableError: the database does not answer.
        """
        try:
            async with self._database.transaction() as connection:
                return await clients.find(connection, client_id)
        except DATABASE_ERRORS as error:
            log.warning("api_client.read_failed", error=type(error).__name__)
            raise UnavailableError("the clients could not be read") from error

    def note_use(self, client_id: str, secret: ClientSecret) -> None:
        """Store soon that a secret was used; at most once a minute, and a write that fails is lost."""
        now, key = datetime.now(UTC), secret.secret_hash
        is_noted = secret.last_used_at is not None and now - secret.last_used_at < _USE
        if is_noted or key in self._notes:
            return
        self._notes[key] = asyncio.create_task(self._note_use(client_id, key, now))
        self._notes[key].add_done_callback(lambda _: self._notes.pop(key))

    async def aclose(self) -> None:
        """Finish the writes that are under way."""
        await asyncio.gather(*self._notes.values())

    async def _note_use(self, client_id: str, secret_hash: str, at: datetime) -> None:
        try:
            async with self._database.transaction() as connection:
                await clients.note_use(connection, client_id, secret_hash, at)
        except DATABASE_ERRORS as error:
            log.warning("api_client.note_failed", error=type(error).__name__)

    def _remember(self, client_id: str, look: asyncio.Task[ApiClient | None]) -> None:
        self._looks.pop(client_id, None)
        while len(self._looks) >= REMEMBERED:
            self._looks.popitem(last=False)
        self._looks[client_id] = (time.monotonic(), look)


def _has_failed(look: asyncio.Task[ApiClient | None]) -> bool:
    return look.done() and (look.cancelled() or look.exception() is not None)
