"""What callers send: whom they speak of, and what is wanted. Pure: bodies in, values out.

Bodies of Zed's endpoints ignore members that no model knows, as Zed does; every other object refuses them.
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

from mainstem.billing.portal.sessions import Intent
from mainstem.common.errors import FieldError, InvalidError
from mainstem.common.http.values import Address, Decimal, Name, Number, of_kind, printable
from mainstem.common.owner import Link, normalise

GITHUB = "github_user_id"

LIMIT_BYTES = 64 * 1024
"""Of each body: several times what the longest values of its fields take."""

Kind = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Login = Annotated[StrictStr, Field(min_length=1, max_length=200), AfterValidator(printable)]


class _Zeds(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Ours(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Owner(_Ours):
    """An owner by kind and value, as the identities of contacts are."""

    kind_at: ClassVar = ("kind",)

    kind: Kind
    value: Name

    @field_validator("value")
    @classmethod
    def _fits(cls, value: str, info: ValidationInfo) -> str:
        return _fitting(info.data.get("kind"), value)

    @property
    def link(self) -> Link:
        """The owner, as ingest names it."""
        return Link(self.kind, self.value)


class _OfSomebody(_Zeds):
    """Names whom it is about, in exactly one of two ways."""

    kind_at: ClassVar = ("owner", "kind")

    github_user_id: Number | None = None
    owner: Owner | None = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.github_user_id is None) == (self.owner is None):
            raise ValueError("exactly one of github_user_id and owner must be given")
        return self

    @property
    def link(self) -> Link:
        """Whom it is about."""
        return self.owner.link if self.owner is not None else Link(GITHUB, str(self.github_user_id))


class Registration(_Ours):
    """What an application says of whom it sells to."""

    email: Address
    login: Login | None = None


class Purchase(_OfSomebody):
    """Somebody wants to buy."""

    price: Name | None = None


class Management(_OfSomebody):
    """Somebody wants to change or leave."""

    intent: Intent
    subscription_id: Name | None = None
    redirect_to: Annotated[StrictStr, Field(max_length=2048, pattern=r"^[\x21-\x7e]+$")] | None = None


class OwnerQuery(_Zeds):
    """Whom a listing is of; a query has only texts."""

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
        """Whom it is about."""
        if self.owner_kind is None or self.owner_value is None:
            return Link(GITHUB, str(self.github_user_id))
        return Link(self.owner_kind, self.owner_value)


def _fitting(kind: str | None, value: str) -> str:
    """Return a value as it is compared and stored; one that is none of its kind raises what pydantic says."""
    return value if kind is None else normalise(kind, of_kind(kind).validate_python(value))


def owner_of(given: Owner | OwnerQuery | _OfSomebody, place: str, kinds: Collection[str]) -> Link:
    """Return whom something is about.

    Raises:
        InvalidError: it is of none of these kinds.
    """
    link = given.link
    if link.kind in kinds:
        return link
    loc, msg = [place, *given.kind_at], f"Input should be one of {', '.join(sorted(kinds))}"
    raise InvalidError(f"{'.'.join(loc)}: {msg}", [FieldError(loc=loc, msg=msg, type="owner_kind")])
