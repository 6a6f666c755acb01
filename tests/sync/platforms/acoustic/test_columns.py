import dataclasses
import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.sync.platforms.acoustic import columns
from mainstem.sync.profiles.groups import Amo, Contact, Email, Fxa, Group, Mofo, Newsletter, Span, VpnWaitlist
from mainstem.sync.profiles.profile import Product, build

ID = UUID("93db83d4-4119-4e0c-af87-a713786fa81d")
SPAN = Span(datetime(2020, 3, 28, 15, 41, tzinfo=UTC), datetime(2021, 1, 28, tzinfo=UTC))
EMAIL = Email(primary_email="fan@example.com")
PRODUCT = Product(
    payment_service="stripe",
    account="default",
    product_id="prod_1",
    segment="active",
    changed=datetime(2021, 9, 27, tzinfo=UTC),
    sub_count=2,
    price_id=None,
    currency=None,
    amount=None,
    interval=None,
    interval_count=None,
    status=None,
    created=None,
    start=None,
    current_period_start=None,
    current_period_end=datetime(2021, 11, 27, 1, 2, 3, tzinfo=UTC),
    canceled_at=None,
    cancel_at_period_end=None,
    ended_at=None,
)


def contact(*newsletters: Newsletter, **groups: Group) -> Contact:
    given = {"email": EMAIL, **groups}
    return Contact(ID, given, {one.name: one for one in newsletters}, dict.fromkeys(given, SPAN))


def main(*newsletters: Newsletter, **groups: Group) -> tuple[dict[str, str | None], dict[str, Any]]:
    row, notes = columns.main_row(build(contact(*newsletters, **groups), ()))
    return dict(row), dict(notes)


def test_a_minimal_contact_has_31_columns() -> None:
    row, notes = main()
    assert {name: value for name, value in row.items() if not name.startswith("sub_")} == {
        "email": "fan@example.com",
        "basket_token": None,
        "double_opt_in": "0",
        "sfdc_id": None,
        "first_name": None,
        "last_name": None,
        "mailing_country": None,
        "email_format": "H",
        "email_lang": "en",
        "has_opted_out_of_email": "0",
        "unsubscribe_reason": None,
        "email_id": "93db83d4-4119-4e0c-af87-a713786fa81d",
        "create_timestamp": "03/28/2020",
    }
    assert len(row) == 31
    assert notes == {}


def test_a_full_contact_has_49_columns_and_none_of_the_foundation() -> None:
    row, notes = main(
        amo=Amo(user=True, last_login=date(2020, 1, 27)),
        fxa=Fxa(fxa_id="f", created_date="2019-05-22T08:29:31.906094+00:00"),
        vpn_waitlist=VpnWaitlist(geo="ca"),
        mofo=Mofo(mofo_relevant=True),
    )
    assert len(row) == 49
    assert row["amo_user"] == "1"
    assert row["amo_last_login"] == "01/27/2020"
    assert row["fxa_id"] == "f"
    assert row["fxa_created_date"] == "05/22/2019"
    assert row["vpn_waitlist_geo"] == "ca"
    assert notes == {"fxa_created_date_converted": "success"}


def test_a_field_without_a_column_is_named() -> None:
    class Odd(Group):
        zeta: int = 1
        alpha: int = 2

    class MoreEmail(Email):
        nickname: str = "F"

    row, notes = main(odd=Odd(), email=MoreEmail(primary_email="fan@example.com"))
    assert notes["skipped_fields"] == ["email.nickname", "odd.alpha", "odd.zeta"]
    assert len(row) == 31


@pytest.mark.parametrize(
    ("newsletters", "flags"),
    [
        ([], set()),
        (["common-voice", "mozilla-rally", "app-dev"], {"common_voice", "rally", "apps_and_hacks"}),
        (["firefox-news"], {"firefox_news"}),
        (["mozilla-and-you"], {"firefox_news"}),
        (["never-heard-of"], set()),
    ],
)
def test_a_subscribed_newsletter_raises_its_flag(newsletters: list[str], flags: set[str]) -> None:
    row, _ = main(*(Newsletter(name=name) for name in newsletters))
    flagged = {name: value for name, value in row.items() if name.startswith("sub_")}
    assert len(flagged) == 18
    assert {name for name, value in flagged.items() if value == "1"} == {f"sub_{name}" for name in flags}


def test_of_two_newsletters_with_one_flag_either_raises_it() -> None:
    left = Newsletter(name="mozilla-and-you", subscribed=False)
    row, _ = main(Newsletter(name="firefox-news"), left)
    assert row["sub_firefox_news"] == "1"
    row, _ = main(left)
    assert row["sub_firefox_news"] == "0"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (True, "1"),
        (False, "0"),
        (datetime(2021, 11, 8, 9, 6, tzinfo=UTC), "11/08/2021"),
        (date(2021, 11, 8), "11/08/2021"),
        (UUID("C4A7D759-bb52-457b-896b-90f1d3ef8433"), "c4a7d759-bb52-457b-896b-90f1d3ef8433"),
        (None, None),
        ("text", "text"),
    ],
)
def test_values_of_the_main_table(value: Any, sent: str | None) -> None:
    assert columns.main_value(value) == sent


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2021-06-16T20:09:41.121000", ("06/16/2021", "success")),
        ("2021-06-16T23:59:59-11:00", ("06/16/2021", "success")),
        ("20210616200941", ("06/16/2021", "success")),
        ("Wed, 16 Jun 2021 20:09:41 +0200", ("06/16/2021", "success")),
        ("2021-06-16 20:09 XYZ", ("06/16/2021", "success")),
        ("not a date", ("not a date", "failure")),
        (123, ("123", "skipped")),
        (None, (None, "skipped")),
    ],
)
def test_the_day_an_account_was_created(value: Any, expected: tuple[str | None, str]) -> None:
    assert columns.created_date(value) == expected


def test_a_created_date_that_is_none_is_noted_with_its_type() -> None:
    row, notes = main(fxa=Fxa(fxa_id="f", created_date="soon?"))
    assert row["fxa_created_date"] == "soon?"
    assert notes == {"fxa_created_date_converted": "failure", "fxa_created_date_type": "<class 'str'>"}


@given(text=st.text(alphabet="0123456789:/-., TZaApPmMjun+", max_size=30))
def test_no_created_date_blocks_a_contact_and_each_says_the_same_every_day(text: str) -> None:
    sent, outcome = columns.created_date(text)
    assert outcome in ("success", "failure")
    assert (sent, outcome) == columns.created_date(text)


@given(
    text=st.text(alphabet="0123456789:/-., TZ٣", max_size=200) | st.text(alphabet="0123456789", max_size=200)
)
def test_dateutil_is_handed_short_texts_with_short_numbers_alone(text: str) -> None:
    longest = max((len(digits) for digits in re.findall(r"\d+", text)), default=0)
    assert columns.may_be_date(text) is (len(text) <= 64 and longest <= 14)
    if not columns.may_be_date(text):
        assert columns.created_date(text) == (text, "failure")


@pytest.mark.parametrize("text", ["1" * 700_000, "1" * 64, " " * 700_000 + "2015", "9" * 15, "1-" * 350_000])
def test_endless_created_date_is_sent_as_it_is(text: str) -> None:
    assert columns.created_date(text) == (text, "failure")


def test_what_a_created_date_leaves_out_is_not_filled_from_today() -> None:
    assert columns.created_date("2015") == ("01/01/2015", "success")


def test_a_product_row_is_text_throughout() -> None:
    row = columns.product_row(build(contact(), [PRODUCT]), PRODUCT)
    assert row == {
        "email_id": str(ID),
        "product_name": "",
        "product_id": "prod_1",
        "price_id": "",
        "segment": "active",
        "changed": "09/27/2021 00:00:00",
        "sub_count": "2",
        "payment_service": "stripe",
        "payment_type": "",
        "card_brand": "",
        "card_last4": "",
        "currency": "",
        "amount": "-1",
        "billing_country": "",
        "status": "",
        "interval_count": "-1",
        "interval": "",
        "created": "",
        "start": "",
        "current_period_start": "",
        "current_period_end": "11/27/2021 01:02:03",
        "canceled_at": "",
        "cancel_at_period_end": "No",
        "ended_at": "",
    }


@pytest.mark.parametrize(
    ("value", "sent"),
    [(True, "Yes"), ("true", "Yes"), (False, "No"), ("false", "No"), ("", "No"), (None, "No")],
)
def test_whether_it_ends_with_its_period(value: Any, sent: str) -> None:
    assert columns.product_value("cancel_at_period_end", value) == sent


def test_products_come_in_order_and_once_each() -> None:
    later = dataclasses.replace(
        PRODUCT, account="other", current_period_end=datetime(2022, 1, 1, tzinfo=UTC), segment="canceled"
    )
    never = dataclasses.replace(PRODUCT, product_id="prod_0", current_period_end=None)
    for given_order in ([PRODUCT, later, never], [never, later, PRODUCT]):
        profile = build(contact(), given_order)
        assert [one.product_id for one in profile.products] == ["prod_0", "prod_1"]
        assert profile.products[1] == later
