from typing import Any

import httpx
import pytest
from acoustic_calls import TOKEN_FORM, Caller, delete, recipient, rows, upsert
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.instrumentation.utils import suppress_http_instrumentation

from mainstem.common.clock import SystemClock
from mainstem.sandbox.acoustic.account import AcousticAccount
from mainstem.sandbox.acoustic.envelope import read_operations
from mainstem.sandbox.acoustic.operations import Holdings, carry_out
from mainstem.sandbox.acoustic.stand_in import AcousticStandIn
from mainstem.sandbox.stand_ins.faults import Fault, Faults, Kind
from mainstem.sandbox.stand_ins.protocol import StandIn

PERSON = "93db83d4-4119-4e0c-af87-a713786fa81d"
NEWSLETTERS, PRODUCTS = "9", "10"


def product(product_id: str = "prod_1", **columns: str | None) -> dict[str, str | None]:
    return {"email_id": PERSON, "product_id": product_id, **columns}


async def test_it_is_a_stand_in(acoustic: AcousticStandIn) -> None:
    stand_in: StandIn = acoustic
    assert (stand_in.name, stand_in.pending(), stand_in.next_due()) == ("acoustic", 0, None)


async def test_a_recipient_is_added_and_then_updated_column_by_column(
    caller: Caller, acoustic: AcousticStandIn
) -> None:
    first = await caller.call(
        recipient({"email_id": PERSON, "email": "a@example.com", "first_name": "Ö & <"})
    )
    await caller.call(recipient({"email_id": PERSON, "first_name": None, "sub_hubs": "1"}))
    assert (first.success, first.faults, first.failures) == ("TRUE", [], [])
    assert acoustic.holds()["main"] == {
        PERSON: {"email_id": PERSON, "email": "a@example.com", "first_name": "", "sub_hubs": "1"}
    }


async def test_text_arrives_as_it_was_sent(caller: Caller, acoustic: AcousticStandIn) -> None:
    await caller.call(recipient({"email_id": PERSON, "first_name": "Ö & <b> + 100%"}))
    assert acoustic.holds()["main"][PERSON]["first_name"] == "Ö & <b> + 100%"


@pytest.mark.parametrize(
    ("columns", "options", "fault"),
    [
        ({"shoe_size": "44"}, {}, "There is no column shoe_size"),
        ({"Email": "a@example.com"}, {}, "There is no column Email"),
        ({"email": "a@example.com"}, {"list_id": "2"}, "List ID is not valid."),
        ({"email": "a@example.com"}, {"update": False}, "Unable to add recipient. Recipient already exists."),
    ],
)
async def test_a_bad_recipient_is_a_fault_and_changes_nothing(
    caller: Caller, acoustic: AcousticStandIn, columns: dict[str, str], options: Any, fault: str
) -> None:
    await caller.call(recipient({"email_id": PERSON}))
    before = acoustic.holds()["main"]
    reading = await caller.call(recipient({"email_id": PERSON, **columns}, **options))
    assert (reading.success, reading.faults) == ("false", [fault])
    assert acoustic.holds()["main"] == before


async def test_a_recipient_without_its_key_is_a_fault(caller: Caller) -> None:
    reading = await caller.call(recipient({"email_id": None}))
    assert reading.faults == ["All key columns are not present"]


async def test_rows_are_upserted_by_their_whole_key(caller: Caller, acoustic: AcousticStandIn) -> None:
    await caller.call(upsert(PRODUCTS, product("prod_1", status="active"), product("prod_2", amount="-1")))
    await caller.call(upsert(PRODUCTS, product("prod_1", status="canceled", ended_at=None)))
    held = acoustic.holds()["product"][PERSON]
    assert {key: row.get("status") for key, row in held.items()} == {"prod_1": "canceled", "prod_2": None}
    assert held["prod_1"]["ended_at"] == ""


async def test_a_bad_row_fails_alone_and_the_call_says_success(
    caller: Caller, acoustic: AcousticStandIn
) -> None:
    reading = await caller.call(
        upsert(PRODUCTS, product("prod_1"), product("prod_2", colour="red"), {"email_id": PERSON})
    )
    assert (reading.success, reading.faults) == ("TRUE", [])
    assert reading.failures == ["There is no column colour", "All key columns are not present"]
    assert list(acoustic.holds()["product"][PERSON]) == ["prod_1"]


async def test_a_deleted_row_is_gone_and_deleting_it_again_is_no_failure(
    caller: Caller, acoustic: AcousticStandIn
) -> None:
    await caller.call(upsert(PRODUCTS, product("prod_1"), product("prod_2")))
    readings = [await caller.call(delete(PRODUCTS, product("prod_1"))) for _ in range(2)]
    assert [reading.failures + reading.faults for reading in readings] == [[], []]
    assert list(acoustic.holds()["product"][PERSON]) == ["prod_2"]


async def test_a_row_is_deleted_by_its_whole_key_only(caller: Caller, acoustic: AcousticStandIn) -> None:
    await caller.call(upsert(PRODUCTS, product("prod_1")))
    reading = await caller.call(
        delete(PRODUCTS, {"email_id": PERSON}, product("prod_1", segment="x", hat="y"))
    )
    assert reading.failures == ["All key columns are not present", "There is no column hat"]
    assert list(acoustic.holds()["product"][PERSON]) == ["prod_1"]


async def test_a_call_carries_at_most_a_hundred_rows(caller: Caller, acoustic: AcousticStandIn) -> None:
    many = [product(f"prod_{number}") for number in range(101)]
    refused = await caller.call(upsert(PRODUCTS, *many))
    assert refused.faults == ["A call carries at most 100 rows."]
    assert acoustic.holds()["product"] == {}
    assert (await caller.call(upsert(PRODUCTS, *many[:100]))).faults == []


async def test_each_table_has_its_own_columns(caller: Caller) -> None:
    newsletter = {"email_id": PERSON, "newsletter_name": "hubs", "newsletter_format": "H"}
    assert (await caller.call(upsert(NEWSLETTERS, newsletter))).failures == []
    assert (await caller.call(upsert(PRODUCTS, newsletter))).failures == [
        "There is no column newsletter_name"
    ]
    assert (await caller.call(upsert("11", newsletter))).faults == ["Table ID is not valid."]


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "no xml",
        "<Envelope><Body/></Envelope>",
        "<Envelope><body><AddRecipient/></body></Envelope>",
        "<Envelope><Body><ADDRECIPIENT/></Body></Envelope>",
        "<Envelope><Body><Logout/></Body></Envelope>",
        rows("InsertUpdateRelationalTable", PRODUCTS, []),
        '<!DOCTYPE x [<!ENTITY a "b">]><Envelope><Body><AddRecipient>&a;</AddRecipient></Body></Envelope>',
        '<!DOCTYPE x SYSTEM "file:///etc/hostname"><Envelope><Body><AddRecipient/></Body></Envelope>',
    ],
)
async def test_what_is_no_call_is_an_invalid_request(caller: Caller, xml: str) -> None:
    reading = await caller.call(xml)
    assert (reading.faults, reading.numbers) == (["Invalid XML Request"], ["51"])


async def test_a_body_that_is_not_utf8_is_an_invalid_request(caller: Caller) -> None:
    headers = {"Authorization": f"Bearer {caller.token}"}
    answer = await caller.http.post("/acoustic/XMLAPI", content=b"xml=%FF%FE", headers=headers)
    assert answer.status_code == 200
    assert "Invalid XML Request" in answer.text


async def test_several_calls_of_one_envelope_are_answered_in_turn(caller: Caller) -> None:
    one = recipient({"email_id": PERSON}).removesuffix("</Body></Envelope>")
    two = upsert("11", product()).removeprefix("<Envelope><Body>")
    answer = await caller.post(one + two)
    assert answer.text.index("RecipientId") < answer.text.index("Table ID is not valid.")


async def test_the_token_is_a_four_hour_one(caller: Caller) -> None:
    answer = await caller.http.post("/acoustic/oauth/token", data=TOKEN_FORM)
    assert answer.json() == {"access_token": caller.token, "token_type": "bearer", "expires_in": 14_400}


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"client_id": ""}, 401, "invalid_client"),
        ({"refresh_token": "other"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_wrong_credentials_get_no_token(
    caller: Caller, change: dict[str, str], status: int, error: str
) -> None:
    answer = await caller.http.post("/acoustic/oauth/token", data=TOKEN_FORM | change)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_an_unknown_token_is_a_fault_inside_status_200(
    caller: Caller, acoustic: AcousticStandIn
) -> None:
    caller.token = "unknown"
    reading = await caller.call(recipient({"email_id": PERSON}))
    assert (reading.faults, reading.numbers) == (["Session has expired or is invalid"], ["145"])
    assert acoustic.holds()["main"] == {}


async def test_what_was_received_tells_each_call_and_its_answer_but_no_secret(
    caller: Caller, acoustic: AcousticStandIn
) -> None:
    caller.http.headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    # Another test of this process may have had httpx write a trace context of its own.
    with suppress_http_instrumentation():
        await caller.call(upsert(PRODUCTS, product("prod_1", colour="red")))
    await caller.call("no xml")
    token, call, refusal = acoustic.received()
    assert (token["operation"], token["answer"]) == ("token", "success")
    assert (call["operation"], call["table"], call["answer"]) == (
        "InsertUpdateRelationalTable",
        "product",
        "failures",
    )
    assert call["rows"] == [product("prod_1", colour="red")]
    assert call["traceparent"] == caller.http.headers["traceparent"]
    assert (refusal["operation"], refusal["faults"]) == (None, ["Invalid XML Request"])
    assert caller.token not in str(acoustic.received())


async def test_a_reset_forgets_all_but_the_tokens(caller: Caller, acoustic: AcousticStandIn) -> None:
    await caller.call(recipient({"email_id": PERSON}))
    await acoustic.reset()
    held = acoustic.holds()
    assert (held["main"], held["requests"]["accepted"], acoustic.received()) == ({}, 0, [])
    assert (await caller.call(recipient({"email_id": PERSON}))).faults == []


async def test_an_answer_lost_after_acting_leaves_the_row(
    caller: Caller, acoustic: AcousticStandIn, faults: Faults
) -> None:
    faults.add(Fault("acoustic", Kind.LOSE_ANSWER, path="XMLAPI"))
    with pytest.raises(httpx.TransportError):
        await caller.post(recipient({"email_id": PERSON}))
    assert list(acoustic.holds()["main"]) == [PERSON]


KEYS = [("a", "p"), ("a", "q"), ("b", "p"), ("b", "q")]


def _held(order: list[tuple[str, str]]) -> dict[str, Any]:
    holdings = Holdings(AcousticAccount("", "", "", "1", "9", "10"))
    for person, thing in order:
        xml = upsert(PRODUCTS, {"email_id": person, "product_id": thing, "status": person + thing})
        for operation in read_operations(xml):
            carry_out(holdings, operation)
    return holdings.relational[PRODUCTS].as_json()


@given(st.permutations(KEYS), st.lists(st.sampled_from(KEYS)))
def test_any_order_and_any_repeats_of_upserts_end_in_the_same_rows(
    order: list[tuple[str, str]], repeats: list[tuple[str, str]]
) -> None:
    assert _held([*repeats, *order]) == _held(KEYS)


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=30).map(str.strip)


@given(st.lists(_TEXT, min_size=1, max_size=3))
def test_any_text_survives_the_envelope(values: list[str]) -> None:
    content = [{"email_id": str(number), "product_name": value} for number, value in enumerate(values)]
    (operation,) = read_operations(upsert(PRODUCTS, *content))
    assert [row["product_name"] for row in operation.rows] == values


async def test_times_of_received_calls_are_world_times(caller: Caller, acoustic: AcousticStandIn) -> None:
    before = SystemClock().now().isoformat()
    await caller.call("no xml")
    assert acoustic.received()[-1]["at"] >= before
