"""Whose a provider's customer is: the one setting that says which of its fields names its owner.

Ingest reads the field by this rule, billing writes it by the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

PATTERN = r"^customer\.(description|email|metadata\.[^:]+):[a-z][a-z0-9_]*$"
"""What `MAINSTEM_OWNER_LINK` may say."""
DEFAULT = "customer.description:fxa_id"


class Link(NamedTuple):
    """An identity of an owner, as a customer names it; sync matches it with a contact's."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Which field of a customer names its owner; `key` is the one of its metadata, if it stands there."""

    field: str
    key: str | None
    kind: str

    def link(self, values: Mapping[str, Any]) -> Link | None:
        """Return the owner that a customer's columns name, None if they name none."""
        value = values[self.field]
        if self.key is not None:
            value = msgspec.json.decode(value or "{}").get(self.key)
        if not isinstance(value, str) or not value:
            return None
        return Link(self.kind, value.lower() if self.field == "email" else value)

    def fields(self, link: Link) -> Mapping[str, Any]:
        """Return what a new customer must say to be this owner's; nothing for an owner of another kind."""
        if link.kind != self.kind:
            return {}
        return {self.field: link.value if self.key is None else {self.key: link.value}}


def rule(setting: str) -> Rule:
    """Return the rule that `MAINSTEM_OWNER_LINK` spells."""
    path, _, kind = setting.removeprefix("customer.").rpartition(":")
    field, _, key = path.partition(".")
    return Rule(field, key or None, kind)
