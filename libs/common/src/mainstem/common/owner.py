"""Owners of a provider's customers: the kinds of identity, and the setting that names a customer's owner.

Ingest reads the customer's field by this setting, billing writes it by the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

PATTERN = r"^customer\.(description|email|metadata\.[^:]+):[a-z][a-z0-9_]*$"
"""Pattern of the values that `MAINSTEM_OWNER_LINK` may have."""
DEFAULT = "customer.description:fxa_id"

LONGEST = 255
"""Characters of an identity. Indexes hold identities, and Postgres limits what an index holds."""

ADDRESSES = frozenset({"email", "primary_email", "fxa_primary_email"})
"""Kinds whose value is an e-mail address; `email` is what ingest calls a contact's `primary_email`."""
UUIDS = frozenset({"email_id", "basket_token"})
NUMBERS = frozenset({"github_user_id"})
NAMES = frozenset({"sfdc_id", "mofo_contact_id", "mofo_email_id", "amo_user_id", "fxa_id"})
"""Kinds whose value is text of their issuer's."""

KINDS = ADDRESSES | UUIDS | NUMBERS | NAMES
"""Every kind of owner, beside the one that `MAINSTEM_OWNER_LINK` names."""


class Link(NamedTuple):
    """An identity of an owner, as a customer names it; sync matches it with a contact's."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Field of a customer that names its owner; `key` is the key in its metadata, if the field is there."""

    field: str
    key: str | None
    kind: str

    def link(self, values: Mapping[str, Any]) -> Link | None:
        """Return the owner that a customer's columns name, None if they name none."""
        value = values[self.field]
        if self.key is not None:
            value = msgspec.json.decode(value or "{}").get(self.key)
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
            return None
        return Link(self.kind, value.lower() if self.field == "email" else normalise(self.kind, value))

    def fields(self, link: Link) -> Mapping[str, Any]:
        """Return what a new customer must say to be this owner's; nothing for an owner of another kind."""
        if link.kind != self.kind:
            return {}
        return {self.field: link.value if self.key is None else {self.key: link.value}}


def normalise(kind: str, value: Any) -> str:
    """Return what is compared and stored of an identity: addresses and UUIDs in lower case."""
    return str(value).lower() if kind in ADDRESSES | UUIDS else str(value)


def rule(setting: str) -> Rule:
    """Return the rule that `MAINSTEM_OWNER_LINK` spells."""
    path, _, kind = setting.removeprefix("customer.").rpartition(":")
    field, _, key = path.partition(".")
    return Rule(field, key or None, kind)
