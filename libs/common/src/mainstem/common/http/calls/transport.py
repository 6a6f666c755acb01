"""HTTP transport: one request and its response, or why none came; the only importer of pyreqwest."""

from collections.abc import Mapping
from datetime import timedelta

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PoolTimeoutError, PyreqwestError, RequestError

from mainstem.common.http.calls.upstream import NoAnswerError, NotReachedError, UpstreamResponse

IDLE_SECONDS = 3.0
"""Seconds that a connection is kept for the next request: servers close theirs after five or more."""

NO_CONNECTION = "client error (Connect)"
"""Message among the causes of an error if there was no connection.

The class does not tell: pyreqwest calls every timeout one of connecting, and a connection lost under a
request an error of connecting too.
"""


class HttpTransport:
    """Connections to upstreams, made when they are first needed."""

    def __init__(self, timeout_seconds: float, connections: int) -> None:
        seconds = timedelta(seconds=timeout_seconds)
        builder = (
            ClientBuilder()
            .timeout(seconds)
            .connect_timeout(seconds)
            .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
            .max_connections(connections)
            .user_agent("mainstem")
            .follow_redirects(enable=False)
        )
        self._http = builder.build()

    async def send(
        self, method: str, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> UpstreamResponse:
        """Send a request and return its answer, whatever the status.

        Raises:
            NotReachedError: the request never left.
            NoAnswerError: no answer came; whether the service acted is unknown.
        """
        builder = self._http.request(method, url).headers(headers)
        try:
            response = await (builder if form is None else builder.form(form)).build().send()
            return UpstreamResponse(response.status, bytes(await response.bytes()))
        except PyreqwestError as error:
            # Its text may quote what was sent.
            kind = NotReachedError if _is_before_sending(error) else NoAnswerError
            raise kind(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


def _is_before_sending(error: PyreqwestError) -> bool:
    """Whether it is sure that the service saw nothing of the request; in doubt it is not."""
    causes = (error.details or {}).get("causes") if isinstance(error, RequestError) else None
    is_unconnected = any(cause["message"] == NO_CONNECTION for cause in causes or ())
    return is_unconnected or isinstance(error, PoolTimeoutError)
