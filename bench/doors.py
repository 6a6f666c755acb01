"""What ingest's door is compared with: the same app that only verifies, or that stores one by one."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from mainstem.common.clock import Clock, open_clock
from mainstem.common.database.pool import Statements, open_pool
from mainstem.common.http import app as web
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.http.health import database_check, redis_check
from mainstem.common.queue.inbox import NewEvent, insert
from mainstem.common.queue.waker import open_waker
from mainstem.common.telemetry import setup as telemetry
from mainstem.ingest.accounts.storage import stripe_accounts
from mainstem.ingest.doors import webhooks
from mainstem.ingest.providers.stripe.signatures import verify
from mainstem.ingest.settings import DEFAULT_ACCOUNT, Settings


class EachRecorder:
    """Stores every event in a commit of its own."""

    def __init__(self, database: Statements, clock: Clock, wake: Callable[[], None]) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    async def record(self, event: NewEvent) -> None:
        """Store an event, once."""
        async with self._database.statement() as connection:
            to_do = await insert(connection, [event], self._clock.now())
        if to_do:
            self._wake()


VERIFY = Endpoint("POST", "/webhooks/stripe", answers={202: "the event is verified"}, public=True)


@VERIFY.handler
async def verify_only(request: Request) -> Response:
    """Verify and answer: the ceiling."""
    account = request.state["accounts"][DEFAULT_ACCOUNT]
    body = await request.body()
    verify(body, request.headers.get("stripe-signature"), account.secrets)
    return Response(status_code=HTTPStatus.ACCEPTED)


ENDPOINTS = {"verify": [VERIFY], "each": webhooks.ENDPOINTS}


@asynccontextmanager
async def lifespan(_app: Starlette, settings: Settings) -> AsyncIterator[dict[str, object]]:
    """Open what ingest's own app opens, but for its recorder."""
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    async with (
        open_pool(settings.database_url.get_secret_value(), name="ingest") as pool,
        open_waker(redis_url) as waker,
    ):
        yield {
            "identity": None,
            "checks": {"database": database_check(pool), "redis": redis_check(waker)},
            "accounts": stripe_accounts(settings),
            "recorder": EachRecorder(pool, open_clock(settings.clock_file), partial(waker.wake, "ingest")),
        }


def main(kind: str) -> None:
    """Serve one of them until SIGTERM."""
    settings = Settings.from_environment()
    telemetry.start("ingest", settings)
    app = web.build_app("ingest", endpoints=ENDPOINTS[kind], lifespan=partial(lifespan, settings=settings))
    web.serve(app, settings)


if __name__ == "__main__":
    main(sys.argv[1])
