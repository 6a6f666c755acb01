"""What is known of a contact, as data: a group is a model and a registration, an identity kind is a row.

The groups, their limits and their defaults are those of CTMS v1.1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AnyHttpUrl, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

LONGEST_IDENTITY = 255
"""Characters. An index holds identities, and Postgres limits what an index holds."""

LONGEST_URL = 2_083

_URL = TypeAdapter(AnyHttpUrl)


def storable(text: str) -> str:
    """Return the text if Postgres can hold it.

    Raises:
        PydanticCustomError: it has a NUL or half of a surrogate pair in it.
    """
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("unstorable", "NUL and unpaired surrogates cannot be stored")
    return text


def _web_address(text: str) -> str:
    # Checked, then kept as it was given: parsing would rewrite it.
    try:
        _URL.validate_python(text)
    except ValidationError:
        raise PydanticCustomError("url", "Input should be an http or https URL") from None
    return text


Text = Annotated[str, AfterValidator(storable)]
Text5 = Annotated[str, Field(max_length=5), AfterValidator(storable)]
Text40 = Annotated[str, Field(max_length=40), AfterValidator(storable)]
Text50 = Annotated[str, Field(max_length=50), AfterValidator(storable)]
Text100 = Annotated[str, Field(max_length=100), AfterValidator(storable)]
Text255 = Annotated[str, Field(max_length=LONGEST_IDENTITY), AfterValidator(storable)]
Language = Annotated[str, Field(min_length=2, max_length=5), AfterValidator(storable)]
PrimaryEmail = Annotated[str, Field(min_length=1, max_length=LONGEST_IDENTITY), AfterValidator(storable)]
Source = Annotated[str, Field(max_length=LONGEST_URL), AfterValidator(storable), AfterValidator(_web_address)]


class Group(BaseModel):
    """Values that belong together; keys that no model knows are ignored, numbers stand for their text."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    @property
    def is_default(self) -> bool:
        """Whether it says nothing, and therefore counts as absent."""
        return not self.model_dump(exclude_defaults=True)


class Email(Group):
    """The contact itself; every contact has this group."""

    primary_email: PrimaryEmail
    basket_token: UUID | None = None
    double_opt_in: bool = False
    sfdc_id: Text255 | None = None
    first_name: Text255 | None = None
    last_name: Text255 | None = None
    mailing_country: Text255 | None = None
    email_format: Literal["H", "T", "N", ""] = "H"
    email_lang: Text5 | None = "en"
    has_opted_out_of_email: bool = False
    unsubscribe_reason: Text | None = None


class Amo(Group):
    """What the add-ons site knows of the contact."""

    add_on_ids: Text | None = None
    display_name: Text255 | None = None
    email_opt_in: bool = False
    language: Text5 | None = None
    last_login: date | None = None
    location: Text255 | None = None
    profile_url: Text40 | None = None
    user: bool = False
    user_id: Text40 | None = None
    username: Text100 | None = None


class Fxa(Group):
    """The contact's account. `created_date` is whatever text the account service sent."""

    fxa_id: Text50 | None = None
    primary_email: Text255 | None = None
    created_date: Text | None = None
    lang: Text255 | None = None
    first_service: Text50 | None = None
    account_deleted: bool = False


class Mofo(Group):
    """What the foundation knows of the contact."""

    mofo_email_id: Text255 | None = None
    mofo_contact_id: Text255 | None = None
    mofo_relevant: bool = False


class VpnWaitlist(Group):
    """What the contact said when it waited for the VPN."""

    geo: Text100 | None = None
    platform: Text100 | None = None


class Newsletter(Group):
    """One newsletter; a contact has each name once."""

    name: Text255
    subscribed: bool = True
    format: Literal["H", "T"] = "H"
    lang: Language = "en"
    source: Source | None = None
    unsub_reason: Text | None = None


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
    """Where an identity comes from, and whether it belongs to one contact at a time."""

    group: str
    field: str
    is_exclusive: bool = False
    is_uuid: bool = False
    ignores_case: bool = False

    def normalise(self, value: Any) -> str:
        """Return what is compared and stored: e-mail addresses in lower case."""
        return str(value).lower() if self.ignores_case else str(value)


IDENTITY_KINDS: Mapping[str, IdentityKind] = {
    "email_id": IdentityKind("", "", is_exclusive=True, is_uuid=True),
    "primary_email": IdentityKind("email", "primary_email", is_exclusive=True, ignores_case=True),
    "basket_token": IdentityKind("email", "basket_token", is_exclusive=True, is_uuid=True),
    "sfdc_id": IdentityKind("email", "sfdc_id"),
    "mofo_contact_id": IdentityKind("mofo", "mofo_contact_id"),
    "mofo_email_id": IdentityKind("mofo", "mofo_email_id", is_exclusive=True),
    "amo_user_id": IdentityKind("amo", "user_id"),
    "fxa_id": IdentityKind("fxa", "fxa_id", is_exclusive=True),
    "fxa_primary_email": IdentityKind("fxa", "primary_email", ignores_case=True),
}
"""Every id by which a contact can be found; `email_id` is the contact's own."""


@dataclass(frozen=True, slots=True)
class Span:
    """When something was first stored, and when it last changed. World time."""

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
    return {name: IDENTITY_KINDS[name].normalise(value) for name, value in values.items() if value}
