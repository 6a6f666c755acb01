"""Stripe's thin events: an object is named, and its state is not in the event; pure.

They come where the payload style of an event destination is `thin`, and are not worked on as they come in.
Source: https://docs.stripe.com/event-destinations
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from mainstem.common.texts import check
from mainstem.ingest.providers.protocol import Envelope
from mainstem.ingest.providers.stripe_owner import read_owner

OBJECT = "v2.core.event"
FIX = (
    "a thin event, which is not worked on as it comes in: at Stripe, set the payload style of the event"
    " destination to `snapshot`, then replay this event (an account with an API key fetches the object)"
)
LOST = (
    "Stripe could not generate an event: look up at Stripe which object it was about,"
    " and write it to `/stripe`, or wait for its next event"
)
"""https://docs.stripe.com/webhooks/handle-irrecoverable-events."""

_NO_OBJECT = "v1.invoice.upcoming"
_GENERATION_FAILURE = "v2.core.health.event_generation_failure."


class _Related(msgspec.Struct):
    id: str | None = None
    type: str | None = None


class _Thin(msgspec.Struct):
    id: str
    type: str
    object: str
    related_object: _Related | None = None
    created: str | None = None
    livemode: bool | None = None
    context: Any = None


_read = msgspec.json.Decoder(_Thin).decode


def is_thin(event_type: str) -> bool:
    """Return whether events of this type are thin: a snapshot's type does not begin with a version."""
    return event_type.startswith(("v1.", "v2."))


def read_thin(body: bytes, kinds: Mapping[str, str]) -> Envelope | None:
    """Return what the door needs of a thin event, None if the body is none.

    One about an object of these kinds, by family of types, has a problem: it must not be ignored.

    Raises:
        BadRequestError: one of the texts that it is stored by is too long, or holds a NUL.
    """
    try:
        event = _read(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if event.object != OBJECT or not event.id or not is_thin(event.type):
        return None
    about = event.related_object or _Related()
    check(event_id=event.id, type=event.type)
    check(object_id=about.id, object_type=about.type)
    return Envelope(
        event_id=event.id,
        type=event.type,
        object_type=about.type,
        object_id=about.id or None,
        created=_instant(event.created),
        api_version=None,
        livemode=event.livemode,
        is_known=False,
        owner_id=read_owner(event.context, None),
        problem=_problem(event.type, about, kinds),
    )


def _problem(event_type: str, about: _Related, kinds: Mapping[str, str]) -> str | None:
    if event_type.startswith(_GENERATION_FAILURE):
        return LOST
    family = event_type.removeprefix("v1.").rpartition(".")[0]
    is_ours = about.type in kinds.values() if about.id else family in kinds
    return FIX if is_ours and event_type != _NO_OBJECT else None


def _instant(text: str | None) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
