"""Stripe's thin events: an object is named, and its state is not in the event; pure.

They come where the payload style of an event destination is `thin`, and are not worked on as they come in.
Source: https://docs.stripe.com/event-destinations
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from mainstem.common.database.texts import check
from mainstem.ingest.providers.protocol import Envelope
from mainstem.ingest.providers.stripe.event_account import read_owner

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


class _Thin(msgspec.Struct):
    """A thin event: members beside its id and type may have any shape, so that none makes it pass unseen."""

    id: str
    type: str
    object: Any = None
    related_object: Any = None
    created: Any = None
    livemode: Any = None
    account: Any = None
    context: Any = None


_read = msgspec.json.Decoder(_Thin).decode


def is_thin(event_type: str, event_object: object = None) -> bool:
    """Return whether an event is thin: a snapshot's type does not begin with a version."""
    return event_object == OBJECT or event_type.startswith(("v1.", "v2."))


def read_thin(body: bytes, kinds: Mapping[str, str]) -> Envelope | None:
    """Return what the door needs of a thin event, None if the body is none.

    One about an object of these kinds, by family of types or kind of object, has a problem: it must not be
    ignored.

    Raises:
        BadRequestError: one of the texts that it is stored by is too long, or holds a NUL, or what it names
            as its account is no account's id.
    """
    try:
        event = _read(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not event.id or not is_thin(event.type, event.object):
        return None
    family = event.type.removeprefix("v1.").rpartition(".")[0]
    object_id, object_type = _related(event.related_object)
    check(event_id=event.id, type=event.type)
    check(object_id=object_id, object_type=object_type)
    return Envelope(
        event_id=event.id,
        type=event.type,
        object_type=object_type or kinds.get(family),
        object_id=object_id,
        created=_instant(event.created),
        api_version=None,
        livemode=event.livemode if isinstance(event.livemode, bool) else None,
        is_known=False,
        owner_id=read_owner(event.context, event.account),
        problem=_problem(event.type, is_ours=family in kinds or object_type in kinds.values()),
    )


def _related(about: object) -> tuple[str | None, str | None]:
    """Return id and kind of the object that the event is about, None for what is no text, or empty."""
    if not isinstance(about, dict):
        return None, None
    object_id, kind = (
        one if isinstance(one, str) and one else None for one in map(about.get, ("id", "type"))
    )
    return object_id, kind


def _problem(event_type: str, *, is_ours: bool) -> str | None:
    if event_type.startswith(_GENERATION_FAILURE):
        return LOST
    return FIX if is_ours and event_type != _NO_OBJECT else None


def _instant(text: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
