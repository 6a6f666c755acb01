"""Masked messages: no value that was sent, no address and no key shows, whatever Stripe quotes."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.billing.stripe.masking import LONGEST, masked, request_id, word
from mainstem.billing.stripe.refusals import UnnamedRefusalError, refused

SENT: Any = {
    "email": "Ada.Lovelace@example.com",
    "description": "person-1",
    "metadata": {"who": "Ada King", "mainstem_account": "01a2"},
    "customer": "cus_123",
}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("No such customer: 'cus_NffrFeUfNV2Hib'", "No such customer: 'cus_NffrFeUfNV2Hib'"),
        (
            "Quantity is wrong where usage_type is `metered`. Remove quantity from `line_items[0]`",
            "Quantity is wrong where usage_type is `metered`. Remove quantity from `line_items[0]`",
        ),
        (
            "managed by the subscription schedule `sub_sched_1FwPO`",
            "managed by the subscription schedule `sub_sched_1FwPO`",
        ),
        ("Invalid email address: ada.lovelace@example.com", "Invalid email address: ***"),
        ("Invalid email: other%40example.net.", "Invalid email: ***"),
        ("Invalid API Key provided: sk_test_***********ab12", "Invalid API Key provided: ***"),
        ("Invalid secret 'whsec_abc' for `pi_1_secret_2`", "Invalid secret '***' for `***`"),
        ("The key 'rk_live_51H' lacks 'rak_price_read'", "The key '***' lacks 'rak_price_read'"),
        ("Invalid name: Ada King is odd", "Invalid name: *** is odd"),
        ("Invalid description 'PERSON-1'", "Invalid description '***'"),
        (
            "Not a name: 'Grace'; it's O'Brien's, can't say 'x'",
            "Not a name: '***'; it's O'Brien's, can't say '***'",
        ),
        ("Call +44 (20) 7946-0958, card 4242 4242 4242 4242", "Call ***, card ***"),
        ("ending in 4242", "ending in ***"),
        (
            "See https://dashboard.stripe.com/settings/billing/portal.",
            "See https://dashboard.stripe.com/settings/billing/portal.",
        ),
        ("See https://example.com/?who=ada", "See ***"),
        ('one\nline\x00 {"event": 1}', 'one line {"***": 1}'),
    ],
)
def test_message_keeps_ids_and_parameters_and_loses_persons_and_keys(message: str, expected: str) -> None:
    assert masked(message, SENT) == expected


def test_long_message_is_cut() -> None:
    assert len(masked("word " * 10_000, {})) == LONGEST


@pytest.mark.parametrize("value", ["Ada Lovelace of Ockham Park, " * 9, "ada.lovelace@sub.example.org "])
def test_value_that_the_limit_of_reading_cuts_does_not_show(value: str) -> None:
    for before in range(0, len(value), 7):
        shown = masked("x" * before + " " + value * 1_000, {"description": value.strip()})
        assert "ada" not in shown.casefold()


VALUES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="*"),
    min_size=3,
).filter(lambda text: len(" ".join(text.split())) >= 3)
NAMES = st.sampled_from(("email", "name", "description", "client_reference_id", "return_url", "later"))
QUOTES = st.sampled_from(("'{}'", '"{}"', "`{}`", "{}", "({}).", "x{}y", "“{}”", "“{}", "'{}"))
ADDRESS = "bob.stone@example.org"
KEY = "sk_live_51Habcdef"


@given(
    sent=st.dictionaries(NAMES, st.one_of(VALUES, st.fixed_dictionaries({"key": VALUES})), max_size=4),
    quotes=st.lists(QUOTES, min_size=5, max_size=5),
    spelling=st.sampled_from((str, str.upper, str.lower, quote)),
)
def test_no_personal_value_address_or_key_ever_shows(sent: Any, quotes: list[str], spelling: Any) -> None:
    values = [one if isinstance(one, str) else one["key"] for one in sent.values()]
    plain = [" ".join(one.split()) for one in values]
    told = [mark.format(one) for mark, one in zip(quotes, [*values, ADDRESS, KEY], strict=False)]
    if spelling is not str:
        told += [spelling(one) for one in plain if one.isascii()]
    error = refused(
        400, {"error": {"message": f"Invalid value: {' and '.join(told)}.", "code": values[:1]}}, None, sent
    )
    assert isinstance(error, UnnamedRefusalError)
    shown = error.refusal.message.casefold()
    # What a person is called may also be a word of ours, such as `value`, which is masked as well.
    for value in [*plain, ADDRESS, KEY]:
        assert value.casefold() not in shown


def test_decisions_do_not_depend_on_what_is_masked() -> None:
    body = {
        "error": {"code": "resource_missing", "param": "customer", "message": "No such customer: 'cus_1'"}
    }
    error = refused(404, body, None, {"client_reference_id": "cust", "metadata": {"customer": "resource"}})
    assert (error.code, error.param) == ("resource_missing", "customer")
    assert (error.refusal.code, error.refusal.param) == (None, None)


@pytest.mark.parametrize("key", ["customer", "price", "type", "who", "metadata"])
def test_owner_in_metadata_does_not_show_whatever_its_key_is(key: str) -> None:
    for sent in ({"metadata": {key: "Ada"}}, {"subscription_data": {"metadata": {key: "Ada"}}}):
        assert masked("No such owner: 'Ada'", sent) == "No such owner: '***'"


def test_parameter_and_code_of_another_form_do_not_show() -> None:
    assert word("line_items[0][price]", SENT) == "line_items[0][price]"
    assert word("subscription_data[metadata][who]", SENT) == "subscription_data[metadata][who]"
    for odd in ("ada@example.com", "Ada", "a b", "x" * 100, 7, None, ["a"]):
        assert word(odd, SENT) is None
    assert word("lovelace", {"name": "lovelace"}) is None
    assert (request_id("req_1aB"), request_id("ada"), request_id(None)) == ("req_1aB", None, None)


@pytest.mark.parametrize("body", [None, [], "x", {}, {"error": None}, {"error": "denied"}, {"error": []}])
def test_refusal_in_no_form_of_stripes_says_so(body: Any) -> None:
    error = refused(403, json.loads(json.dumps(body)), "req_1", {})
    cause = "the answer is not in the form of Stripe's errors (HTTP 403, request req_1)"
    assert error.detail == f"Stripe refused the request: {cause}"
    assert error.problem()["stripe"]["status"] == 403
