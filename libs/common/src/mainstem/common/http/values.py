"""Types for what callers send: identities, e-mail addresses, UUIDs and texts, for pydantic models. Pure.

An identity is refused if it could be read as another one: it is one JSON string, in one spelling.
"""

import re
from typing import Annotated, Any
from uuid import UUID

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, TypeAdapter
from pydantic_core import PydanticCustomError

from mainstem.common.owner import ADDRESSES, LONGEST, NUMBERS, UUIDS

LONGEST_ADDRESS = 254
"""Characters, which RFC 5321 leaves of a path of 256."""

LARGEST = 2**63 - 1
"""The greatest number that Postgres holds as `bigint`."""

# Addresses in reserved domains, as in ada@shop.test, are addresses; whether mail arrives is not checked.
SPECIAL_USE_DOMAIN_NAMES.clear()

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_UUID4 = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)
_DECIMAL = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def storable(text: str) -> str:
    """Return the text if Postgres can hold it.

    Raises:
        PydanticCustomError: it has a NUL or half of a surrogate pair in it.
    """
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise PydanticCustomError("unstorable", "NUL and unpaired surrogates cannot be stored")
    return text


def printable(text: str) -> str:
    """Return the text if nothing in it is invisible, and no space is at either end.

    Raises:
        PydanticCustomError: it has a control character, a separator, a lone surrogate or U+FFFD in it.
    """
    # U+FFFD stands where bytes of a path or a query were no UTF-8: several texts would become one.
    if not text.isprintable() or text != text.strip() or "\ufffd" in text:
        raise PydanticCustomError(
            "identifier", "Input should be printable characters, without a space at either end"
        )
    return text


def _address(text: str) -> str:
    try:
        validate_email(text, strict=True, check_deliverability=False)
    except EmailNotValidError:
        raise PydanticCustomError(
            "email", "Input should be an e-mail address, as in ada@example.com"
        ) from None
    # Kept as it was given: what is stored is what the caller reads back.
    return text


def _uuid(value: Any) -> Any:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise PydanticCustomError("uuid", "Input should be a UUID of 36 characters, with hyphens")
    return value


def _uuid4(value: Any) -> Any:
    if not isinstance(value, str) or not _UUID4.fullmatch(value):
        raise PydanticCustomError(
            "uuid", "Input should be a UUID of version 4, of 36 characters with hyphens"
        )
    return value


def _decimal(value: Any) -> Any:
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value) or int(value) > LARGEST:
        raise PydanticCustomError(
            "decimal", f"Input should be a number from 1 to {LARGEST} in decimal digits"
        )
    return value


Identifier = Annotated[StrictStr, Field(max_length=LONGEST), AfterValidator(printable)]
"""An id as its issuer spells it; case counts, and it may be empty."""

Name = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST), AfterValidator(printable)]
"""An id that is not empty."""

Address = Annotated[StrictStr, Field(min_length=1, max_length=LONGEST_ADDRESS), AfterValidator(_address)]
"""An e-mail address, as it is written."""

AddressOrNothing = Annotated[
    StrictStr, Field(max_length=LONGEST_ADDRESS), AfterValidator(lambda text: text and _address(text))
]
"""An e-mail address, or the empty text."""

AnyUuid = Annotated[UUID, BeforeValidator(_uuid)]
"""A UUID of any version."""

Uuid4 = Annotated[UUID, BeforeValidator(_uuid4)]

Number = Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
"""A number that identifies something, in JSON."""

Decimal = Annotated[int, BeforeValidator(_decimal)]
"""The same number, in a path or a query."""


def of_kind(kind: str) -> TypeAdapter[Any]:
    """Return the reader of an identity's text."""
    return next((reader for kinds, reader in _READERS if kind in kinds), _NAME)


_NAME: TypeAdapter[Any] = TypeAdapter(Name)
_READERS: tuple[tuple[frozenset[str], TypeAdapter[Any]], ...] = (
    (ADDRESSES, TypeAdapter(Address)),
    (UUIDS, TypeAdapter(AnyUuid)),
    (NUMBERS, TypeAdapter(Decimal)),
)
