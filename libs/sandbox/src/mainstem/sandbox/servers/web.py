"""An HTTP process of ours as a server: started until its heartbeat says ready, stopped, crashed."""

import asyncio
import ssl
import time

import httpx

from mainstem.sandbox.servers.ports import LOOPBACK
from mainstem.sandbox.servers.process import Child, ServerError


class WebServer:
    """A child that says at `/__heartbeat__` whether it can work."""

    def __init__(self, child: Child, *, port: int) -> None:
        self.child = child
        self._address = f"http://{LOOPBACK}:{port}/__heartbeat__"

    async def start(self, *, timeout_seconds: float = 60.0) -> None:
        """Start it and return once it is ready. Safe to repeat.

        Raises:
            ServerError: it ended, or was not ready in time; the text holds its last words.
        """
        self.child.start()
        deadline = time.monotonic() + timeout_seconds
        # Loopback speaks plain HTTP: the certificates that a client loads by itself take 60 ms each time.
        no_certificates = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with httpx.AsyncClient(timeout=2.0, trust_env=False, verify=no_certificates) as client:
            while (answer := await self._ask(client)) != "ready":
                if not self.child.is_running:
                    raise ServerError(self._explain(f"ended with code {self.child.exit_code}"))
                if time.monotonic() > deadline:
                    await self.child.kill()
                    raise ServerError(self._explain(f"was not ready in time ({answer})"))
                await asyncio.sleep(0.05)

    async def stop(self, *, timeout_seconds: float = 2.0) -> None:
        """Ask it to end, and kill it when it has not done so in time. Safe to repeat."""
        await self.child.stop(timeout_seconds=timeout_seconds)

    async def crash(self) -> None:
        """End it at once."""
        await self.child.kill()

    async def _ask(self, client: httpx.AsyncClient) -> str:
        """Return `ready`, or what there was instead."""
        try:
            response = await client.get(self._address)
        except httpx.TransportError as error:
            return type(error).__name__
        return "ready" if response.is_success else response.text

    def _explain(self, what: str) -> str:
        return f"{self.child.name} {what}; its last words, in {self.child.log}:\n{self.child.read_log_tail()}"
