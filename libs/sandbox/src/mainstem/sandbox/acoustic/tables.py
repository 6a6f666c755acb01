"""Acoustic's tables as a CTMS v1.1.0 deployment has them: columns, keys and rows."""

from dataclasses import dataclass
from typing import Any

import msgspec

from mainstem.sandbox.stand_ins.archive import Archive

AMO = "add_on_ids display_name email_opt_in language last_login location profile_url user user_id username"
FXA = "id account_deleted lang login_date first_service created_date primary_email"
NEWSLETTER_FLAGS = (
    "about_mozilla apps_and_hacks common_voice firefox_accounts_journey firefox_news hubs"
    " internet_health_report knowledge_is_power miti mixed_reality mozilla_fellowship_awardee_alumni"
    " mozilla_festival mozilla_foundation mozilla_technology mozillians_nda rally"
    " take_action_for_the_internet test_pilot"
)
MAIN_PLAIN = (
    "sfdc_id email create_timestamp email_format email_id email_lang vpn_waitlist_geo vpn_waitlist_platform"
    " double_opt_in has_opted_out_of_email mailing_country first_name last_name sumo_contributor sumo_user"
    " sumo_username basket_token unsubscribe_reason"
)
NEWSLETTER = (
    "email_id newsletter_name newsletter_format newsletter_lang newsletter_source newsletter_unsub_reason"
    " create_timestamp update_timestamp"
)
PRODUCT = (
    "email_id product_name product_id price_id segment changed sub_count payment_service payment_type"
    " card_brand card_last4 currency amount billing_country status interval_count interval created start"
    " current_period_start current_period_end canceled_at cancel_at_period_end ended_at"
)

Row = dict[str, str]
"""A row's columns by name; an empty value stands for none."""

Key = tuple[str, ...]
"""The values of a row's key columns."""


def _prefixed(prefix: str, names: str) -> list[str]:
    return [f"{prefix}_{name}" for name in names.split()]


@dataclass(frozen=True, slots=True)
class Schema:
    """A table's name for people, its columns and the ones that make its key."""

    name: str
    columns: frozenset[str]
    key: tuple[str, ...]


MAIN_SCHEMA = Schema(
    "main",
    frozenset(
        [
            *MAIN_PLAIN.split(),
            *_prefixed("amo", AMO),
            *_prefixed("fxa", FXA),
            *_prefixed("sub", NEWSLETTER_FLAGS),
        ]
    ),
    ("email_id",),
)
NEWSLETTER_SCHEMA = Schema("newsletter", frozenset(NEWSLETTER.split()), ("email_id", "newsletter_name"))
PRODUCT_SCHEMA = Schema("product", frozenset(PRODUCT.split()), ("email_id", "product_id"))


def write_key(key: Key) -> str:
    """Return a key as the archive has it."""
    return msgspec.json.encode(key).decode()


def read_key(text: str) -> Key:
    """Return the key of a row of the archive."""
    return msgspec.json.decode(text, type=Key)


class Table:
    """The rows of one table by their key, kept in the archive; every value is text, as on the wire."""

    def __init__(self, schema: Schema, archive: Archive) -> None:
        self.schema = schema
        self._archive = archive
        self._rows: dict[Key, Row] = {
            read_key(row.id): msgspec.json.decode(row.body, type=Row) for row in archive.rows(schema.name)
        }

    def unknown_column(self, row: Row) -> str | None:
        """Return the first column of the row that the table lacks, or None; names are case-sensitive."""
        return next((name for name in row if name not in self.schema.columns), None)

    def find_key(self, row: Row) -> Key | None:
        """Return the row's key, or None where a part of it is missing or empty."""
        key = tuple(row.get(name, "") for name in self.schema.key)
        return key if all(key) else None

    def __contains__(self, key: Key) -> bool:
        """Return whether a row stands under the key."""
        return key in self._rows

    def upsert(self, key: Key, row: Row) -> None:
        """Set the given columns of the row, and leave its others as they are. Safe to repeat."""
        held = self._rows.setdefault(key, {})
        held.update(row)
        self._archive.put(self.schema.name, write_key(key), held)

    def delete(self, key: Key) -> None:
        """Remove the row, if there is one. Safe to repeat."""
        self._rows.pop(key, None)
        self._archive.drop(self.schema.name, write_key(key))

    def clear(self) -> None:
        """Remove every row."""
        self._rows.clear()
        self._archive.clear(self.schema.name)

    def as_json(self) -> dict[str, Any]:
        """Return the rows nested by the parts of their key, in order of key."""
        nested: dict[str, Any] = {}
        for key, row in sorted(self._rows.items()):
            level = nested
            for part in key[:-1]:
                level = level.setdefault(part, {})
            level[key[-1]] = dict(row)
        return nested
