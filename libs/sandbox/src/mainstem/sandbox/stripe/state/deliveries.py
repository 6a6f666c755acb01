"""Deliveries: each event that an endpoint has yet to confirm, with the state of its attempts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from mainstem.sandbox.stand_ins.archive import Archive
from mainstem.sandbox.stripe.state.history import History, StripeEvent

_KIND = "_delivery"
_HOLDING = "_holding"

State = Literal["due", "held", "given_up"]


@dataclass
class WebhookDelivery:
    """One event on its way to one endpoint."""

    event: StripeEvent
    endpoint: str
    failed: int = 0


class _Kept(msgspec.Struct):
    event: str
    endpoint: str
    failed: int
    state: State


class Deliveries:
    """Unconfirmed deliveries, kept in the account's archive; the caller commits changes."""

    def __init__(self, archive: Archive, history: History) -> None:
        self._archive = archive
        self._history = history

    @property
    def is_holding(self) -> bool:
        """Whether what happens is held back."""
        return bool(self._archive.rows(_HOLDING))

    def hold(self, *, is_holding: bool) -> None:
        """Keep whether what happens is held back."""
        if is_holding:
            self._archive.put(_HOLDING, "", True)
        else:
            self._archive.clear(_HOLDING)

    def recall(self) -> Iterator[tuple[WebhookDelivery, State]]:
        """Go through what is kept, in the order of the events, which await their endpoints again by that."""
        for row in self._archive.rows(_KIND):
            kept = msgspec.json.decode(row.body, type=_Kept)
            event = self._history.find(kept.event)
            if event is not None:
                event.waiting.add(kept.endpoint)
                yield WebhookDelivery(event, kept.endpoint, kept.failed), kept.state

    def begin(self, delivery: WebhookDelivery, state: State) -> None:
        """Have the event await its endpoint."""
        delivery.event.waiting.add(delivery.endpoint)
        self.keep(delivery, state)

    def keep(self, delivery: WebhookDelivery, state: State) -> None:
        """Keep how a delivery stands, unless it is confirmed or its endpoint is gone."""
        event = delivery.event
        if delivery.endpoint not in event.waiting:
            return
        kept = _Kept(event.id, delivery.endpoint, delivery.failed, state)
        position = self._history.position(event.id)
        self._archive.put(_KIND, _name(event, delivery.endpoint), kept, seq=position or 0)

    def confirm(self, event: StripeEvent, endpoint: str) -> None:
        """Have the event await the endpoint no longer. Safe to repeat."""
        if endpoint in event.waiting:
            event.waiting.discard(endpoint)
            self._archive.drop(_KIND, _name(event, endpoint))


def _name(event: StripeEvent, endpoint: str) -> str:
    return f"{event.id}/{endpoint}"
