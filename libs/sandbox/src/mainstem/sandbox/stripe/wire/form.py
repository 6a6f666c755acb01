"""Nested parameters in Stripe's form encoding: `items[0][price]=price_1`."""

import re
from typing import Any
from urllib.parse import parse_qsl

from mainstem.sandbox.stripe.wire.errors import StripeError

Tree = dict[str, Any]
"""Parameters as sent: texts, lists and trees of them. An empty text unsets what it names."""

_NAME = re.compile(r"(?P<root>[^\[\]]+)(?P<rest>(?:\[[^\[\]]*\])*)")
_PART = re.compile(r"\[([^\[\]]*)\]")
_DEEPEST = 8
"""Stripe's deepest parameter is shallower; a hostile one must not exhaust the stack."""


def parse(text: str) -> Tree:
    """Return the parameters of a form or query string as a tree.

    Raises:
        StripeError: a name's brackets do not match, or one name is used in two ways.
    """
    root: Tree = {}
    try:
        for name, value in parse_qsl(text, keep_blank_values=True, errors="strict"):
            _place(root, _path(name), value)
    except (TypeError, UnicodeDecodeError) as error:
        raise StripeError("Invalid request: the parameters contradict each other.") from error
    return {name: _with_lists(name, value) for name, value in root.items()}


def _path(name: str) -> list[str]:
    match = _NAME.fullmatch(name)
    parts = [] if match is None else [match["root"], *_PART.findall(match["rest"])]
    if not 1 <= len(parts) <= _DEEPEST:
        raise StripeError(f"Invalid parameter name: {name}", param=name)
    return parts


def _place(root: Tree, path: list[str], value: str) -> None:
    branch = root
    for part in path[:-1]:
        branch = branch.setdefault(part or str(len(branch)), {})
        if not isinstance(branch, dict):
            raise TypeError(part)
    leaf = path[-1] or str(len(branch))
    if isinstance(branch.get(leaf), dict):
        raise TypeError(leaf)
    branch[leaf] = value


def _with_lists(name: str, value: Any) -> Any:
    # The keys of metadata are the user's own, numbers among them.
    if not isinstance(value, dict) or name == "metadata":
        return value
    if value and all(key.isascii() and key.isdigit() for key in value):
        return [_with_lists("", value[key]) for key in sorted(value, key=int)]
    return {key: _with_lists(key, member) for key, member in value.items()}
