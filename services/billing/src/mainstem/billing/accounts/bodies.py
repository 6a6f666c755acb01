"""Bodies and queries that name an owner: the models, and the check of the owner's kind. Pure.

Bodies of Zed's endpoints ignore unknown members, as Zed does; every other object refuses them.
"""

from collections.abc import Collection
from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mainstem.common.errors import FieldError, InvalidError
from mainstem.common.http.values import Address, Decimal, Name, Number, of_kind, printable
from mainstem.common.owner import Link, normalise

GITHUB = "github_user_id"

LIMIT_BYTES = 64 * 1024
"""Limit of each body: several times the longest values of its fields."""

Kind = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Login = Annotated[StrictStr, Field(min_length=1, max_length=200), AfterValidator(printable)]


class _LenientBody(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _StrictBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OwnerReference(_StrictBody):
    """Owner by kind and value, the same pairs as the identities of contacts."""

    kind_at: ClassVar = ("kind",)

    kind: Kind
    value: Name

    @field_validator("value")
    @classmethod
    def _fits(cls, value: str, info: ValidationInfo) -> str:
        return _fitting(info.data.get("kind"), value)

    @property
    def link(self) -> Link:
        """Owner in the form that ingest uses."""
        return Link(self.kind, self.value)


class OwnedBody(_LenientBody):
    """Body that names its owner in exactly one of two ways; the base of Zed's bodies."""

    kind_at: ClassVar = ("owner", "kind")

    github_user_id: Number | None = None
    owner: OwnerReference | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.github_user_id is None) == (self.owner is None):
            raise ValueError("exactly one of github_user_id and owner must be given")
        return self

    @property
    def link(self) -> Link:
        """Owner that is named."""
        return self.owner.link if self.owner is not None else Link(GITHUB, str(self.github_user_id))


class Registration(_StrictBody):
    """Body of a registration: address and login of a payer."""

    email: Address
    login: Login | None = None


class OwnerQuery(_LenientBody):
    """Query that names an owner; all values of a query are texts."""

    kind_at: ClassVar = ("owner_kind",)

    github_user_id: Decimal | None = None
    owner_kind: Kind | None = None
    owner_value: Name | None = None

    @field_validator("owner_value")
    @classmethod
    def _fits(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and _fitting(info.data.get("owner_kind"), value)

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        by_owner = self.owner_kind is not None and self.owner_value is not None
        is_half = (self.owner_kind is None) != (self.owner_value is None)
        if is_half or by_owner == (self.github_user_id is not None):
            raise ValueError("exactly one of github_user_id and owner_kind with owner_value must be given")
        return self

    @property
    def link(self) -> Link:
        """Owner that is named."""
        if self.owner_kind is None or self.owner_value is None:
            return Link(GITHUB, str(self.github_user_id))
        return Link(self.owner_kind, self.owner_value)


def _fitting(kind: str | None, value: str) -> str:
    """Return a value in the spelling that is compared and stored.

    Raises:
        ValidationError: the value does not fit its kind.
    """
    return value if kind is None else normalise(kind, of_kind(kind).validate_python(value))


def owner_of(given: OwnerReference | OwnerQuery | OwnedBody, place: str, kinds: Collection[str]) -> Link:
    """Return the owner that a body or a query names; `place` is `body`, `path` or `query`.

    Raises:
        InvalidError: the owner is of none of these kinds.
    """
    link = given.link
    if link.kind in kinds:
        return link
    loc, msg = [place, *given.kind_at], f"Input should be one of {', '.join(sorted(kinds))}"
    raise InvalidError(f"{'.'.join(loc)}: {msg}", [FieldError(loc=loc, msg=msg, type="owner_kind")])
