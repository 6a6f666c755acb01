"""Acoustic's XML: envelopes written, answers read by a hardened parser. Pure."""

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from mainstem.sync.platforms.difference import Row

UPDATE_IF_FOUND = "TRUE"
CREATED_MANUALLY = "3"

SESSION_EXPIRED_ID = "145"
SESSION_EXPIRED = "session has expired"

LONGEST_ERROR = 200

FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML 1.0 document may hold, not even escaped. https://www.w3.org/TR/xml/#charsets"""

QUOTED = re.compile(r"\S*@\S*|[\"'`].*[\"'`]|\d{4,}")
"""Parts of Acoustic's error texts that may repeat personal data: addresses, quotations, numbers."""


class AcousticFaultError(Exception):
    """Acoustic answered, and did not do, or not wholly do, what it was asked. Quotes nobody's data."""


class SessionExpiredError(AcousticFaultError):
    """The access token is no longer good."""


def add_recipient(list_id: str, row: Row, *, key: str) -> str:
    """Return the envelope that upserts one row of the main table, found by the column `key`."""
    envelope, call = _call("AddRecipient")
    SubElement(call, "LIST_ID").text = list_id
    SubElement(call, "CREATED_FROM").text = CREATED_MANUALLY
    SubElement(call, "UPDATE_IF_FOUND").text = UPDATE_IF_FOUND
    _named_value(SubElement(SubElement(call, "SYNC_FIELDS"), "SYNC_FIELD"), key, row[key])
    for name, value in row.items():
        _named_value(SubElement(call, "COLUMN"), name, value)
    return _written(envelope)


def upsert_rows(table_id: str, rows: Sequence[Row]) -> str:
    """Return the envelope that upserts rows of a relational table."""
    return _relational("InsertUpdateRelationalTable", "COLUMN", table_id, rows)


def delete_rows(table_id: str, keys: Sequence[Row]) -> str:
    """Return the envelope that deletes the rows with these keys; one that is absent does no harm."""
    return _relational("DeleteRelationalTableData", "KEY_COLUMN", table_id, keys)


def read_answer(content: bytes) -> None:
    """Pass if the answer says that all was done.

    Acoustic says so with HTTP 200 whatever happened, and writes SUCCESS even where rows failed.

    Raises:
        SessionExpiredError: the token was not good.
        FaultError: a fault, failed rows, nothing that could be read, or no word that all was done.
    """
    try:
        root = fromstring(content, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise AcousticFaultError(f"the answer is no usable XML ({type(error).__name__})") from None
    # An error page may be well-formed XML too.
    if root.tag != "Envelope":
        raise AcousticFaultError("the answer is no envelope")
    for fault in root.iterfind(".//Fault"):
        text = (fault.findtext("FaultString") or "").strip()
        numbers = {(one.text or "").strip() for one in root.iterfind(".//errorid")}
        if SESSION_EXPIRED_ID in numbers or SESSION_EXPIRED in text.lower():
            raise SessionExpiredError(_without_data(text))
        raise AcousticFaultError(_without_data(text or "a fault without a text"))
    failures = root.findall(".//FAILURES/FAILURE")
    if failures:
        first = _without_data(failures[0].get("description", ""))
        raise AcousticFaultError(f"{len(failures)} rows failed, the first: {first}")
    successes = [(one.text or "").strip().lower() for one in root.iterfind("./Body/RESULT/SUCCESS")]
    if not successes or set(successes) != {"true"}:
        raise AcousticFaultError("the answer does not say that all was done")


def clean(value: str) -> str:
    """Return the value without the characters that XML cannot hold: they alone must not block a contact."""
    return FORBIDDEN.sub("", value)


def _call(name: str) -> tuple[Element, Element]:
    envelope = Element("Envelope")
    return envelope, SubElement(SubElement(envelope, "Body"), name)


def _relational(operation: str, column: str, table_id: str, rows: Sequence[Row]) -> str:
    envelope, call = _call(operation)
    SubElement(call, "TABLE_ID").text = table_id
    parent = SubElement(call, "ROWS")
    for row in rows:
        element = SubElement(parent, "ROW")
        for name, value in row.items():
            SubElement(element, column, name=name).text = clean(value or "")
    return _written(envelope)


def _named_value(element: Element, name: str, value: str | None) -> None:
    SubElement(element, "NAME").text = name
    # No value is no element, since an empty one means something else to Acoustic.
    if value and (cleaned := clean(value)):
        SubElement(element, "VALUE").text = cleaned


def _written(envelope: Element) -> str:
    written: str = tostring(envelope, encoding="unicode")
    return written


def _without_data(text: str) -> str:
    return QUOTED.sub("…", text)[:LONGEST_ERROR]
