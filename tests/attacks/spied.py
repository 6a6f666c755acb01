"""Gateway process that serves as `mainstem gateway serve` does, and notes each request its app understood.

The spy marks every request with an id of its own, by which the recording upstream's notes are matched.
"""

import json
import os
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstem.common.http.app import serve
from mainstem.gateway.app import build
from mainstem.gateway.settings import Settings

NOTES = "ATTACKS_NOTES"
"""The environment's name for the file of notes, JSON lines."""

MARK = b"x-attack-id"


class Spied:
    """The gateway's app, each of whose requests is noted when it begins and when it ends."""

    def __init__(self, app: ASGIApp, notes: TextIO) -> None:
        self._app = app
        self._notes = notes
        self._numbers = count(1)

    def __getattr__(self, name: str) -> Any:
        """Be the app in all else."""
        return getattr(self._app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = next(self._numbers)
        scope["headers"][:] = [one for one in scope["headers"] if one[0].lower() != MARK]
        scope["headers"].append((MARK, b"%d" % number))
        self._note(number=number, event="begun", port=scope["client"][1], method=scope["method"])
        watch = _Watch(receive, send)
        try:
            await self._app(scope, watch.receive, watch.send)
        finally:
            target = scope["raw_path"].hex(), scope["query_string"].hex()
            body = {"sha": watch.digest.hexdigest(), "size": watch.size, "is_whole": watch.is_whole}
            self._note(number=number, event="ended", target=target, **body, is_answered=watch.is_answered)

    def _note(self, **about: Any) -> None:
        self._notes.write(json.dumps(about) + "\n")
        self._notes.flush()


class _Watch:
    """One request's messages on their way."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.digest = sha256()
        self.size = 0
        self.is_whole = False
        self.is_answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.digest.update(message.get("body", b""))
            self.size += len(message.get("body", b""))
            self.is_whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        await self._send(message)
        is_body = message["type"] == "http.response.body"
        self.is_answered = self.is_answered or (is_body and not message.get("more_body", False))


def main() -> None:
    """Serve."""
    settings = Settings.from_environment()
    with Path(os.environ[NOTES]).open("a", encoding="utf-8") as notes:
        serve(Spied(build(settings), notes), settings)  # type: ignore[arg-type]  # the app in all that is used of it


if __name__ == "__main__":
    main()
