"""Contacts as callers send them: every type, length and number that a body may have. Pure.

The lengths are those of CTMS v1.1.0; where CTMS had none, this module sets one. Keys that no model knows are
ignored, as CTMS does.
"""

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    create_model,
)
from pydantic_core import PydanticCustomError

from mainstem.common.http.values import (
    LARGEST,
    Address,
    AddressOrNothing,
    AnyUuid,
    Identifier,
    Name,
    Uuid4,
    printable,
    storable,
)

DELETE = "DELETE"
UNSUBSCRIBE = "UNSUBSCRIBE"

MOST_NEWSLETTERS = 1_000
"""Newsletters of a contact; Mozilla, whose contacts these are, offers about a hundred."""

LONGEST_TEXT = 10_000
"""Characters of what a person wrote, or of the ids of a developer's add-ons."""

LONGEST_URL = 2_083

_URL = TypeAdapter(AnyHttpUrl)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _web_address(text: str) -> str:
    # Checked, then kept as it was given: parsing would rewrite it.
    try:
        _URL.validate_python(text)
    except ValidationError:
        raise PydanticCustomError("url", "Input should be an http or https URL") from None
    return text


def _day(value: Any) -> Any:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise PydanticCustomError("day", "Input should be a day, as in 2021-01-28")
    return value


def _number_as_text(value: Any) -> Any:
    # The add-ons site numbers its users, and its callers send the number as an integer.
    return str(value) if type(value) is int and 0 <= value <= LARGEST else value


Text5 = Annotated[StrictStr, Field(max_length=5), AfterValidator(storable)]
Text40 = Annotated[StrictStr, Field(max_length=40), AfterValidator(storable)]
Text50 = Annotated[StrictStr, Field(max_length=50), AfterValidator(storable)]
Text100 = Annotated[StrictStr, Field(max_length=100), AfterValidator(storable)]
Text255 = Annotated[StrictStr, Field(max_length=255), AfterValidator(storable)]
LongText = Annotated[StrictStr, Field(max_length=LONGEST_TEXT), AfterValidator(storable)]
Language = Annotated[StrictStr, Field(min_length=2, max_length=5), AfterValidator(storable)]
Source = Annotated[
    StrictStr, Field(max_length=LONGEST_URL), AfterValidator(printable), AfterValidator(_web_address)
]
Day = Annotated[date, BeforeValidator(_day)]
FxaId = Annotated[StrictStr, Field(max_length=50), AfterValidator(printable)]
AmoUserId = Annotated[
    StrictStr, Field(max_length=40), AfterValidator(printable), BeforeValidator(_number_as_text)
]


class Body(BaseModel):
    """An object of a body."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NewEmail(Body):
    """The e-mail group of a new contact, which may bring its id."""

    email_id: Uuid4 | None = None
    primary_email: Address
    basket_token: AnyUuid | None = None
    double_opt_in: StrictBool = False
    sfdc_id: Identifier | None = None
    first_name: Text255 | None = None
    last_name: Text255 | None = None
    mailing_country: Text255 | None = None
    email_format: Literal["H", "T", "N", ""] = "H"
    email_lang: Text5 | None = "en"
    has_opted_out_of_email: StrictBool = False
    unsubscribe_reason: LongText | None = None


class NewAmo(Body):
    """The contact's data from the add-ons site."""

    add_on_ids: LongText | None = None
    display_name: Text255 | None = None
    email_opt_in: StrictBool = False
    language: Text5 | None = None
    last_login: Day | None = None
    location: Text255 | None = None
    profile_url: Text40 | None = None
    user: StrictBool = False
    user_id: AmoUserId | None = None
    username: Text100 | None = None


class NewFxa(Body):
    """The contact's account."""

    fxa_id: FxaId | None = None
    primary_email: AddressOrNothing | None = None
    created_date: Text255 | None = None
    lang: Text255 | None = None
    first_service: Text50 | None = None
    account_deleted: StrictBool = False


class NewMofo(Body):
    """The contact's data from the foundation."""

    mofo_email_id: Identifier | None = None
    mofo_contact_id: Identifier | None = None
    mofo_relevant: StrictBool = False


class NewVpnWaitlist(Body):
    """The contact's entry on the waitlist of the VPN."""

    geo: Text100 | None = None
    platform: Text100 | None = None


class NewNewsletter(Body):
    """One newsletter."""

    name: Name
    subscribed: StrictBool = True
    format: Literal["H", "T"] = "H"
    lang: Language = "en"
    source: Source | None = None
    unsub_reason: LongText | None = None


BODIES: dict[str, type[Body]] = {
    "amo": NewAmo,
    "email": NewEmail,
    "fxa": NewFxa,
    "mofo": NewMofo,
    "vpn_waitlist": NewVpnWaitlist,
}
"""Every group's model by its name in the API, as `groups.GROUPS` has the stored ones."""


def _partial(model: type[Body], **required: Any) -> Any:
    """Return the model with every field optional: `model_fields_set` tells what was given."""
    fields: dict[str, Any] = {
        name: (field.rebuild_annotation(), None)
        for name, field in model.model_fields.items()
        if name not in required
    }
    return create_model(f"{model.__name__}Changes", __base__=Body, **fields, **required)


def _or(word: str, model: Any) -> Any:
    """Return the type of what is either of the model, or this one word, or null for no change."""

    def check(value: Any, inner: Callable[[Any], Any]) -> Any:
        if isinstance(value, str):
            if value != word:
                raise PydanticCustomError("word", "Input should be values or '{word}'", {"word": word})
            return word
        return inner(value)

    return (Annotated[model | None, WrapValidator(check)], None)


def _few(model: Any) -> Any:
    return Annotated[list[model], Field(max_length=MOST_NEWSLETTERS)]


_OPTIONAL = {name: model for name, model in BODIES.items() if name != "email"}
_NEW_GROUPS: dict[str, Any] = {name: (model | None, None) for name, model in _OPTIONAL.items()}
_GROUP_CHANGES: dict[str, Any] = {name: _or(DELETE, _partial(model)) for name, model in _OPTIONAL.items()}

NewContact: Any = create_model(
    "NewContact",
    __base__=Body,
    email=(NewEmail, ...),
    newsletters=(_few(NewNewsletter) | None, None),
    **_NEW_GROUPS,
)

Changes: Any = create_model(
    "Changes",
    __base__=Body,
    email=(_partial(NewEmail) | None, None),
    newsletters=_or(UNSUBSCRIBE, _few(_partial(NewNewsletter, name=(Name, ...)))),
    **_GROUP_CHANGES,
)
