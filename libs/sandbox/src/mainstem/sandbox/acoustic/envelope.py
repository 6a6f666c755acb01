"""Acoustic's XML: requests read with a hardened parser, answers written as its API writes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from mainstem.sandbox.acoustic.tables import Row

INVALID_REQUEST = "Invalid XML Request"
INVALID_REQUEST_ID = "51"
SESSION_EXPIRED = "Session has expired or is invalid"
SESSION_EXPIRED_ID = "145"


class FaultAnswer(Exception):  # noqa: N818 -- a Fault is one of the API's ordinary answers
    """The call is answered with a `Fault`; its number is empty where Acoustic's pages name none."""

    def __init__(self, text: str, number: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.number = number


@dataclass(frozen=True, slots=True)
class Operation:
    """One call inside an envelope. A recipient is its only row."""

    name: str
    target: str
    """The list's or table's id; empty where the request lacks it."""
    rows: tuple[Row, ...]
    sync_fields: Row = field(default_factory=dict)
    created_from: str = ""
    update_if_found: str = ""
    """Text as sent; `true` in any case updates."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that was not taken, and why."""

    description: str
    row: Row


@dataclass(frozen=True, slots=True)
class Done:
    """The call was carried out, apart from the rows that failed."""

    recipient_id: int | None = None
    failures: tuple[Failure, ...] = ()


OperationResult = Done | FaultAnswer


def invalid_request() -> FaultAnswer:
    """Return the answer to anything that is no call Acoustic knows."""
    return FaultAnswer(INVALID_REQUEST, INVALID_REQUEST_ID)


def session_expired() -> FaultAnswer:
    """Return the answer to a missing, unknown or expired token; its HTTP status is 200 nevertheless."""
    return FaultAnswer(SESSION_EXPIRED, SESSION_EXPIRED_ID)


def read_operations(xml: str) -> list[Operation]:
    """Return the calls of an envelope, of which there is usually one; tags are case-sensitive.

    Raises:
        FaultAnswer: this is no envelope, or holds no call.
    """
    try:
        envelope = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise invalid_request() from error
    body = envelope.find("Body") if envelope.tag == "Envelope" else None
    if body is None or len(body) == 0:
        raise invalid_request()
    return [_READERS.get(element.tag, _unknown)(element) for element in body]


def _text(element: Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _named_values(elements: Sequence[Element]) -> Row:
    return {_text(element.find("NAME")): _text(element.find("VALUE")) for element in elements}


def _recipient(element: Element) -> Operation:
    return Operation(
        name=element.tag,
        target=_text(element.find("LIST_ID")),
        rows=(_named_values(element.findall("COLUMN")),),
        sync_fields=_named_values(element.findall("SYNC_FIELDS/SYNC_FIELD")),
        created_from=_text(element.find("CREATED_FROM")),
        update_if_found=_text(element.find("UPDATE_IF_FOUND")),
    )


def _rows(column: str, element: Element) -> Operation:
    rows = [
        {cell.get("name", ""): _text(cell) for cell in row.findall(column)}
        for row in element.findall("ROWS/ROW")
    ]
    return Operation(name=element.tag, target=_text(element.find("TABLE_ID")), rows=tuple(rows))


def _unknown(element: Element) -> Operation:
    return Operation(name=element.tag, target="", rows=())


_READERS: dict[str, Callable[[Element], Operation]] = {
    "AddRecipient": _recipient,
    "InsertUpdateRelationalTable": partial(_rows, "COLUMN"),
    "DeleteRelationalTableData": partial(_rows, "KEY_COLUMN"),
}


def write_answers(answers: Sequence[OperationResult]) -> bytes:
    """Return the envelope that answers each call in turn."""
    envelope = Element("Envelope")
    body = SubElement(envelope, "Body")
    for answer in answers:
        result = SubElement(body, "RESULT")
        if isinstance(answer, FaultAnswer):
            SubElement(result, "SUCCESS").text = "false"
            _write_fault(body, answer)
        else:
            _write_done(result, answer)
    xml: bytes = tostring(envelope, encoding="utf-8")
    return xml


def _write_fault(body: Element, answer: FaultAnswer) -> None:
    fault = SubElement(body, "Fault")
    SubElement(fault, "Request")
    SubElement(fault, "FaultCode")
    SubElement(fault, "FaultString").text = answer.text
    error = SubElement(SubElement(fault, "detail"), "error")
    SubElement(error, "errorid").text = answer.number
    SubElement(error, "module")
    SubElement(error, "class").text = "SP.API"
    SubElement(error, "method")


def _write_done(result: Element, answer: Done) -> None:
    # Acoustic answers SUCCESS even where rows failed: a caller has to look for FAILURE.
    SubElement(result, "SUCCESS").text = "TRUE"
    if answer.recipient_id is not None:
        SubElement(result, "RecipientId").text = str(answer.recipient_id)
    if answer.failures:
        failures = SubElement(result, "FAILURES")
        for failure in answer.failures:
            _write_failure(failures, failure)


def _write_failure(failures: Element, failure: Failure) -> None:
    element = SubElement(failures, "FAILURE", failure_type="permanent", description=failure.description)
    for name, value in failure.row.items():
        SubElement(element, "COLUMN", name=name).text = value
