"""Responses of upstreams, and the errors that stand for the lack of one.

Apart from `transport`, so that a process that sends no request loads no HTTP client.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec


class NoAnswerError(Exception):
    """No answer came, or not all of it; whether the service acted is unknown. Quotes nobody's data."""


class NotReachedError(NoAnswerError):
    """The service was not reached: it saw nothing of the request."""


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """Status and content of an upstream's response."""

    status: int
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 200 to 299."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> Any:
        """Return the content as JSON says it.

        Raises:
            ValueError: it is none.
        """
        return msgspec.json.decode(self.content)
