"""Masking of Stripe's error messages: ids and parameters stay, personal data and keys go. Pure.

A message may quote what was sent, and what Stripe knows of a customer.
Unquoted words of Stripe's own stay; anything quoted stays only if it is an id, a parameter or an enum's word.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import quote

MASK = "***"
LONGEST = 300
"""Characters of a masked message; a longer one is cut."""

_READ = 2_000
_HALVES = 400
"""Characters left out, at least, at the end of a message that is longer than `_READ`: half a value shows."""

_WHOLE_WORDS = 3
"""A shorter value is masked as a word only, not inside other words."""

IMPERSONAL = frozenset(
    (
        *(
            "mode",
            "customer",
            "price",
            "quantity",
            "subscription",
            "type",
            "cancel_at",
            "cancel_at_period_end",
        ),
        *("active", "lookup_keys", "limit", "expand", "starting_after", "idempotency_key"),
        *(f"metadata[mainstem_{name}]" for name in ("account", "reservation", "attempt")),
    )
)
"""Parameters of ours that never hold personal data; the values of all others are masked."""

_IDS = (
    *("acct", "bpc", "bps", "card", "ch", "cs_live", "cs_test", "cus", "dp", "evt", "ii", "il", "in", "li"),
    *(
        "mtr",
        "pi",
        "pm",
        "price",
        "prod",
        "promo",
        "qt",
        "req",
        "seti",
        "si",
        "sub",
        "sub_sched",
        "txn",
        "we",
    ),
)
_ID = re.compile(rf"(?:{'|'.join(_IDS)})_[A-Za-z0-9]{{1,80}}")
_PARAMETER = re.compile(r"[a-z][a-z_]{0,60}[0-9]?(?:\[(?:[a-z_]{1,60}|[0-9]{1,3})\]){0,8}")
_EMAIL = re.compile(r"[^\s'\"`<>(),;]*(?:@|%40)[^\s'\"`<>(),;]*")
_URL = re.compile(r"https?://\S*", re.IGNORECASE)
_STRIPES_URL = re.compile(r"https://(?:dashboard\.|docs\.|support\.)?stripe\.com/[\w./-]*", re.ASCII)
_QUOTED = re.compile("(?<!\\w)(['\"`])(.*?)\\1(?!\\w)|\u201c(.*?)\u201d|\u2018(.*?)\u2019")
_PHONE = re.compile(r"(?<!\w)\+?\(?\d[\d\s().-]{5,}\d(?!\w)")
_TOKEN = re.compile(r"[\w*]+")
_KEY = re.compile(r"^(?:sk|rk|pk|ek)_|(?:sk|rk|pk|ek)_(?:live|test)|whsec_|_secret_", re.IGNORECASE)
_DIGITS = re.compile(r"\d{4}")


def masked(message: str, sent: Mapping[str, Any]) -> str:
    """Return a message without personal data and keys, in one line of at most `LONGEST` characters.

    `sent` has the request's parameters; each value but those of `IMPERSONAL` is masked wherever it stands.
    """
    text = " ".join("".join(one if one.isprintable() else " " for one in message[:_READ]).split())
    kept = frozenset(_values(sent, is_personal=False))
    personal = sorted(set(_values(sent, is_personal=True)), key=len, reverse=True)
    for value in personal:
        text = _without(text, value)
    text = _URL.sub(lambda found: _url(found.group()), text)
    text = _EMAIL.sub(MASK, text)
    text = _QUOTED.sub(lambda found: _quoted(found, kept), text)
    text = _PHONE.sub(MASK, text)
    text = _TOKEN.sub(lambda found: _token(found.group(), kept), text)
    if len(message) > _READ:
        text = text[: -max([_HALVES, *map(len, personal)])] or MASK
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def word(value: object, sent: Mapping[str, Any]) -> str | None:
    """Return a parameter or a code of Stripe's, None if it is not of that form."""
    if not isinstance(value, str) or _PARAMETER.fullmatch(value) is None:
        return None
    return value if _without(value, *set(_values(sent, is_personal=True))) == value else None


def request_id(value: object) -> str | None:
    """Return the id of a request to Stripe, None if it is none."""
    return value if isinstance(value, str) and re.fullmatch(r"req_[A-Za-z0-9]{1,80}", value) else None


def _without(text: str, *values: str) -> str:
    for value in values:
        edges = ("", "") if len(value) >= _WHOLE_WORDS else (r"(?<!\w)", r"(?!\w)")
        text = re.sub(f"{edges[0]}{re.escape(value)}{edges[1]}", MASK, text, flags=re.IGNORECASE)
    return text


def _values(sent: object, *, is_personal: bool, name: str = "") -> Iterator[str]:
    """Yield the texts below a parameter, each as it was sent and as a URL would have it."""
    if isinstance(sent, Mapping):
        for key, value in sent.items():
            # Keys of metadata may be of any name: the setting of the owner's link chooses them.
            within = f"metadata[{key}]" if name.startswith("metadata") else str(key)
            yield from _values(value, is_personal=is_personal, name=within)
    elif isinstance(sent, list | tuple):
        for value in sent:
            yield from _values(value, is_personal=is_personal, name=name)
    elif isinstance(sent, str) and is_personal == (name not in IMPERSONAL):
        text = " ".join(sent.split())
        yield from (one for one in (text, quote(text, safe="")) if one)


def _url(text: str) -> str:
    known = _STRIPES_URL.match(text)
    return MASK if known is None else known.group()


def _quoted(found: re.Match[str], kept: Collection[str]) -> str:
    whole, inside = found.group(), next(one for one in found.groups()[1:] if one is not None)
    # Stripe puts parameters and words of enums between backquotes; a name would stand between others.
    is_named = whole[0] == "`" or "_" in inside or "[" in inside
    is_plain = inside in kept or _ID.fullmatch(inside) or (is_named and _PARAMETER.fullmatch(inside))
    return whole if is_plain else f"{whole[0]}{MASK}{whole[-1]}"


def _token(text: str, kept: Collection[str]) -> str:
    if text in kept or _ID.fullmatch(text):
        return text
    return MASK if _KEY.search(text) or _DIGITS.search(text) else text
