"""Endpoints for the events that Stripe signs (stops 1 and 2)."""

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import Response

from mainstem.common.errors import BadRequestError, NotFoundError, UnavailableError
from mainstem.common.http.app import AppState
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.queue.inbox import NewEvent
from mainstem.common.telemetry import metrics, spans
from mainstem.ingest.accounts.storage import ProviderAccount
from mainstem.ingest.inbox.record import Recorder
from mainstem.ingest.providers.protocol import Envelope, SignatureError
from mainstem.ingest.providers.stripe.events import read_envelope
from mainstem.ingest.providers.stripe.reader import PROVIDER
from mainstem.ingest.providers.stripe.signatures import verify
from mainstem.ingest.settings import DEFAULT_ACCOUNT

log = structlog.get_logger()
dead_lettered = metrics.meter().create_counter(
    "mainstem_events_dead_lettered",
    description="Events stored as dead letters when they came in: they should be worked on and cannot be.",
)


class DoorState(AppState):
    """State of a request at ingest's endpoints."""

    accounts: Mapping[str, ProviderAccount]
    recorder: Recorder


RECEIVE = Endpoint(
    "POST",
    "/webhooks/stripe",
    answers={202: "the event is stored"},
    errors=(BadRequestError, SignatureError, UnavailableError),
    public=True,
)
RECEIVE_FOR_ACCOUNT = Endpoint(
    "POST",
    "/webhooks/stripe/{account}",
    answers={202: "the event is stored"},
    errors=(BadRequestError, SignatureError, NotFoundError, UnavailableError),
    public=True,
)
ENDPOINTS = (RECEIVE, RECEIVE_FOR_ACCOUNT)
"""Public, since Stripe signs what it sends."""


@RECEIVE.handler
@RECEIVE_FOR_ACCOUNT.handler
async def receive_stripe(request: Request) -> Response:
    """Accept an event of Stripe's: verify its signature, store it once, answer when it is stored."""
    accounts: Mapping[str, ProviderAccount] = request.state["accounts"]
    account = accounts.get(request.path_params.get("account", DEFAULT_ACCOUNT))
    if account is None:
        raise NotFoundError("there is no such account")
    body = await request.body()
    verify(body, request.headers.get("stripe-signature"), account.secrets)
    recorder: Recorder = request.state["recorder"]
    event = new_event(account.name, body, spans.traceparent())
    await recorder.record(event)
    if event.last_error is not None:
        dead_lettered.add(1)
        log.error(
            "event.dead_lettered",
            event_id=event.event_id,
            type=event.type,
            account=event.owner_id or account.name,
            reason=event.last_error,
        )
    return Response(status_code=HTTPStatus.ACCEPTED)


def new_event(account: str, body: bytes, traceparent: str | None) -> NewEvent:
    """Return the event of a body, as it is recorded.

    Raises:
        BadRequestError: it is none.
    """
    envelope = read_envelope(body)
    return NewEvent(
        provider=PROVIDER,
        account=account,
        event_id=envelope.event_id,
        type=envelope.type,
        object_type=envelope.object_type,
        object_id=envelope.object_id,
        created=envelope.created,
        api_version=envelope.api_version,
        livemode=envelope.livemode,
        body=body,
        traceparent=traceparent,
        status=_status(envelope),
        last_error=envelope.problem,
        owner_id=envelope.owner_id,
        is_signed=True,
    )


def _status(envelope: Envelope) -> str:
    if envelope.problem is not None:
        return "dead"
    return "received" if envelope.is_known else "ignored"
