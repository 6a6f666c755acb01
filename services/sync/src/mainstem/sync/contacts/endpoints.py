"""The contact API: create, read, find and change contacts, as CTMS v1.1.0 has it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypedDict
from uuid import UUID

from pydantic import ValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mainstem.common.clock import Clock
from mainstem.common.database.sessions import Database, plain
from mainstem.common.errors import BadRequestError, ConflictError, InvalidError, NotFoundError
from mainstem.common.http import values
from mainstem.common.http.bodies import invalid, read
from mainstem.common.http.endpoint import Endpoint
from mainstem.common.owner import normalise
from mainstem.common.queue.waker import Waker
from mainstem.common.telemetry import metrics, spans
from mainstem.sync.contacts import bodies, changes
from mainstem.sync.contacts import storage as contacts
from mainstem.sync.contacts.storage import ContactTakenError
from mainstem.sync.delivery.marks import mark
from mainstem.sync.profiles.groups import GROUPS, IDENTITY_KINDS, Contact

SYNC = "sync"
UNKNOWN = "Unknown email_id"
EXISTS = "Contact already exists"
TAKEN = "Contact with primary_email, basket_token, mofo_email_id, or fxa_id already exists"
NO_IDENTITY = f"No identifiers provided, at least one is needed: {', '.join(IDENTITY_KINDS)}"

WITH_TIMESTAMPS = ("amo", "email")
"""The groups whose answers say when they were stored."""

marked = metrics.meter().create_counter(
    "ctms_pending_acoustic_sync", description="Writes of contacts that are to be delivered to the platforms."
)


class ContactState(TypedDict):
    """Request state that the endpoints of contacts read."""

    database: Database
    waker: Waker
    clock: Clock
    platforms: Sequence[str]


CREATE = Endpoint(
    "POST",
    "/ctms",
    body=bodies.NewContact,
    answers={201: "the new contact", 200: "the contact, which was stored already"},
    errors=(ConflictError, InvalidError),
    scope="contacts:write",
)
SEARCH = Endpoint(
    "GET",
    "/ctms",
    answers={200: "the contacts that have all identities of the query"},
    errors=(BadRequestError, InvalidError),
    scope="contacts:read",
)
SHOW = Endpoint(
    "GET",
    "/ctms/{email_id}",
    answers={200: "the contact"},
    errors=(NotFoundError, InvalidError),
    scope="contacts:read",
)
CHANGE = Endpoint(
    "PATCH",
    "/ctms/{email_id}",
    body=bodies.Changes,
    answers={200: "the contact as it is now"},
    errors=(NotFoundError, ConflictError, InvalidError),
    scope="contacts:write",
)
ENDPOINTS = (CREATE, SEARCH, SHOW, CHANGE)


@CREATE.handler
async def create(request: Request[ContactState]) -> Response:
    """Store a new contact: 201, or 200 if exactly this one is stored already."""
    draft = changes.read_new(await request.body())
    try:
        contact, is_new = await _create(request.state, draft)
    except ContactTakenError:
        # Somebody wrote at the same time; what they stored decides.
        try:
            contact, is_new = await _create(request.state, draft)
        except ContactTakenError:
            raise ConflictError(EXISTS) from None
    return JSONResponse(
        {**represent(contact), "status": "ok"},
        HTTPStatus.CREATED if is_new else HTTPStatus.OK,
        headers={"Location": f"/ctms/{contact.contact_id}"},
    )


@SHOW.handler
async def show(request: Request[ContactState]) -> Response:
    """Return one contact."""
    contact_id = _contact_id(request)
    async with request.state["database"].session() as session:
        await contacts.snapshot(session)
        contact = await contacts.find(session, contact_id)
    if contact is None:
        raise NotFoundError(UNKNOWN)
    return JSONResponse({**represent(contact), "status": "ok"})


@SEARCH.handler
async def search(request: Request[ContactState]) -> Response:
    """Return the contacts that have all of the identities asked for."""
    wanted = _identities(request.query_params)
    if not wanted:
        raise BadRequestError(NO_IDENTITY)
    async with request.state["database"].session() as session:
        await contacts.snapshot(session)
        found = await contacts.search(session, wanted)
    return JSONResponse([represent(contact) for contact in found])


@CHANGE.handler
async def change(request: Request[ContactState]) -> Response:
    """Change what is given of a contact, and nothing else."""
    contact_id = _contact_id(request)
    given = read(bodies.Changes, await request.body())
    state = request.state
    try:
        async with state["database"].session() as session:
            before = await contacts.find_for_change(session, contact_id)
            if before is None:
                raise NotFoundError(UNKNOWN)
            after = changes.apply(before, given)
            contact = await contacts.replace(session, before, after, state["clock"].now())
            await _mark(state, session, contact_id)
    except ContactTakenError:
        raise ConflictError(TAKEN) from None
    _wake(state)
    return JSONResponse({**represent(contact), "status": "ok"})


def represent(contact: Contact) -> dict[str, Any]:
    """Return the contact as the API shows it: all groups, in order, the absent ones with their defaults."""
    shown: dict[str, Any] = {name: contact.group(name).model_dump(mode="json") for name in GROUPS}
    shown["email"]["email_id"] = str(contact.contact_id)
    for name in WITH_TIMESTAMPS:
        span = contact.spans.get(name)
        shown[name]["create_timestamp"] = span and span.created_at.isoformat()
        shown[name]["update_timestamp"] = span and span.updated_at.isoformat()
    newsletters = sorted(contact.newsletters.items())
    shown["newsletters"] = [newsletter.model_dump(mode="json") for _, newsletter in newsletters]
    return dict(sorted(shown.items()))


async def _create(state: ContactState, draft: Contact) -> tuple[Contact, bool]:
    """Return the contact as stored, and whether this request stored it."""
    async with state["database"].session() as session:
        stored = await contacts.find(session, draft.contact_id)
        if stored is None:
            stored = await contacts.add(session, draft, state["clock"].now())
            await _mark(state, session, draft.contact_id)
            is_new = True
        elif stored.says_the_same(draft):
            is_new = False
        else:
            raise ConflictError(EXISTS)
    if is_new:
        _wake(state)
    return stored, is_new


async def _mark(state: ContactState, session: AsyncSession, contact_id: UUID) -> None:
    """Want the contact delivered, in the commit that changes it."""
    traceparents = {contact_id: spans.traceparent()}
    await mark(await plain(session), traceparents, state["platforms"], state["clock"].now())


def _wake(state: ContactState) -> None:
    marked.add(1)
    state["waker"].wake(SYNC)


def _contact_id(request: Request[ContactState]) -> UUID:
    return UUID(_identity("path", "email_id", request.path_params["email_id"]))


def _identities(given: Mapping[str, str]) -> dict[str, str]:
    """Return what is asked for by kind, normalised; an empty value asks for nothing."""
    return {name: _identity("query", name, given[name]) for name in IDENTITY_KINDS if given.get(name)}


def _identity(place: str, name: str, value: str) -> str:
    try:
        return normalise(name, values.of_kind(name).validate_python(value))
    except ValidationError as error:
        raise invalid(error, place, name) from None
