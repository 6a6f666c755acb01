"""Endpoint for objects without an event around them: CTMS's `/stripe` (stops 1 and 2)."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from uuid_utils import uuid7

from mainstem.common.errors import BadRequestError, UnavailableError
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.queue.inbox import NewEvent
from mainstem.common.telemetry import spans
from mainstem.ingest.inbox.record import Recorder
from mainstem.ingest.providers.stripe.bare_objects import BareObject, read_bare
from mainstem.ingest.providers.stripe.reader import PROVIDER
from mainstem.ingest.settings import DEFAULT_ACCOUNT

RECEIVE = Endpoint(
    "POST",
    "/stripe",
    answers={200: "the object is stored"},
    errors=(BadRequestError, UnavailableError),
    scope="stripe:write",
)
ENDPOINTS = (RECEIVE,)


@RECEIVE.handler
async def receive_object(request: Request) -> Response:
    """Store one object of Stripe's that can be read, and answer when it is stored."""
    body = await request.body()
    recorder: Recorder = request.state["recorder"]
    await recorder.record(_new_event(read_bare(body), body))
    return JSONResponse({"status": "OK"})


def _new_event(bare: BareObject, body: bytes) -> NewEvent:
    object_type, object_id = bare.root
    return NewEvent(
        provider=PROVIDER,
        account=DEFAULT_ACCOUNT,
        # Never a hash of the content: the same object twice may have had another state in between.
        event_id=str(uuid7()),
        type=bare.event_type,
        object_type=object_type,
        object_id=object_id,
        created=None,
        api_version=None,
        livemode=bare.livemode,
        body=body,
        traceparent=spans.traceparent(),
        status="received",
    )
