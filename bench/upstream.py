"""Static upstream for `gateway.py`, a process of its own: the same 300 bytes of JSON to every request."""

import asyncio
import sys

import uvloop

from mainstem.sandbox.servers.ports import LOOPBACK
from mainstem.sandbox.servers.process import die_with_parent

BODY = b'{"email":"' + b"x" * 288 + b'"}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY)
HEAD_END = b"\r\n\r\n"


class Answering(asyncio.Protocol):
    """One connection, whose requests have no body."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport  # type: ignore[assignment]  # a TCP transport reads and writes

    def data_received(self, data: bytes) -> None:
        """Answer each request whose head has come."""
        *heads, self._received = (self._received + data).split(HEAD_END)
        self._transport.write((HEAD + BODY) * len(heads))


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Answering, LOOPBACK, port)
    await server.serve_forever()


if __name__ == "__main__":
    die_with_parent()
    uvloop.run(serve(int(sys.argv[1])))
