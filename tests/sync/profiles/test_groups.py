import uuid
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples

from mainstem.common.errors import InvalidError
from mainstem.common.http.bodies import read
from mainstem.sync.contacts import bodies, changes
from mainstem.sync.profiles.groups import Contact, identities

OVER_HTTP = settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

TEXT = (
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=5)
    | st.none()
)
ID = st.text("aZ0-_.:é", max_size=5) | st.none()
ADDRESS = st.sampled_from(["", "a@example.com", "Ä+b@Example.com", "x.y@münchen.example"]) | st.none()
FLAG = st.booleans()
# What belongs to one contact alone has its own tests.
GROUPS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "amo": st.fixed_dictionaries(
        {},
        optional={
            "add_on_ids": TEXT,
            "display_name": TEXT,
            "email_opt_in": FLAG,
            "language": TEXT,
            "last_login": st.none() | st.dates().map(str),
            "user": FLAG,
            "user_id": ID,
        },
    ),
    "email": st.fixed_dictionaries(
        {},
        optional={
            "sfdc_id": ID,
            "first_name": TEXT,
            "email_format": st.sampled_from(["H", "T", "N", ""]),
            "email_lang": TEXT,
            "double_opt_in": FLAG,
        },
    ),
    "fxa": st.fixed_dictionaries(
        {}, optional={"primary_email": ADDRESS, "created_date": TEXT, "lang": TEXT, "account_deleted": FLAG}
    ),
    "mofo": st.fixed_dictionaries({}, optional={"mofo_contact_id": ID, "mofo_relevant": FLAG}),
    "vpn_waitlist": st.fixed_dictionaries({}, optional={"geo": TEXT, "platform": TEXT}),
}
NEWSLETTERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b", "c"]), "subscribed": FLAG, "format": st.sampled_from(["H", "T"])},
        optional={"unsub_reason": TEXT},
    ),
    max_size=3,
    unique_by=lambda one: one["name"],
)
BODY = st.fixed_dictionaries({}, optional={**GROUPS, "newsletters": NEWSLETTERS})


async def create(api: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    email = {"email_id": str(uuid.uuid4()), "primary_email": f"{uuid.uuid4()}@example.com"}
    answer = await api.post("/ctms", json={**body, "email": {**body.get("email", {}), **email}})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def assert_shows(contact: dict[str, Any], body: dict[str, Any]) -> None:
    for group in GROUPS:
        assert contact[group].items() >= body.get(group, {}).items()


@OVER_HTTP
@given(body=BODY)
async def test_what_is_posted_is_read_back(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    created = await create(api, body)
    read = (await api.get(f"/ctms/{created['email']['email_id']}")).json()
    assert read == created
    assert_shows(read, body)
    given = {one["name"]: one for one in body.get("newsletters", ())}
    assert [one["name"] for one in read["newsletters"]] == sorted(given)
    for one in read["newsletters"]:
        assert one.items() >= given[one["name"]].items()


@OVER_HTTP
@given(body=BODY, change=BODY)
async def test_a_patch_merges(api: httpx.AsyncClient, body: dict[str, Any], change: dict[str, Any]) -> None:
    path = f"/ctms/{(await create(api, body))['email']['email_id']}"
    answer = await api.patch(path, json=change)
    assert answer.status_code == 200, answer.text
    assert answer.json() == (await api.get(path)).json()
    merged = {group: {**body.get(group, {}), **change.get(group, {})} for group in GROUPS}
    assert_shows(answer.json(), merged)


def contact(**groups: Any) -> Contact:
    body = {"email": {"primary_email": "a@example.com"}, **groups}
    return changes.read_new(httpx.Request("POST", "http://x", json=body).content)


def test_nothing_empty_identifies_anybody() -> None:
    empty = contact(fxa={"fxa_id": "", "lang": "en"}, mofo={"mofo_email_id": "", "mofo_relevant": True})
    assert set(identities(empty)) == {"email_id", "primary_email"}


def test_number_of_an_amo_user_stands_for_its_text() -> None:
    assert contact(amo={"user_id": 123}).group("amo").model_dump()["user_id"] == "123"


def test_of_a_newsletter_that_is_named_twice_the_last_entry_counts() -> None:
    twice = [{"name": "a", "format": "T"}, {"name": "a", "lang": "fr"}]
    letters = contact(newsletters=twice).newsletters
    assert [(one.format, one.lang) for one in letters.values()] == [("H", "fr")]


def test_null_groups_are_absent_and_change_nothing() -> None:
    before = contact(amo={"user": True}, newsletters=[{"name": "a"}])
    nulls = b'{"amo": null, "email": null, "fxa": null, "newsletters": null}'
    assert changes.apply(before, read(bodies.Changes, nulls)).says_the_same(before)
    assert set(contact(amo=None, newsletters=None).groups) == {"email"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"email": {"primary_email": "a@example.com", "first_name": ' + b"9" * 6_000 + b"}}",
        b'{"email": {"primary_email": "\xff"}}',
        b'{"email": {"primary_email": "a@example.com"}, "newsletters": [{"name": "a\\u0000"}]}',
        b'{"email": {"primary_email": "a@example.com"}, "newsletters": [{"name": "' + b"a" * 256 + b'"}]}',
    ],
)
def test_no_body_trips_the_reader(body: bytes) -> None:
    with pytest.raises(InvalidError) as raised:
        changes.read_new(body)
    assert raised.value.members["errors"]
