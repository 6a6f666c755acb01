"""The people of the load: what each of them is known to be, once every request was answered."""

import random
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

NEWSLETTERS = {
    "about-mozilla": "sub_about_mozilla",
    "app-dev": "sub_apps_and_hacks",
    "common-voice": "sub_common_voice",
    "firefox-accounts-journey": "sub_firefox_accounts_journey",
    "hubs": "sub_hubs",
    "internet-health-report": "sub_internet_health_report",
    "knowledge-is-power": "sub_knowledge_is_power",
    "miti": "sub_miti",
    "mixed-reality": "sub_mixed_reality",
    "mozilla-festival": "sub_mozilla_festival",
    "mozilla-foundation": "sub_mozilla_foundation",
    "test-pilot": "sub_test_pilot",
}
"""Newsletters, and the column of Acoustic that says whether one is subscribed."""

FIELDS = ("first_name", "last_name", "mailing_country", "unsubscribe_reason")


@dataclass
class Customer:
    """A customer at Stripe, and the subscriptions it still has, each with its items."""

    id: str
    subscriptions: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Person:
    """One person. Each change of the contact touches something of its own, once.

    So a request that arrives late, after its answer was given up and it was sent again, takes nothing back:
    whatever was confirmed must be there in the end.
    """

    number: int
    fxa_id: str
    contact_id: str
    is_contact: bool = False
    fields: dict[str, str] = field(default_factory=dict)
    newsletters: set[str] = field(default_factory=set)
    customers: list[Customer] = field(default_factory=list)

    @property
    def email(self) -> str:
        """The address."""
        return f"chaos-{self.number}@example.com"

    def as_new(self) -> dict[str, Any]:
        """Return the contact as it is created."""
        return {
            "email": {"email_id": self.contact_id, "primary_email": self.email, **self.fields},
            "fxa": {"fxa_id": self.fxa_id, "primary_email": self.email},
            "newsletters": [{"name": name} for name in sorted(self.newsletters)],
        }

    def untouched(self) -> list[str]:
        """Return what of the contact no change has touched yet."""
        return [name for name in (*FIELDS, *NEWSLETTERS) if name not in {*self.fields, *self.newsletters}]


def a_person(number: int, dice: random.Random) -> Person:
    """Return somebody new."""
    return Person(number, f"{dice.getrandbits(128):032x}", str(UUID(int=dice.getrandbits(128), version=4)))
