"""Loopback ports, held from the moment they are chosen until the stack ends."""

import socket

from mainstem.sandbox.servers.process import ServerError

LOOPBACK = "127.0.0.1"


class PortTakenError(ServerError):
    """Somebody else listens on the port."""


class Ports:
    """Ports that were promised to children.

    Each is bound but never listened on, which lets a child that sets SO_REUSEADDR listen there
    (Postgres, Valkey and uvicorn do) and keeps the kernel from giving it to an outgoing connection,
    also while that child is being restarted.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def take(self, port: int = 0) -> int:
        """Hold a port, any free one for 0, and return it.

        Raises:
            PortTakenError: somebody listens there.
        """
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((LOOPBACK, port))
        except OSError as error:
            held.close()
            raise PortTakenError(f"port {port} is in use") from error
        self._sockets.append(held)
        number: int = held.getsockname()[1]
        return number

    def close(self) -> None:
        """Give every port back."""
        while self._sockets:
            self._sockets.pop().close()
