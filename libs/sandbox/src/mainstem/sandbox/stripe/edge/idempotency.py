"""Idempotency keys: a request that comes again is answered as it was the first time.

Kept is what was answered once the account had acted, good or bad; a refusal that changed nothing is not.
https://docs.stripe.com/api/idempotent_requests
"""

from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stripe.wire.errors import StripeError

KEPT_SECONDS = 86_400
"""Lifetime of a key, in world time."""

_KIND = "_key"
_LONGEST_KEY = 255
_MOST_KEYS = 10_000
"""Maximum number of keys that are kept; beyond it, the oldest keys are dropped before their time."""


@dataclass(frozen=True)
class StoredResponse:
    """A stored response, and the id of the request that got it."""

    status: int
    body: bytes
    request_id: str


@dataclass
class _Entry:
    number: int
    at: int
    endpoint: str
    parameters: bytes | None = None
    answer: StoredResponse | None = None


class Keys:
    """The keys that were used of late; those that have an answer are kept in the archive with it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._entries: dict[str, _Entry] = {}
        self._count = 0
        for row in archive.rows(_KIND):
            self._entries[row.id] = msgspec.json.decode(row.body, type=_Entry)
            self._count = row.seq

    def begin(self, key: str, endpoint: str, now: int) -> StoredResponse | None:
        """Take the key for a request. Return the answer to give again if it was used before.

        Raises:
            StripeError: the key is too long, in use, or was used for another endpoint.
        """
        self._forget(now)
        if len(key) > _LONGEST_KEY:
            raise StripeError(f"Idempotency keys may be at most {_LONGEST_KEY} characters long.")
        entry = self._entries.get(key)
        if entry is None:
            self._count += 1
            self._entries[key] = _Entry(self._count, now, endpoint)
            return None
        if entry.endpoint != endpoint:
            raise _mismatch(key, "for the same endpoint they were first used for")
        if entry.answer is None:
            raise StripeError(
                f"There is currently another in-progress request using this Idempotent Key: {key}. "
                "Please try again later.",
                status=HTTPStatus.CONFLICT,
                kind="idempotency_error",
                code="idempotency_key_in_use",
            )
        return entry.answer

    def check(self, key: str, parameters: bytes) -> None:
        """Note the parameters that the key stands for.

        Raises:
            StripeError: it was used with others.
        """
        entry = self._entries.get(key)
        if entry is None:
            return  # It grew too old while the body came in.
        if entry.parameters is None:
            entry.parameters = parameters
        elif entry.parameters != parameters:
            raise _mismatch(key, "with the same parameters they were first used with")

    def keep(self, key: str, answer: StoredResponse) -> None:
        """Give this answer from now on."""
        if (entry := self._entries.get(key)) is not None:
            entry.answer = answer
            self._archive.put(_KIND, key, entry, seq=entry.number)

    def release(self, key: str) -> None:
        """Forget a key whose request changed nothing; one that has an answer keeps it."""
        entry = self._entries.get(key)
        if entry is not None and entry.answer is None:
            del self._entries[key]

    def _forget(self, now: int) -> None:
        # Keys stand in the order of their first use, so the first that is young enough ends the search.
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.at > now - KEPT_SECONDS and len(self._entries) <= _MOST_KEYS:
                return
            del self._entries[key]
            self._archive.drop(_KIND, key)


def _mismatch(key: str, words: str) -> StripeError:
    return StripeError(
        f"Keys for idempotent requests can only be used {words}. Try using a key other than '{key}' if you "
        "meant to execute a different request.",
        kind="idempotency_error",
    )
