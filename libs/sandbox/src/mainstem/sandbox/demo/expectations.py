"""Expectations of a person's subscription: in the mirror, in our conclusions and at Acoustic."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mainstem.sandbox.demo.actors import Actors

FXA_ID = "6eb6ed6ac3b64259968aa490c6c0b9df"
OWNER = {"kind": "fxa_id", "value": FXA_ID}

CONCLUDED = """
SELECT segment, current_period_end FROM subscription.v1_product_subscription
WHERE owner_value = $1 AND product_id = $2
"""
PERIOD_END = "SELECT current_period_end FROM stripe.subscription_item WHERE subscription = $1"
STATE = """
SELECT status, cancel_at_period_end OR cancel_at IS NOT NULL AS ends FROM stripe.subscription WHERE id = $1
"""
PAID = "SELECT count(*) FROM stripe.invoice WHERE subscription = $1 AND status = 'paid'"


@dataclass
class Person:
    """Facts about the person that the story collects on its way."""

    contact_id: str = ""
    product: str = ""
    checkouts: list[str] = field(default_factory=list)
    arrival: str = ""
    """The URL at which the browser came back."""
    subscription: str = ""
    period_ends: list[datetime] = field(default_factory=list)


@dataclass(frozen=True)
class Expectation:
    """Something that must be true after a step: what was expected, and what was seen."""

    claim: str
    expected: Any
    seen: Any

    @property
    def holds(self) -> bool:
        """Whether it is."""
        return bool(self.expected == self.seen)


@dataclass(frozen=True)
class Stage:
    """The mirror's state for a segment: the status, and whether an end is set."""

    status: str
    ends: bool


STAGES = {
    "active": Stage("active", ends=False),
    "cancelling": Stage("active", ends=True),
    "canceled": Stage("canceled", ends=True),
}


async def expect_everywhere(actors: Actors, person: Person, segment: str) -> list[Expectation]:
    """Return whether mirror, product subscription and Acoustic agree that it is in this segment."""
    mirrored = await actors.database.fetchrow(STATE, person.subscription)
    concluded = await actors.database.fetchrow(CONCLUDED, FXA_ID, person.product)
    products: dict[str, Any] = (await actors.world.acoustic())["product"].get(person.contact_id, {})
    row = products.get(person.product, {})
    stage = STAGES[segment]
    end = concluded and concluded["current_period_end"].strftime("%m/%d/%Y %H:%M:%S")
    return [
        Expectation(
            f"the mirror's status is {stage.status}, {'to end' if stage.ends else 'without an end'}",
            (stage.status, stage.ends),
            mirrored and (mirrored["status"], mirrored["ends"]),
        ),
        Expectation(f"the product subscription is {segment}", segment, concluded and concluded["segment"]),
        Expectation(f"Acoustic's product row is {segment}", segment, row.get("segment")),
        Expectation("Acoustic has the same period", end or "some end", row.get("current_period_end")),
    ]


async def find_period_end(actors: Actors, person: Person) -> datetime:
    """Return when the mirror's period ends."""
    end: datetime = await actors.database.fetchval(PERIOD_END, person.subscription)
    return end


async def count_paid_invoices(actors: Actors, person: Person) -> int:
    """Return how many bills of the subscription are paid, as the mirror has it."""
    count: int = await actors.database.fetchval(PAID, person.subscription)
    return count
