"""Answer of an upstream as it arrives, in packets cut anywhere: framing, without any I/O.

httptools parses heads and chunks. The end of the body, and the reuse of the connection, are decided here.
"""

import asyncio

import httptools

from mainstem.gateway.proxy.headers import Field

HEAD_BYTES = 64 * 1024
"""Limit of an answer's head, and of the bytes between two pieces of a chunked body."""

HEAD_END = b"\r\n\r\n"
START = b"HTTP/1."
SWITCHING_PROTOCOLS = 101
INFORMATIONAL = range(100, 200)
FINAL = range(200, 600)
NO_BODY = frozenset({204, 304})
PARSER_ERRORS = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class UpstreamError(Exception):
    """An upstream gave no whole answer."""


class MalformedAnswerError(UpstreamError):
    """The answer is not HTTP/1.1."""


class ConnectionEndedError(UpstreamError):
    """The connection ended before the answer did."""


class IncomingAnswer:
    """One answer: its head, then its body in parts, for one reader."""

    def __init__(self, method: str) -> None:
        self.status = 0
        self.fields: list[Field] = []
        self.length: int | None = None
        """Bytes of the body, or of the body that HEAD leaves out; None if unknown."""
        self.has_begun = False
        """Whether any byte of it came."""
        self.has_head = False
        self.is_whole = False
        self.is_clean = False
        """Whether the answer lets its connection be used again: nothing came behind it."""
        self.buffered = 0
        self._method = method
        self._unparsed = b""
        self._parts: list[bytes] = []
        self._parser: httptools.HttpResponseParser
        self._is_kept = False
        self._is_chunked = False
        self._left: int | None = None
        self._unframed = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Take the next packet. A packet that cannot be parsed fails the answer."""
        self.has_begun = True
        try:
            if not self.has_head:
                data = self._feed_head(self._unparsed + data)
            if data:
                self._feed_body(data)
        except (*PARSER_ERRORS, MalformedAnswerError):
            self.fail(MalformedAnswerError())
        self._wake()

    def end(self) -> None:
        """Note an orderly end of the connection, which ends an answer without a length."""
        if self.has_head and not self._is_chunked and self._left is None:
            self.is_whole = True
        self.fail(ConnectionEndedError())

    def fail(self, error: Exception) -> None:
        """Give up an answer that is not whole; its reader gets the error."""
        self.is_clean = False
        if not self.is_whole and self._error is None:
            self._error = error
        self._wake()

    async def head(self) -> None:
        """Wait for the head.

        Raises:
            UpstreamError: it does not come, or whatever the answer failed with.
        """
        while not self.has_head:
            await self._wait()

    async def read(self) -> bytes:
        """Return the next part of the body; no bytes at its end.

        Raises:
            UpstreamError: the end does not come, or whatever the answer failed with.
        """
        while not self._parts and not self.is_whole:
            await self._wait()
        part = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self.buffered = 0
        return part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of a head; fields of trailers are dropped."""
        if not self.has_head:
            self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take what the parser knows only now: it forgets it at the end of the message."""
        if not self.has_head:
            self.status = self._parser.get_status_code()
            self._is_kept = self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        """Take a part of a chunked body."""
        # The parser goes on with what stands behind the answer in the same packet.
        if not self.is_whole:
            self._unframed = 0
            self._take(part)

    def on_message_complete(self) -> None:
        """Note the end of a chunked body, or of a head, whose body is not the parser's to frame."""
        self.is_whole = self.has_head

    def on_message_begin(self) -> None:
        """Note bytes behind a whole answer."""
        self.is_clean = self.is_clean and not self.is_whole

    def _feed_head(self, data: bytes) -> bytes:
        """Parse heads up to the final one, and return the bytes behind it."""
        while not self.has_head:
            end = data.find(HEAD_END, 0, HEAD_BYTES)
            if not data.startswith(START[: len(data)]) or (end < 0 and len(data) >= HEAD_BYTES):
                raise MalformedAnswerError
            if end < 0:
                self._unparsed = data
                return b""
            end += len(HEAD_END)
            self._parse_head(data[:end])
            data = data[end:]
        return data

    def _parse_head(self, head: bytes) -> None:
        self.fields.clear()
        self.status = 0
        self._parser = httptools.HttpResponseParser(self)
        # Without this the parser refuses an answer with a length and chunks, whose length is dropped instead.
        self._parser.set_dangerous_leniencies(lenient_chunked_length=True)
        self._parser.feed_data(head)
        if self.status in FINAL:
            self._frame(is_http_1_1=head.startswith(b"HTTP/1.1"))
        elif self.status not in INFORMATIONAL or self.status == SWITCHING_PROTOCOLS:
            raise MalformedAnswerError

    def _frame(self, *, is_http_1_1: bool) -> None:
        """Decide how the body ends (RFC 9112, 6.3)."""
        codings = [value.strip().lower() for name, value in self.fields if name == b"transfer-encoding"]
        lengths = [int(value) for name, value in self.fields if name == b"content-length"]
        if lengths and not codings:
            self.length = lengths[0]
        if self._method == "HEAD" or self.status in NO_BODY:
            self._left = 0
        elif codings:
            if codings != [b"chunked"]:
                raise MalformedAnswerError
            self._is_chunked = True
        else:
            self._left = self.length
        self.is_whole = self._left == 0
        self.is_clean = self._is_kept and is_http_1_1 and not (codings and lengths)
        self.has_head = True

    def _feed_body(self, data: bytes) -> None:
        if self.is_whole:
            self.is_clean = False
        elif self._is_chunked:
            self._feed_chunks(data)
        elif self._left is None:
            self._take(data)
        else:
            part = data[: self._left]
            self._take(part)
            self._left -= len(part)
            self.is_whole = self._left == 0
            self.is_clean = self.is_clean and len(part) == len(data)

    def _feed_chunks(self, data: bytes) -> None:
        self._unframed += len(data)
        try:
            self._parser.feed_data(data)
        except PARSER_ERRORS:
            if not self.is_whole:
                raise
            self.is_clean = False
        if self._unframed > HEAD_BYTES and not self.is_whole:
            raise MalformedAnswerError

    def _take(self, part: bytes) -> None:
        self._parts.append(part)
        self.buffered += len(part)

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
