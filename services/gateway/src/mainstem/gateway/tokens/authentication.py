"""Authentication of clients by secret: at once by a proof, else by Argon2, in turn and within limits."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from mainstem.common.errors import TooManyRequestsError
from mainstem.gateway.clients.directory import Directory
from mainstem.gateway.clients.secrets import Comparison
from mainstem.gateway.clients.storage import ApiClient, ClientSecret
from mainstem.gateway.tokens.attempts import Attempts, too_many_attempts
from mainstem.gateway.tokens.credentials import Credentials, CredentialsError
from mainstem.gateway.tokens.proofs import Proofs
from mainstem.gateway.tokens.turns import LineFullError, Turns

PATIENCE_SECONDS = 20.0
"""Most seconds that an attempt waits for its turn."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """Credentials, and the address that they came from, as `attempts.network_of` returns it."""

    credentials: Credentials
    address: str


class Authentication:
    """Verifies secrets. Failed attempts of others neither refuse nor delay a client with a proof."""

    def __init__(
        self,
        directory: Directory,
        comparison: Comparison,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._comparison = comparison
        self._proofs = Proofs(monotonic)
        self._attempts = Attempts(monotonic)
        self._turns = Turns()

    async def authenticate(self, attempt: LoginAttempt) -> ApiClient:
        """Return the client whose secret it is.

        Raises:
            CredentialsError: the secret is wrong, or the client unknown or disabled.
            TooManyRequestsError: too many attempts failed before, or too many wait.
        """
        credentials = attempt.credentials
        try:
            client, secret = await self._recognise(credentials) or await self._verify(attempt)
        except TooManyRequestsError:
            log.info("token.refused", token_fail="Too many attempts", token_creds_from=credentials.source)  # noqa: S106 -- the reason
            raise
        self._proofs.keep_place(client.client_id, attempt.address)
        self._directory.note_use(client.client_id, secret)
        return client

    async def _recognise(self, credentials: Credentials) -> tuple[ApiClient, ClientSecret] | None:
        if self._proofs.find(credentials.client_id, credentials.client_secret) is None:
            return None
        client = await self._directory.read(credentials.client_id)
        secret = self._proven(client, credentials)
        return None if client is None or secret is None else (client, secret)

    def _proven(self, client: ApiClient | None, credentials: Credentials) -> ClientSecret | None:
        """Return the live secret of which there is a proof, or None."""
        secret_hash = self._proofs.find(credentials.client_id, credentials.client_secret)
        return _secret_of(client, secret_hash)

    async def _verify(self, attempt: LoginAttempt) -> tuple[ApiClient, ClientSecret]:
        credentials, address = attempt.credentials, attempt.address
        has_place = self._proofs.has_place(credentials.client_id, address)
        # Before anything else, so that an attempt over the limit takes no turn.
        self._attempts.check(address, credentials.client_id, has_place=has_place)
        line = (address, credentials.client_id) if has_place else address
        try:
            async with (
                asyncio.timeout(PATIENCE_SECONDS) as patience,
                self._turns.turn(line, is_next=has_place),
            ):
                patience.reschedule(None)
                self._attempts.check(address, credentials.client_id, has_place=has_place)
                client = await self._directory.read(credentials.client_id)
                secret = self._proven(client, credentials) or await self._compare(client, credentials)
                if client is None or secret is None:
                    self._attempts.record(address, credentials.client_id)
                    raise _refused(client, credentials)
        except (LineFullError, TimeoutError):
            raise too_many_attempts(1.0) from None
        return client, secret

    async def _compare(self, client: ApiClient | None, credentials: Credentials) -> ClientSecret | None:
        # Compared in every case, so that the time an answer takes does not tell which clients there are.
        secrets = client.secrets if client is not None and client.enabled else ()
        hashes = [secret.secret_hash for secret in secrets]
        secret_hash = await self._comparison.find(credentials.client_secret, hashes)
        if secret_hash is not None:
            self._proofs.put(credentials.client_id, credentials.client_secret, secret_hash)
        return _secret_of(client, secret_hash)


def _secret_of(client: ApiClient | None, secret_hash: str | None) -> ClientSecret | None:
    """Return the live secret of an enabled client that has this hash, or None."""
    if client is None or not client.enabled:
        return None
    return next((secret for secret in client.secrets if secret.secret_hash == secret_hash), None)


def _refused(client: ApiClient | None, credentials: Credentials) -> CredentialsError:
    if client is None:
        reason, fields = "No client record", {}
    else:
        reason = "Bad credentials" if client.enabled else "Client disabled"
        fields = {"client_id": client.client_id}
    log.info("token.refused", token_fail=reason, token_creds_from=credentials.source, **fields)
    return CredentialsError()
