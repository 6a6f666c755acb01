"""Bounds of the texts that rows are found by: Postgres can store and index each of them."""

import re

from mainstem.common.errors import BadRequestError

MOST_CHARACTERS = 255
"""Longest text: a row of a btree index holds about 2,700 bytes, and an index has several columns."""

UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, and halves of surrogate pairs: no text in Postgres holds them."""


def check(**texts: str | None) -> None:
    """Pass if each text can be stored and indexed.

    Raises:
        BadRequestError: names the first text that cannot, and why.
    """
    check_length(**texts)
    for name, text in texts.items():
        if text is not None and UNSTORABLE.search(text):
            raise BadRequestError(f"the {_plain(name)} holds a character that cannot be stored")


def check_length(**texts: str | None) -> None:
    """Pass if no text is too long.

    Raises:
        BadRequestError: names the first one that is.
    """
    for name, text in texts.items():
        if text is not None and len(text) > MOST_CHARACTERS:
            raise BadRequestError(f"the {_plain(name)} has more than {MOST_CHARACTERS} characters")


def _plain(name: str) -> str:
    return name.replace("_", " ")
