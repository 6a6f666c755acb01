"""Strict parsing of HTTP/1.1 requests: uvicorn's httptools protocol, less what it lets through.

A body behind `Upgrade` becomes a request of its own there (httptools#124), trailers become headers, and
heads have no bounds. The class overrides uvicorn's internals, so both are pinned exactly (ADR 0010).
"""

import asyncio
from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from mainstem.common.http.connections import refusals
from mainstem.common.http.connections.head import (
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    SINGLE,
    TRANSFER_ENCODING,
    find_fault,
    without_upgrade,
)
from mainstem.common.http.connections.limits import HEAD_BYTES, HEADERS, TARGET_BYTES, TRAILER_BYTES
from mainstem.common.http.connections.refusals import Refusal

PART_BYTES = 16 * 1024
PIPELINED = 64
"""Requests that wait on one connection for the answers before theirs; a packet may hold thousands."""
LINGER_BYTES = 256 * 1024
"""Of what a client sends after its answer; closing at once could reset an answer that it has not read."""
CHUNK_BYTES = 24
"""Bytes of a chunk's own framing: its size line and the line end behind it."""


class Phase(Enum):
    """Part of a request that the parser is in."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    CLOSING = auto()
    """Nothing is read any more: the connection is about to close."""


IDLE, HEAD, BODY, CLOSING = Phase
"""Looked up a dozen times a request; as attributes of the enumeration each costs twice as much."""


class RefusedError(Exception):
    """Raised inside a parser callback to end the parsing; the connection keeps the refusal."""


class StrictProtocol(HttpToolsProtocol, ABC):
    """Parser of one connection: each request that reaches the app is whole and has one meaning."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._phase = IDLE
        self._refusal: Refusal | None = None
        self._replay: bytes | None = None
        self._single: dict[bytes, bytes] = {}
        self._lines_bytes = 0
        self._read_bytes = 0
        self._trailer_bytes = 0
        self._dropped_bytes = 0

    @abstractmethod
    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be served, and close."""

    @abstractmethod
    def _end_after_answers(self, refusal: Refusal | None = None) -> None:
        """Read nothing more; after the answers that are due, send a refusal if there is one, and close."""

    def _parse(self, data: bytes) -> None:
        """Parse what came, in parts so small that bounds are checked in between."""
        if len(data) <= PART_BYTES:
            self._parse_part(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), PART_BYTES):
            if self._phase is not CLOSING:
                self._parse_part(view[start : start + PART_BYTES])

    def _parse_part(self, data: bytes | memoryview) -> None:
        """Parse a part; refuse what is too long and has not ended, which no callback sees."""
        self._read_bytes += len(data)
        self._feed(data)
        # What the framing of chunks did not take is no credit for what comes later.
        self._read_bytes = max(self._read_bytes, 0)
        if self._phase is HEAD and self._read_bytes > HEAD_BYTES:
            self._refuse(refusals.LARGE_HEAD)
        elif self._phase is BODY and self._read_bytes > TRAILER_BYTES + CHUNK_BYTES:
            # A body with a length takes nothing besides itself, so this is a chunked one.
            self._refuse(refusals.LARGE_FRAMING)

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            if self._replay is None:
                # No body was announced: the request is answered, and what follows it is not read.
                self._end_after_answers()
            else:
                self._feed_again(self._replay + bytes(data[error.args[0] :]))
        except httptools.HttpParserError:
            self._refuse(self._refusal or refusals.MALFORMED)

    def _feed_again(self, data: bytes) -> None:
        """Parse a request that offers an upgrade as if it did not; the connection ends with its answer."""
        self._replay = None
        self.parser = httptools.HttpRequestParser(self)
        self._feed(data)

    def _because(self, refusal: Refusal) -> RefusedError:
        self._refusal = refusal
        return RefusedError(refusal.reason)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._phase = HEAD
        self._single = {}
        self._lines_bytes = self._read_bytes = self._trailer_bytes = self._dropped_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        super().on_url(url)
        if len(self.url) > TARGET_BYTES:
            raise self._because(refusals.LONG_TARGET)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line; drop a trailer line."""
        size = len(name) + len(value) + 4
        if self._phase is BODY:
            self._trailer_bytes += size
            if self._trailer_bytes > TRAILER_BYTES:
                raise self._because(refusals.LARGE_FRAMING)
            return
        self._lines_bytes += size
        lowered, value = name.lower(), value.strip(b" \t")
        self.headers.append((lowered, value))
        if self._lines_bytes > HEAD_BYTES or len(self.headers) > HEADERS:
            raise self._because(refusals.LARGE_HEAD)
        if lowered in SINGLE:
            if lowered in self._single:
                raise self._because(refusals.NO_HOST if lowered == HOST else refusals.REPEATED)
            self._single[lowered] = value

    def on_headers_complete(self) -> None:
        """Hand the request to the app if its head has one meaning."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if (refusal := find_fault(version, method, self.url, self._single)) is not None:
            raise self._because(refusal)
        if self.parser.should_upgrade() and self._single.keys() & {CONTENT_LENGTH, TRANSFER_ENCODING}:
            self._replay = without_upgrade(version, method, self.url, self.headers)
            return
        if len(self.pipeline) >= PIPELINED:
            raise self._because(refusals.PIPELINE)
        self._read_bytes = 0
        self.expect_100_continue = EXPECT in self._single
        super().on_headers_complete()
        # Only now: what uvicorn refuses there, a path beyond ASCII, has no app that waits for a body.
        self._phase = BODY

    def on_body(self, body: bytes) -> None:
        """Take a part of the body; what comes after the answer is counted and dropped."""
        self._read_bytes -= len(body)
        if self.cycle.response_complete:
            self._dropped_bytes += len(body)
            if self._dropped_bytes > LINGER_BYTES:
                raise self._because(refusals.UNREAD_BODY)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        """Allow for the framing of one more chunk."""
        self._read_bytes -= CHUNK_BYTES

    def on_message_complete(self) -> None:
        """End a request."""
        if self._replay is None:
            self._phase = IDLE
            super().on_message_complete()
            if self.cycle.keep_alive and not self.parser.should_keep_alive():
                # A trailer says `Connection: close`: the parser drops whatever follows.
                self._end_after_answers()
