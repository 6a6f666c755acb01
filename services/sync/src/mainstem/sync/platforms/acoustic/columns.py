"""A contact in Acoustic's columns, as CTMS v1.1.0 wrote them. Pure, table-driven.

Every field of every group is accounted for: sent, left out on purpose, or named in `skipped_fields`.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from dateutil import parser

from mainstem.sync.platforms.difference import Row
from mainstem.sync.platforms.protocol import ShapedContact
from mainstem.sync.profiles.groups import Newsletter
from mainstem.sync.profiles.profile import Product, Profile

MAIN = "main"
PRODUCT = "product"

PREFIXES = {"email": "", "amo": "amo_", "fxa": "fxa_", "vpn_waitlist": "vpn_waitlist_"}
"""The groups that go to the main table, and what their columns start with."""

RENAMED = {("email", "primary_email"): "email", ("fxa", "fxa_id"): "fxa_id"}

NOT_FOR_ACOUSTIC = ("mofo",)
"""Groups that Acoustic has no columns for."""

LEFT_OUT = {("email", "update_timestamp"), ("amo", "create_timestamp"), ("amo", "update_timestamp")}
"""Fields that are left out on purpose, without a word."""

WITH_TIMESTAMPS = ("email", "amo")
"""The groups whose timestamps are fields of theirs."""

AMO = "add_on_ids display_name email_opt_in language last_login location profile_url user user_id username"
FXA = "id account_deleted lang first_service created_date primary_email"
PLAIN = (
    "sfdc_id email create_timestamp email_format email_id email_lang vpn_waitlist_geo vpn_waitlist_platform"
    " double_opt_in has_opted_out_of_email mailing_country first_name last_name basket_token"
    " unsubscribe_reason"
)
COLUMNS = frozenset(
    [*PLAIN.split(), *(f"amo_{name}" for name in AMO.split()), *(f"fxa_{name}" for name in FXA.split())]
)
"""The main table's columns, but for the newsletters' flags."""

FLAGS = {
    "about-mozilla": "sub_about_mozilla",
    "app-dev": "sub_apps_and_hacks",
    "common-voice": "sub_common_voice",
    "firefox-accounts-journey": "sub_firefox_accounts_journey",
    "firefox-news": "sub_firefox_news",
    "hubs": "sub_hubs",
    "internet-health-report": "sub_internet_health_report",
    "knowledge-is-power": "sub_knowledge_is_power",
    "miti": "sub_miti",
    "mixed-reality": "sub_mixed_reality",
    "mozilla-and-you": "sub_firefox_news",
    "mozilla-fellowship-awardee-alumni": "sub_mozilla_fellowship_awardee_alumni",
    "mozilla-festival": "sub_mozilla_festival",
    "mozilla-foundation": "sub_mozilla_foundation",
    "mozilla-rally": "sub_rally",
    "mozilla-technology": "sub_mozilla_technology",
    "mozillians-nda": "sub_mozillians_nda",
    "take-action-for-the-internet": "sub_take_action_for_the_internet",
    "test-pilot": "sub_test_pilot",
}
"""The flag that says whether a newsletter is subscribed; of two with one flag, either will do."""

PLACEHOLDERS = ("product_name", "payment_type", "card_brand", "card_last4", "billing_country")
"""Columns of the product table that nobody fills yet."""

NOT_SENT = ("account",)
"""Fields of a product that the product table has no column for."""

NO_NUMBER = "-1"

LONGEST_DATE = 64
"""Characters of a text that is read as a date."""

_ENDLESS = re.compile(r"\d{15}")
"""A number longer than a time in digits alone, as in 20190522082931."""

# dateutil fills what a text leaves out from this day; its own default is today, and changes every night.
_FIRST = datetime(1970, 1, 1)  # noqa: DTZ001 -- the text's own calendar day counts, in whatever zone


def shape(profile: Profile) -> ShapedContact:
    """Return the contact's row of the main table and its rows of the product table."""
    row, notes = main_row(profile)
    products = {one.product_id: product_row(profile, one) for one in profile.products}
    return ShapedContact({MAIN: {str(profile.contact_id): row}, PRODUCT: products}, notes)


def main_row(profile: Profile) -> tuple[Row, Mapping[str, Any]]:
    """Return the main table's row, and what the log should say of its making."""
    row: dict[str, str | None] = _flags(profile.newsletters)
    notes: dict[str, Any] = {}
    skipped = []
    for (group, name), value in _fields(profile).items():
        column = RENAMED.get((group, name), f"{PREFIXES.get(group, '')}{name}")
        if group in PREFIXES and column in COLUMNS:
            row[column] = _created_date(value, notes) if column == "fxa_created_date" else main_value(value)
        elif (group, name) not in LEFT_OUT:
            skipped.append(f"{group}.{name}")
    if skipped:
        notes["skipped_fields"] = sorted(skipped)
    return row, notes


def _fields(profile: Profile) -> dict[tuple[str, str], Any]:
    """Return everything that is known of the contact, but its newsletters, by group and name."""
    fields: dict[tuple[str, str], Any] = {("email", "email_id"): profile.contact_id}
    for name, group in profile.groups.items():
        if name in NOT_FOR_ACOUSTIC:
            continue
        fields |= {(name, field): getattr(group, field) for field in type(group).model_fields}
        if name in WITH_TIMESTAMPS and name in profile.spans:
            fields[name, "create_timestamp"] = profile.spans[name].created_at
            fields[name, "update_timestamp"] = profile.spans[name].updated_at
    return fields


def _flags(newsletters: Mapping[str, Newsletter]) -> dict[str, str | None]:
    subscribed = {FLAGS[name] for name, one in newsletters.items() if one.subscribed and name in FLAGS}
    return {column: "1" if column in subscribed else "0" for column in sorted(set(FLAGS.values()))}


def main_value(value: Any) -> str | None:
    """Return a value as the main table takes it: days without a time, booleans as 1 and 0."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    return _day(value) if isinstance(value, date) else str(value)


def _created_date(value: Any, notes: dict[str, Any]) -> str | None:
    sent, outcome = created_date(value)
    notes["fxa_created_date_converted"] = outcome
    if outcome != "success":
        notes["fxa_created_date_type"] = str(type(value))
    return sent


def created_date(value: Any) -> tuple[str | None, str]:
    """Return the day in a text that may say anything, and whether there was one.

    Without one the text itself is sent, as CTMS does.
    """
    if not isinstance(value, str):
        return main_value(value), "skipped"
    if not may_be_date(value):
        return value, "failure"
    try:
        return _day(parser.parse(value, default=_FIRST, ignoretz=True)), "success"
    except Exception:  # noqa: BLE001 -- dateutil raises whatever it meets; a bad text must not block a contact
        return value, "failure"


def may_be_date(text: str) -> bool:
    """Return whether a text may be handed to dateutil, whose time grows with the square of its numbers.

    https://github.com/dateutil/dateutil/issues/1359
    """
    return len(text) <= LONGEST_DATE and not _ENDLESS.search(text)


def product_row(profile: Profile, product: Product) -> Row:
    """Return one row of the product table; all its values are text."""
    fields = {name: value for name, value in asdict(product).items() if name not in NOT_SENT}
    fields |= {"email_id": profile.contact_id, **dict.fromkeys(PLACEHOLDERS)}
    return {name: product_value(name, value) for name, value in fields.items()}


def product_value(name: str, value: Any) -> str:
    """Return a value as the product table takes it: times with their seconds, booleans as Yes and No."""
    if name == "cancel_at_period_end":
        return "Yes" if value in (True, "true") else "No"
    if value is None:
        return NO_NUMBER if name in ("amount", "interval_count") else ""
    if isinstance(value, datetime):
        return f"{_day(value)} {value:%H:%M:%S}"
    return str(value)


def _day(value: date) -> str:
    # strftime does not fill a year before 1000 with zeros.
    return f"{value.month:02}/{value.day:02}/{value.year:04}"
