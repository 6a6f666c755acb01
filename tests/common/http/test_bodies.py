from typing import Any

import pytest
from pydantic import BaseModel

from mainstem.common.errors import BadRequestError, InvalidError
from mainstem.common.http.bodies import LEVELS, MOST_CONTAINERS, MOST_ERRORS, parse, read, read_values


class Order(BaseModel):
    count: int | None = None
    price: float | None = None
    names: list[int] = []
    anything: Any = None


NOT_JSON = {
    "nothing": b"",
    "text": b"hello",
    "NaN": b'{"anything": NaN}',
    "infinity": b'{"anything": -Infinity}',
    "a number beyond all numbers": b'{"anything": 1e400}',
    "one inside an array": b'{"anything": [{"a": [-1e999]}]}',
    "5,000 digits": b'{"anything": ' + b"9" * 5_000 + b"}",
    "a member twice": b'{"count": 1, "count": 2}',
    "a member twice, spelled differently": b'{"anything": {"a": 1, "\\u0061": 2}}',
    "bytes that are no UTF-8": b'{"anything": "\xff"}',
    "half of a surrogate pair": b'{"anything": "\\ud800"}',
    "the other half, as a name": b'{"anything": [{"\\udc00": 1}]}',
    "half of a pair in UTF-8": b'{"anything": "\xed\xa0\x80"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"count": 1}'.encode("utf-16-le"),
    "something behind it": b"{} {}",
    "a NUL behind it": b"{}\0",
    "a leading zero": b'{"count": 01}',
    "a trailing comma": b'{"names": [1,]}',
    "a comment": b"{} // no",
    "single quotes": b"{'count': 1}",
    "a line break in a text": b'{"anything": "a\nb"}',
    "other space": "{\u00a0}".encode(),
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_json_is_invalid_wherever_it_stands(body: bytes) -> None:
    with pytest.raises(InvalidError) as raised:
        read(Order, body)
    (problem,) = raised.value.members["errors"]
    assert (problem["loc"], problem["type"]) == (["body"], "json_invalid")
    assert problem["msg"].startswith("Invalid JSON: ")


@pytest.mark.parametrize("body", [b"[" * 10_000, b'{"a":' * 10_000])
def test_a_body_that_never_stops_nesting_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequestError, match="64 levels"):
        parse(body)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_ends_at_64_levels(opening: bytes, closing: bytes) -> None:
    parse(opening * LEVELS + b"1" + closing * LEVELS)
    with pytest.raises(BadRequestError):
        parse(opening * (LEVELS + 1) + b"1" + closing * (LEVELS + 1))


def test_an_empty_array_at_the_last_level_is_a_level_of_its_own() -> None:
    with pytest.raises(BadRequestError):
        parse(b"[" * (LEVELS + 1) + b"]" * (LEVELS + 1))


def test_what_json_allows_is_read() -> None:
    anything = b'["\\ud83d\\ude00", "\\u0000", 1E5, null, {"a": {}}]'
    order = read(Order, b' {"count": -0, "price": 1e-400, "anything": %b}\r\n' % anything)
    assert (order.count, order.price) == (0, 0.0)
    assert order.anything == ["\U0001f600", "\0", 100_000.0, None, {"a": {}}]


def test_an_error_names_the_field_and_never_its_value() -> None:
    with pytest.raises(InvalidError) as raised:
        read(Order, b'{"count": "a secret", "price": "another secret"}')
    assert [one["loc"] for one in raised.value.members["errors"]] == [["body", "count"], ["body", "price"]]
    assert raised.value.detail.endswith("(and 1 more)")
    assert "secret" not in str(raised.value.problem())


def test_the_error_of_a_body_that_is_not_json_quotes_nothing_of_it() -> None:
    for body in (
        b'{"secret": 1, "secret": 2}',
        b"secret",
        b'{"a": "secret\\x"}',
        b'{"secret" 1}',
        b"[1e400]",
    ):
        with pytest.raises(InvalidError) as raised:
            read(Order, body)
        assert "secret" not in str(raised.value.problem())
        assert "400" not in str(raised.value.problem()["errors"])


def test_an_answer_lists_so_many_errors_and_no_more() -> None:
    with pytest.raises(InvalidError) as raised:
        read(Order, b'{"names": [' + b",".join([b'"a"'] * 1_000) + b"]}")
    assert len(raised.value.members["errors"]) == MOST_ERRORS
    assert raised.value.detail.endswith("(and 999 more)")


def test_values_of_a_query_are_refused_by_their_place() -> None:
    assert read_values(Order, {"count": "7"}, "query").count == 7
    with pytest.raises(InvalidError) as raised:
        read_values(Order, {"count": "a secret"}, "query")
    assert raised.value.members["errors"][0]["loc"] == ["query", "count"]
    assert "secret" not in str(raised.value.problem())


def test_body_of_very_many_objects_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadRequestError, match="objects and arrays"):
        parse(b"[" + b"{}," * MOST_CONTAINERS + b"{}]")
    assert len(parse(b"[" + b"{}," * 10_000 + b"{}]")) == 10_001
