"""The sandbox's control API, as the chaos run uses it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx

from mainstem.sandbox.stack.folder import Stack

PATIENCE_SECONDS = 600.0
"""A clock that moves far waits for all that falls due on its way."""

Json = dict[str, Any]


class Control:
    """Steers the outside world and looks into it; nothing ever befalls this process."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._scripted: Counter[str] = Counter()
        self.released_twice = 0

    async def script(self, target: str, kind: str, *, remaining: int, **more: Any) -> None:
        """Have a fault befall the next so many requests."""
        rule = {"target": target, "kind": kind, "remaining": remaining, **more}
        await self._ask("POST", "/faults", json=rule)
        self._scripted[f"{target} {kind}"] += remaining

    async def clear(self, target: str | None = None) -> None:
        """Drop the faults of a target, or all."""
        for rule in (await self._ask("GET", "/faults"))["faults"]:
            if target in (None, rule["target"]):
                self._scripted[f"{rule['target']} {rule['kind']}"] -= rule["remaining"]
        await self._ask("DELETE", "/faults", params={} if target is None else {"target": target})

    def befallen(self) -> dict[str, int]:
        """Return how many requests each kind of fault befell, once `clear` was called."""
        return {name: count for name, count in sorted(self._scripted.items()) if count}

    async def hold(self) -> None:
        """Keep webhooks back."""
        await self._ask("POST", "/stripe/hold")

    async def release(self, *, order: str = "recorded", times: int = 1) -> None:
        """Send the webhooks that were kept back."""
        released = await self._ask("POST", "/stripe/release", json={"order": order, "times": times})
        self.released_twice += released["released"] * (times - 1)

    async def advance(self, seconds: float) -> None:
        """Move the world's clock forward; returns when all that fell due was sent once."""
        await self._ask("POST", "/clock", json={"advance_seconds": seconds})

    async def now(self) -> datetime:
        """Return the world's time."""
        return datetime.fromisoformat((await self._ask("GET", "/clock"))["now"])

    async def settled(self, seconds: float) -> Json:
        """Return what is outstanding, as soon as that is nothing, or after so long."""
        return await self._ask("GET", "/settled", params={"wait_seconds": seconds})

    async def holdings(self, standin: str) -> Json:
        """Return what a stand-in holds."""
        return await self._ask("GET", f"/{standin}")

    async def _ask(self, method: str, path: str, **content: Any) -> Json:
        answer = await self._http.request(method, f"/_sandbox{path}", **content)
        answer.raise_for_status()
        return dict(answer.json()) if answer.content else {}


@asynccontextmanager
async def open_control(stack: Stack) -> AsyncIterator[Control]:
    """Open the control of a running stack."""
    async with httpx.AsyncClient(base_url=stack.sandbox, timeout=PATIENCE_SECONDS, trust_env=False) as http:
        yield Control(http)
