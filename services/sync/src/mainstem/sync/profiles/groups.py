"""Contacts as they are stored: a group is a model and a registration, an identity kind is a row.

The groups and their defaults are those of CTMS v1.1.0. What callers may send is stricter (`bodies`): nothing
that is stored is checked again, since a contact must stay readable whatever the rules become.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from mainstem.common.owner import normalise


class Group(BaseModel):
    """Values that belong together; keys that no model knows are ignored, numbers stand for their text."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    @property
    def is_default(self) -> bool:
        """Whether it says nothing, and therefore counts as absent."""
        return not self.model_dump(exclude_defaults=True)


class Email(Group):
    """The contact itself; every contact has this group."""

    primary_email: str
    basket_token: UUID | None = None
    double_opt_in: bool = False
    sfdc_id: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    mailing_country: str | None = None
    email_format: str = "H"
    email_lang: str | None = "en"
    has_opted_out_of_email: bool = False
    unsubscribe_reason: str | None = None


class Amo(Group):
    """The contact's data from the add-ons site."""

    add_on_ids: str | None = None
    display_name: str | None = None
    email_opt_in: bool = False
    language: str | None = None
    last_login: date | None = None
    location: str | None = None
    profile_url: str | None = None
    user: bool = False
    user_id: str | None = None
    username: str | None = None


class Fxa(Group):
    """The contact's account. `created_date` is whatever text the account service sent."""

    fxa_id: str | None = None
    primary_email: str | None = None
    created_date: str | None = None
    lang: str | None = None
    first_service: str | None = None
    account_deleted: bool = False


class Mofo(Group):
    """The contact's data from the foundation."""

    mofo_email_id: str | None = None
    mofo_contact_id: str | None = None
    mofo_relevant: bool = False


class VpnWaitlist(Group):
    """The contact's entry on the waitlist of the VPN."""

    geo: str | None = None
    platform: str | None = None


class Newsletter(Group):
    """One newsletter; a contact has each name once."""

    name: str
    subscribed: bool = True
    format: str = "H"
    lang: str = "en"
    source: str | None = None
    unsub_reason: str | None = None


GROUPS: Mapping[str, type[Group]] = {
    "amo": Amo,
    "email": Email,
    "fxa": Fxa,
    "mofo": Mofo,
    "vpn_waitlist": VpnWaitlist,
}
"""Every group by its name in the API, in the order of the answers."""

OPTIONAL = tuple(name for name in GROUPS if name != "email")
"""The groups that a contact may lack."""


@dataclass(frozen=True, slots=True)
class IdentityKind:
    """Source of an identity, and whether only a single contact can have it at a time."""

    group: str
    field: str
    is_exclusive: bool = False


IDENTITY_KINDS: Mapping[str, IdentityKind] = {
    "email_id": IdentityKind("", "", is_exclusive=True),
    "primary_email": IdentityKind("email", "primary_email", is_exclusive=True),
    "basket_token": IdentityKind("email", "basket_token", is_exclusive=True),
    "sfdc_id": IdentityKind("email", "sfdc_id"),
    "mofo_contact_id": IdentityKind("mofo", "mofo_contact_id"),
    "mofo_email_id": IdentityKind("mofo", "mofo_email_id", is_exclusive=True),
    "amo_user_id": IdentityKind("amo", "user_id"),
    "fxa_id": IdentityKind("fxa", "fxa_id", is_exclusive=True),
    "fxa_primary_email": IdentityKind("fxa", "primary_email"),
}
"""Every id by which a contact can be found; `email_id` is the contact's own."""


@dataclass(frozen=True, slots=True)
class Span:
    """Times at which a group was first stored and last changed. World time."""

    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """A person with all that is stored of them; absent groups are absent here."""

    contact_id: UUID
    groups: Mapping[str, Group]
    newsletters: Mapping[str, Newsletter]
    spans: Mapping[str, Span]
    """By group."""

    def group(self, name: str) -> Group:
        """Return a group, with its defaults where it is absent."""
        return self.groups[name] if name in self.groups else GROUPS[name]()

    def says_the_same(self, other: "Contact") -> bool:
        """Return whether both hold the same values, whenever they were stored."""
        return (self.contact_id, self.groups, self.newsletters) == (
            other.contact_id,
            other.groups,
            other.newsletters,
        )


def identities(contact: Contact) -> dict[str, str]:
    """Return the contact's identities by kind, normalised; what is empty identifies nobody."""
    values: dict[str, Any] = {
        name: getattr(contact.groups.get(kind.group), kind.field, None)
        for name, kind in IDENTITY_KINDS.items()
        if kind.group
    }
    values["email_id"] = contact.contact_id
    return {name: normalise(name, value) for name, value in values.items() if value}
