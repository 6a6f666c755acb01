"""Token requests as they are sent: a form with a grant, a scope and maybe credentials, or a Basic header."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, unquote_plus

from mainstem.common.errors import BadRequestError, InvalidError

FORM = "application/x-www-form-urlencoded"
FORM_FIELDS = 32

LONGEST = {"client_id": 255, "client_secret": 1024, "scope": 1024}
"""Most characters of each parameter."""

_GRANTS = "^(client_credentials|refresh_token)$"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Client id and secret, and where they stood. The secret is in no representation."""

    client_id: str
    client_secret: str = field(repr=False)
    source: Literal["form", "header"]


class CredentialsError(BadRequestError):
    """The credentials will not do. Which part of them is wrong is for the log alone."""

    def __init__(self) -> None:
        super().__init__("Incorrect username or password", error="invalid_client")


class GrantError(InvalidError):
    """The grant type is another one than those that are served."""

    def __init__(self) -> None:
        problem = f'string does not match regex "{_GRANTS}"'
        super().__init__(
            "grant_type must be client_credentials",
            [{"loc": ["body", "grant_type"], "msg": problem, "type": "value_error.str.regex"}],
        )
        self.members["error"] = "unsupported_grant_type"


def parse_form(content_type: str, body: bytes) -> dict[str, str]:
    """Return the parameters of a token request (RFC 6749, 3.2); those without a value are left out.

    Raises:
        BadRequestError: no form, one that cannot be read, or a parameter that is there twice.
    """
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise BadRequestError(f"send the parameters as a form: Content-Type: {FORM}", error="invalid_request")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="strict")
    except ValueError:
        raise BadRequestError("the form cannot be read", error="invalid_request") from None
    form = dict(pairs)
    if len(form) < len(pairs):
        raise BadRequestError("a parameter is there twice; send each once", error="invalid_request")
    _check_lengths(form)
    return {name: value for name, value in form.items() if value}


def check_grant(form: Mapping[str, str]) -> None:
    """Return if the grant is one that is served.

    Raises:
        BadRequestError: it is missing.
        GrantError: it is another one.
    """
    if "grant_type" not in form:
        raise BadRequestError(
            "grant_type is missing; send grant_type=client_credentials", error="invalid_request"
        )
    if not re.fullmatch(_GRANTS, form["grant_type"]):
        raise GrantError


def credentials_of(form: Mapping[str, str], authorization: str | None) -> Credentials | None:
    """Return the credentials of a request, or None; a form with both parts wins over the header.

    Raises:
        BadRequestError: a part of them is too long.
    """
    if form.get("client_id") and form.get("client_secret"):
        return Credentials(form["client_id"], form["client_secret"], "form")
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(" "), validate=True).decode().partition(":")
        # RFC 6749, 2.3.1: both parts are encoded as in a form, which changes nothing of our own secrets.
        parts = {"client_id": _unquote(client_id), "client_secret": _unquote(secret)}
    except (binascii.Error, ValueError):
        return None
    _check_lengths(parts)
    return Credentials(**parts, source="header") if colon else None


def _unquote(text: str) -> str:
    return unquote_plus(text, errors="strict")


def _check_lengths(parts: Mapping[str, str]) -> None:
    for name, longest in LONGEST.items():
        if len(parts.get(name, "")) > longest:
            raise BadRequestError(f"{name} is longer than {longest} characters", error="invalid_request")
