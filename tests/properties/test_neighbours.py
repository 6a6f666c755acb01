"""Events that cannot be stored, among events that can: each fails by itself, and no other with it."""

import asyncio
import random
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import stripe_events as events
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import Ingest, empty, new_event
from properties import BOUNDED, examples

from mainstem.common.errors import BadRequestError
from mainstem.common.queue.inbox import NewEvent
from mainstem.ingest.inbox.record import open_recorder

TEXTS = ("event_id", "type", "object_type", "object_id", "api_version", "traceparent", "status")
INDEXED = ("provider", "account", "event_id")


def long_text() -> str:
    """Return a text that no index of Postgres' holds; one of a single letter is compressed, and fits."""
    return random.Random(0).randbytes(9_000).hex()


BEFORE, AFTER = timezone(timedelta(hours=23)), timezone(-timedelta(hours=23))

HOSTILE: Mapping[str, Mapping[str, Any]] = {
    **{f"NUL in {name}": {name: "a\0b"} for name in TEXTS},
    **{f"surrogate in {name}": {name: "\ud800"} for name in TEXTS},
    **{f"long {name}": {name: long_text()} for name in INDEXED},
    "no status": {"status": None},
    "no type": {"type": None},
    "a time beyond time": {"created": datetime.max.replace(tzinfo=AFTER)},
    "a time before time": {"created": datetime.min.replace(tzinfo=BEFORE)},
    "a time that is a number": {"created": 2**70},
    "a side that is a text": {"livemode": "live"},
    "a body that is a text": {"body": "{}"},
    "an id that is a number": {"object_id": 7},
}
"""By name, values of an event that Postgres, or asyncpg on the way to it, refuses."""


def good() -> NewEvent:
    return replace(
        new_event(events.event("customer.created", events.customer())), event_id=f"evt_{uuid.uuid4()}"
    )


@settings(BOUNDED, max_examples=examples(60))
@given(mixed=st.lists(st.sampled_from([None, None, *HOSTILE]), min_size=1, max_size=40))
async def test_events_that_cannot_be_stored_fail_alone(ingest: Ingest, mixed: list[str | None]) -> None:
    await empty(ingest)
    given_events = [good() if name is None else replace(good(), **HOSTILE[name]) for name in mixed]
    async with open_recorder(ingest.pool, ingest.clock, lambda: None) as recorder:
        answers = await asyncio.gather(*map(recorder.record, given_events), return_exceptions=True)
    for name, answer in zip(mixed, answers, strict=True):
        assert (answer is None) if name is None else isinstance(answer, BadRequestError), (name, answer)
    stored = {row["event_id"] for row in await ingest.rows("SELECT event_id FROM inbox.event")}
    assert stored == {event.event_id for name, event in zip(mixed, given_events, strict=True) if name is None}


async def test_every_hostile_value_is_refused_by_itself(ingest: Ingest) -> None:
    async with open_recorder(ingest.pool, ingest.clock, lambda: None) as recorder:
        for name, values in HOSTILE.items():
            (answer,) = await asyncio.gather(
                recorder.record(replace(good(), **values)), return_exceptions=True
            )
            assert isinstance(answer, BadRequestError), (name, answer)
