"""Bounds of the texts that events are stored by: too long a text is refused by name, before it is stored."""

import json
from typing import Any

import pytest
import stripe_events as events
from bare_objects import customer as bare_customer
from bare_objects import item as bare_item
from ingest_bench import Ingest

from mainstem.common.database.texts import MOST_CHARACTERS
from mainstem.common.errors import BadRequestError
from mainstem.common.queue import hints
from mainstem.common.queue.hints import Hint
from mainstem.ingest.providers.stripe.bare_objects import UNREADABLE, read_bare
from mainstem.ingest.providers.stripe.events import read_envelope

FITS, LONG = "x" * MOST_CHARACTERS, "x" * (MOST_CHARACTERS + 1)
PLACES = {
    "event id": ("id",),
    "type": ("type",),
    "account": ("account",),
    "api version": ("api_version",),
    "object id": ("data", "object", "id"),
    "object type": ("data", "object", "object"),
}


FITS_ACCOUNT = "acct_".ljust(MOST_CHARACTERS, "x")


def with_text(place: tuple[str, ...], text: str, **more: Any) -> bytes:
    event = {**json.loads(events.event("customer.created", events.customer())), **more}
    holder = event
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = text
    return json.dumps(event).encode()


@pytest.mark.parametrize("odd", [{}, {"livemode": "odd"}], ids=["an event's shape", "another shape"])
@pytest.mark.parametrize("name", PLACES)
def test_a_text_that_is_too_long_is_refused_by_name(name: str, odd: dict[str, str]) -> None:
    read_envelope(with_text(PLACES[name], FITS_ACCOUNT if name == "account" else FITS, **odd))
    with pytest.raises(BadRequestError, match=f"the {name} has more than 255 characters"):
        read_envelope(with_text(PLACES[name], LONG, **odd))


@pytest.mark.parametrize("name", [name for name in PLACES if name != "api version"])
def test_a_text_that_cannot_be_stored_is_refused_by_name(name: str) -> None:
    with pytest.raises(BadRequestError, match=f"the {name} holds a character that cannot be stored"):
        read_envelope(with_text(PLACES[name], "a\0b"))


@pytest.mark.parametrize(
    "body",
    [
        bare_customer(id=LONG),
        {"id": LONG, "object": "customer", "deleted": True},
        bare_item("si_1", subscription=LONG),
    ],
    ids=["a customer", "a deleted one", "an item's subscription"],
)
def test_a_bare_object_with_too_long_an_id_is_refused(body: Any) -> None:
    with pytest.raises(BadRequestError, match=UNREADABLE):
        read_bare(json.dumps(body).encode())


async def test_a_hint_with_too_long_an_id_is_refused_and_none_of_its_neighbours_is_lost(
    ingest: Ingest,
) -> None:
    async with ingest.pool.transaction() as connection:
        with pytest.raises(BadRequestError, match="object id has more than 255 characters"):
            await hints.write(
                connection, [Hint("stripe", "default", "price", LONG, livemode=False)], ingest.clock.now()
            )
        await hints.write(
            connection, [Hint("stripe", "default", "price", FITS, livemode=False)], ingest.clock.now()
        )
    assert len(await ingest.statuses()) == 1
