from hypothesis import given
from hypothesis import strategies as st

from mainstem.sync.platforms.difference import compare, hashed, kept, unknown

VALUES = st.none() | st.text(max_size=2)
ROWS = st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), VALUES), max_size=3)
TABLES = st.fixed_dictionaries({"main": ROWS, "product": ROWS})

Given = dict[str, dict[str, dict[str, str | None]]]


@given(tables=TABLES)
def test_what_was_just_sent_does_not_differ(tables: Given) -> None:
    difference = compare(tables, hashed(tables))
    assert not difference.changed
    assert not difference.vanished


@given(before=TABLES, after=TABLES)
def test_a_table_differs_if_a_row_does_and_keys_that_are_gone_have_vanished(
    before: Given, after: Given
) -> None:
    difference = compare(after, hashed(before))
    for table, rows in before.items():
        new = {key for key, row in after[table].items() if rows.get(key) != row}
        assert (table in difference.changed) == bool(new)
        assert difference.vanished.get(table, set()) == rows.keys() - after[table].keys()


@given(before=TABLES, after=TABLES)
def test_after_an_unknown_outcome_all_goes_again_and_nothing_is_forgotten(
    before: Given, after: Given
) -> None:
    base = unknown(hashed(before), hashed(after))
    assert compare(after, base).changed == {table for table, rows in after.items() if rows}
    for table, rows in before.items():
        assert compare({}, base).vanished.get(table, set()) == rows.keys() | after[table].keys()


def test_the_order_of_columns_says_nothing() -> None:
    assert hashed({"t": {"k": {"a": "1", "b": None}}}) == hashed({"t": {"k": {"b": None, "a": "1"}}})


def test_no_value_and_an_empty_one_are_not_the_same() -> None:
    assert hashed({"t": {"k": {"a": None}}}) != hashed({"t": {"k": {"a": ""}}})


def test_keys_that_stay_at_the_platform_are_kept() -> None:
    assert kept({"product": {"a": "1"}}, {"product": {"b"}, "other": {"c"}}) == {
        "product": {"a": "1", "b": None},
        "other": {"c": None},
    }
