"""Whoever switches a check off says why, on the same line."""

import io
import re
import tokenize
from collections.abc import Iterator

import pytest
from tree import list_files, name_of

# Spelled in pieces, so that this file switches nothing off.
SWITCH = re.compile(
    r"#\s*(no" + r"qa|type:\s*ig" + r"nore|pra" + r"gma\b|py" + r"right:|my" + r"py:|fmt:\s*(off|skip))"
)

GIVEN = re.compile(
    r"#\s(no" + r"qa: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*|pra" + r"gma: [a-z ]+) -- \S.*"
    # mypy takes nothing but another comment after its own.
    r"|#\stype: ig" + r"nore\[[a-z-]+(, ?[a-z-]+)*\]  # \S.*"
)


def list_comments(text: str) -> Iterator[tuple[int, str]]:
    """Yield each comment with its line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def is_unexplained(comment: str) -> bool:
    return SWITCH.search(comment) is not None and GIVEN.fullmatch(comment) is None


def test_every_switched_off_check_has_its_reason_on_the_line() -> None:
    found = [
        f"{name_of(path)}:{line}: {comment}"
        for path in list_files(".py")
        # Cutting a file into tokens is slow, and few files switch anything off.
        if SWITCH.search(text := path.read_text(encoding="utf-8"))
        for line, comment in list_comments(text)
        if is_unexplained(comment)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("comment", "is_found"),
    [
        ("# no" + "qa", True),
        ("# no" + "qa: E501", True),
        ("# no" + "qa: E501 - a reason", True),
        ("# no" + "qa: E501, S608 -- a reason", False),
        ("# type: ig" + "nore", True),
        ("# type: ig" + "nore[misc]", True),
        ("# type: ig" + "nore[misc]  # a reason", False),
        ("# pra" + "gma: no cover", True),
        ("# pra" + "gma: no cover -- a reason", False),
        ("# fmt: off", True),
        ("# an ordinary comment", False),
    ],
)
def test_a_switch_without_a_reason_is_found(comment: str, *, is_found: bool) -> None:
    assert is_unexplained(comment) is is_found
