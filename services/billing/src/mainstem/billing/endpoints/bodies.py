"""What callers send: whom they speak of, and what is wanted. Pure: bodies in, values out."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, model_validator

from mainstem.billing.portal import Intent
from mainstem.common.errors import FieldError, InvalidError
from mainstem.common.owner import Link

GITHUB = "github_user_id"

Model = TypeVar("Model", bound=BaseModel)

Kind = Annotated[StrictStr, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
GithubId = Annotated[int, Field(gt=0, lt=2**63)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Owner(_Body):
    """An owner by kind and value, as the identities of contacts are."""

    kind: Kind
    value: Text

    @property
    def link(self) -> Link:
        """The owner; e-mail addresses are compared in lower case, as ingest does."""
        return Link(self.kind, self.value.lower() if self.kind == "email" else self.value)


class _OfSomebody(_Body):
    """Names whom it is about, in exactly one of two ways."""

    github_user_id: Annotated[StrictInt, Field(gt=0, lt=2**63)] | None = None
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


class Registration(_Body):
    """What an application says of whom it sells to."""

    email: Annotated[Text, Field(pattern=r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$")]
    login: Annotated[Text, Field(max_length=200)] | None = None


class Purchase(_OfSomebody):
    """Somebody wants to buy."""

    price: Text | None = None


class Management(_OfSomebody):
    """Somebody wants to change or leave."""

    intent: Intent
    subscription_id: Text | None = None
    redirect_to: Annotated[StrictStr, Field(max_length=2048, pattern=r"^[\x21-\x7e]+$")] | None = None


class OwnerQuery(_Body):
    """Whom a listing is of; a query has only texts."""

    github_user_id: GithubId | None = None
    owner_kind: Kind | None = None
    owner_value: Text | None = None

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
        return Owner(kind=self.owner_kind, value=self.owner_value).link


def read(model: type[Model], body: bytes) -> Model:
    """Return what a body says.

    Raises:
        InvalidError: it cannot be read, or its values will not do.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _invalid(error, "body") from None


def read_values(model: type[Model], values: Mapping[str, Any], place: str) -> Model:
    """Return what a path or a query says.

    Raises:
        InvalidError: its values will not do.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise _invalid(error, place) from None


def _invalid(error: ValidationError, place: str) -> InvalidError:
    """Return the answer to values that will not do; it never repeats them."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    errors = [FieldError(loc=[place, *one["loc"]], msg=one["msg"], type=one["type"]) for one in found]
    first = ".".join(str(part) for part in errors[0]["loc"])
    return InvalidError(f"{first}: {errors[0]['msg']}", errors)
