"""Spellings of identities: one identity has one, and anything else is refused without repeating it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from spellings import ADDRESSES, NAMES, NO_ADDRESSES, NO_NAMES, NO_NUMBERS, NO_UUIDS, NUMBERS, UUID1, UUID4

from mainstem.common import owner
from mainstem.common.http import values
from mainstem.common.http.values import Number, Uuid4, of_kind

NO_TEXTS: tuple[Any, ...] = (None, True, 1, 1.0, float("nan"), float("inf"), [], {}, b"fan@example.com")


def refuses(reader: TypeAdapter[Any], value: Any) -> bool:
    try:
        reader.validate_python(value)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize("kind", sorted(owner.ADDRESSES))
def test_address_is_kept_as_written_and_anything_else_refused(kind: str) -> None:
    reader = of_kind(kind)
    assert [reader.validate_python(address) for address in ADDRESSES] == list(ADDRESSES)
    assert [address for address in (*NO_ADDRESSES, *NO_TEXTS) if not refuses(reader, address)] == []


@pytest.mark.parametrize("kind", sorted(owner.UUIDS))
def test_uuid_has_one_spelling_but_for_case(kind: str) -> None:
    reader = of_kind(kind)
    for value in (UUID1, UUID4, UUID4.upper()):
        assert owner.normalise(kind, reader.validate_python(value)) == value.lower()
    assert [value for value in (*NO_UUIDS, *NO_TEXTS) if not refuses(reader, value)] == []


def test_uuid_of_another_version_is_refused_where_version_four_is_demanded() -> None:
    reader: TypeAdapter[Any] = TypeAdapter(Uuid4)
    assert str(reader.validate_python(UUID4.upper())) == UUID4
    other_variant = UUID4.replace("-896b-", "-c96b-")
    assert all(refuses(reader, value) for value in (*NO_UUIDS, *NO_TEXTS, UUID1, other_variant))


@pytest.mark.parametrize("kind", sorted(owner.NAMES))
def test_name_is_printable_text_without_space_at_either_end(kind: str) -> None:
    reader = of_kind(kind)
    assert [reader.validate_python(name) for name in NAMES] == list(NAMES)
    assert [name for name in (*NO_NAMES, "", *NO_TEXTS) if not refuses(reader, name)] == []


def test_number_has_one_spelling_in_a_query() -> None:
    reader = of_kind("github_user_id")
    assert [str(reader.validate_python(number)) for number in NUMBERS] == list(NUMBERS)
    assert [number for number in (*NO_NUMBERS, "", *NO_TEXTS) if not refuses(reader, number)] == []


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.0", "1e3", '"1"', "true", "null", "9223372036854775808", "[1]"]
)
def test_number_in_json_is_an_integer_of_postgres(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Number).validate_json(text)
    assert TypeAdapter(Number).validate_json("9223372036854775807") == values.LARGEST


@pytest.mark.parametrize("kind", sorted(owner.KINDS))
def test_refusal_never_repeats_the_value(kind: str) -> None:
    with pytest.raises(ValidationError) as raised:
        of_kind(kind).validate_python(" hunter2 ")
    assert "hunter2" not in raised.value.errors()[0]["msg"]


@given(kind=st.sampled_from(sorted(owner.KINDS)), text=st.text())
def test_any_text_is_refused_or_compared_as_what_it_says(kind: str, text: str) -> None:
    reader = of_kind(kind)
    if not refuses(reader, text):
        compared = owner.normalise(kind, reader.validate_python(text))
        assert compared in (text, text.lower())
        assert 0 < len(text) <= owner.LONGEST
