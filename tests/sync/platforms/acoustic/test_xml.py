from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.sync.platforms.acoustic import xml


def answer(inside: str) -> bytes:
    return f"<Envelope><Body>{inside}</Body></Envelope>".encode()


def test_a_recipient_is_found_by_its_key_and_empty_values_are_left_out() -> None:
    written = xml.add_recipient("1", {"email_id": "x", "a": None, "b": "", "c": "ü"}, key="email_id")
    assert written == (
        "<Envelope><Body><AddRecipient><LIST_ID>1</LIST_ID><CREATED_FROM>3</CREATED_FROM>"
        "<UPDATE_IF_FOUND>TRUE</UPDATE_IF_FOUND>"
        "<SYNC_FIELDS><SYNC_FIELD><NAME>email_id</NAME><VALUE>x</VALUE></SYNC_FIELD></SYNC_FIELDS>"
        "<COLUMN><NAME>email_id</NAME><VALUE>x</VALUE></COLUMN><COLUMN><NAME>a</NAME></COLUMN>"
        "<COLUMN><NAME>b</NAME></COLUMN><COLUMN><NAME>c</NAME><VALUE>ü</VALUE></COLUMN>"
        "</AddRecipient></Body></Envelope>"
    )


def test_relational_rows_keep_their_empty_columns() -> None:
    written = fromstring(xml.upsert_rows("10", [{"a": "1", "b": ""}, {"a": "2", "b": None}]))
    rows = [[(cell.get("name"), cell.text) for cell in row] for row in written.iter("ROW")]
    assert rows == [[("a", "1"), ("b", None)], [("a", "2"), ("b", None)]]
    assert written.findtext(".//InsertUpdateRelationalTable/TABLE_ID") == "10"


def test_rows_are_deleted_by_their_key_columns() -> None:
    written = fromstring(xml.delete_rows("10", [{"email_id": "x", "product_id": "p"}]))
    cells = written.findall(".//DeleteRelationalTableData/ROWS/ROW/KEY_COLUMN")
    assert [(cell.get("name"), cell.text) for cell in cells] == [("email_id", "x"), ("product_id", "p")]


@given(value=st.text())
def test_any_value_can_be_written_and_read(value: str) -> None:
    written = xml.upsert_rows("1", [{"a": value}])
    read = fromstring(written).findtext(".//COLUMN") or ""
    assert read == xml.clean(value).replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("word", ["TRUE", "true", " True "])
def test_an_answer_that_says_true_is_success(word: str) -> None:
    xml.read_answer(answer(f"<RESULT><SUCCESS>{word}</SUCCESS></RESULT>"))


@pytest.mark.parametrize(
    "inside",
    [
        "",
        "<x/>",
        "<RESULT/>",
        "<RESULT><SUCCESS/></RESULT>",
        "<RESULT><SUCCESS>false</SUCCESS></RESULT>",
        "<RESULT><SUCCESS>yes</SUCCESS></RESULT>",
        "<RESULT><SUCCESS>TRUE</SUCCESS></RESULT><RESULT><SUCCESS>false</SUCCESS></RESULT>",
        "<RESULT><ROW><SUCCESS>TRUE</SUCCESS></ROW></RESULT>",
        "<RESULT><SUCCESS>false</SUCCESS></RESULT><Fault><FaultCode/><detail/></Fault>",
    ],
)
def test_an_answer_that_does_not_say_true_is_a_failure(inside: str) -> None:
    with pytest.raises(xml.AcousticFaultError):
        xml.read_answer(answer(inside))


def test_a_fault_without_a_text_may_be_an_expired_session() -> None:
    with pytest.raises(xml.SessionExpiredError):
        xml.read_answer(answer("<Fault><detail><error><errorid>145</errorid></error></detail></Fault>"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (answer("<Fault><FaultString>List ID is not valid.</FaultString></Fault>"), "List ID is not valid."),
        (answer("<Fault><FaultString/></Fault>"), "a fault without a text"),
        (
            answer(
                "<RESULT><SUCCESS>TRUE</SUCCESS>"
                '<FAILURES><FAILURE description="No key"/><FAILURE/></FAILURES></RESULT>'
            ),
            "2 rows failed, the first: No key",
        ),
        (b"", "the answer is no usable XML (ParseError)"),
        (b"<Envelope>", "the answer is no usable XML (ParseError)"),
        (b"<!DOCTYPE x><Envelope/>", "the answer is no usable XML (DTDForbidden)"),
        (b"<html/>", "the answer is no envelope"),
    ],
)
def test_everything_else_is_a_failure(content: bytes, text: str) -> None:
    with pytest.raises(xml.AcousticFaultError) as raised:
        xml.read_answer(content)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    "fault",
    [
        "<FaultString>Session has expired or is invalid</FaultString>",
        "<FaultString>No</FaultString><detail><error><errorid>145</errorid></error></detail>",
    ],
)
def test_an_expired_session_is_told_apart(fault: str) -> None:
    with pytest.raises(xml.SessionExpiredError):
        xml.read_answer(answer(f"<Fault>{fault}</Fault>"))
