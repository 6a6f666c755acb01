"""Reading forms: whatever the official SDK writes is read as it was meant."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from mainstem.sandbox.stripe.wire import form
from mainstem.sandbox.stripe.wire.errors import StripeError

NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda name: name != "metadata")
TREES: st.SearchStrategy[Any] = st.recursive(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
    lambda inner: (
        st.dictionaries(NAMES, inner, min_size=1, max_size=4) | st.lists(inner, min_size=1, max_size=12)
    ),
    max_leaves=5,
)
"""Texts in lists and dictionaries, less deep than what the reader refuses."""


@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_what_the_sdk_encodes_is_read_as_it_was(tree: dict[str, Any]) -> None:
    assert form.parse(urlencode(list(_api_encode(tree)))) == tree


def test_empty_brackets_append() -> None:
    assert form.parse("expand[]=customer&expand[]=items&created%5Bgte%5D=5&name=") == {
        "expand": ["customer", "items"],
        "created": {"gte": "5"},
        "name": "",
    }


def test_metadata_keeps_keys_that_are_numbers() -> None:
    assert form.parse("metadata[1]=a&items[0][metadata][0]=b") == {
        "metadata": {"1": "a"},
        "items": [{"metadata": {"0": "b"}}],
    }


@pytest.mark.parametrize(
    "text", ["a[b=1", "[a]=1", "a]=1", "a=1&a[b]=2", "a[b]=1&a=2", "=1", "a" + "[b]" * 9 + "=1", "a=%ff"]
)
def test_a_form_that_contradicts_itself_is_refused(text: str) -> None:
    with pytest.raises(StripeError):
        form.parse(text)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(StripeError):
        assert isinstance(form.parse(text), dict)
