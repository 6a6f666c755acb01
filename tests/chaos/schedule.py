"""When which fault strikes: a plan made of a seed, so that a run can be played again."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

HTTP = ("gateway", "ingest", "sync", "billing")
WORKERS = {"ingest": ("ingest-worker", "ingest-second-worker"), "sync": ("sync-worker", "sync-second-worker")}
"""Two of each, so that somebody is there to take over what the other one's lease held."""

ALL_WORKERS = tuple(name for pair in WORKERS.values() for name in pair)
LEASE_SECONDS = 60.0
GAP_SECONDS = 3.0
CALM_SECONDS = 45.0
"""How long before the end no worker is killed any more: what it held would only have to be waited for."""

CARDS: Sequence[tuple[str, str]] = (
    *(("kill", name) for name in (*HTTP, *ALL_WORKERS)),
    *(("restart", name) for name in ("gateway", "ingest", "sync", "ingest-worker", "sync-worker")),
    *(("pause", name) for name in ("gateway", "ingest", "sync")),
    ("restart", "postgres"),
    ("restart while it computes", "postgres"),
    ("kill", "postgres"),
    ("kill its postmaster while it computes", "postgres"),
    ("flush", "valkey"),
    ("kill", "valkey"),
    ("time out", "stripe"),
    ("answer 5xx", "stripe"),
    ("answer 429", "stripe"),
    ("drop", "stripe"),
    ("lose answers", "stripe"),
    ("time out", "acoustic"),
    ("answer 5xx", "acoustic"),
    ("answer 429", "acoustic"),
    ("refuse", "acoustic"),
    ("drop", "acoustic"),
    ("lose answers", "acoustic"),
    ("send twice", "webhooks"),
    ("send late", "webhooks"),
    ("fail", "webhooks"),
    ("send in reverse, twice", "webhooks"),
    ("move forward", "clock"),
)
"""Every fault and what it befalls; a storm deals them all before it deals one again."""

OUTLAST = "pause past its lease"


@dataclass(frozen=True, order=True)
class Strike:
    """One fault that is to come: seconds after the beginning, and for how long, where it lasts."""

    at: float
    fault: str
    target: str
    seconds: float
    chance: float
    """A number from 0 to 1 that decides the rest, such as which status is answered."""


def plan(seed: int, seconds: float) -> list[Strike]:
    """Return the strikes of a storm of that length, in order; the same ones for the same seed."""
    dice = random.Random(seed)
    pauses = [strike for pair in WORKERS.values() for strike in _outlasting(dice, pair, seconds)]
    return sorted([*pauses, *_dealt(dice, pauses, seconds)])


def _outlasting(dice: random.Random, workers: Sequence[str], seconds: float) -> Iterator[Strike]:
    """Pause one worker of a service after the other, each for longer than its lease."""
    at = dice.uniform(2, 8)
    while True:
        length = LEASE_SECONDS + dice.uniform(3, 9)
        if at + length > seconds:
            return
        yield Strike(at, OUTLAST, dice.choice(workers), length, dice.random())
        at += length + dice.uniform(5, 15)


def _dealt(dice: random.Random, pauses: Sequence[Strike], seconds: float) -> Iterator[Strike]:
    gap = min(GAP_SECONDS, seconds / (len(CARDS) + 1))
    deck: list[tuple[str, str]] = []
    at = gap
    while at < seconds:
        deck = deck if any(_may(card, at, pauses, seconds) for card in deck) else _shuffled(dice)
        card = next((card for card in deck if _may(card, at, pauses, seconds)), None)
        if card is not None:
            deck.remove(card)
            yield Strike(at, *card, dice.uniform(2, 7), dice.random())
        at += gap * dice.uniform(0.6, 1.4)


def _shuffled(dice: random.Random) -> list[tuple[str, str]]:
    # Killing workers comes early in a deck: the last one may not be dealt to its end, nor may they be then.
    return sorted(CARDS, key=lambda card: dice.random() * (0.6 if card[1] in ALL_WORKERS else 1))


def _may(card: tuple[str, str], at: float, pauses: Sequence[Strike], seconds: float) -> bool:
    """Whether a fault fits here: a worker that is paused past its lease has to stay so."""
    _, target = card
    if target not in ALL_WORKERS:
        return True
    is_paused = any(one.target == target and one.at - 5 <= at <= one.at + one.seconds + 1 for one in pauses)
    return not is_paused and at < seconds - min(CALM_SECONDS, seconds / 2)
