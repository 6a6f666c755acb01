"""Identities of contacts at every door of the contact API."""

import json
import uuid
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from contacts_api import post
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import BOUNDED, examples
from spellings import ADDRESSES, ANY_JSON, NAMES, NO_ADDRESSES, NO_NAMES, NO_UUIDS, UUID1

from mainstem.common import owner
from mainstem.sync.contacts.bodies import BODIES
from mainstem.sync.contacts.storage import MOST_FOUND
from mainstem.sync.profiles.groups import IDENTITY_KINDS

Row = dict[str, Any]


def bad_texts(kind: str) -> tuple[str, ...]:
    if kind in owner.UUIDS:
        return NO_UUIDS
    return NO_ADDRESSES if kind in owner.ADDRESSES else NO_NAMES


def good_texts(kind: str) -> tuple[str, ...]:
    if kind in owner.UUIDS:
        return (UUID1, UUID1.upper())
    return ADDRESSES if kind in owner.ADDRESSES else NAMES


def test_every_identity_of_a_contact_is_a_kind_of_owner() -> None:
    assert IDENTITY_KINDS.keys() | {"email", "github_user_id"} == owner.KINDS


@pytest.mark.parametrize("kind", IDENTITY_KINDS)
async def test_query_takes_one_spelling_of_an_identity(api: httpx.AsyncClient, kind: str) -> None:
    for value in bad_texts(kind):
        answer = await api.get("/ctms", params={kind: value})
        assert (answer.status_code, [one["loc"] for one in answer.json()["errors"]]) == (
            422,
            [["query", kind]],
        )
    for value in good_texts(kind):
        answer = await api.get("/ctms", params={kind: value})
        assert (answer.status_code, answer.json()) == (200, []), value


async def test_path_takes_one_spelling_of_a_contacts_id(api: httpx.AsyncClient) -> None:
    for method in ("GET", "PATCH"):
        for value in NO_UUIDS:
            answer = await api.request(method, f"/ctms/{quote(value, safe='')}", json={})
            assert answer.status_code == 422, value
            assert [one["loc"] for one in answer.json()["errors"]] == [["path", "email_id"]]
        assert (await api.request(method, f"/ctms/{UUID1}", json={})).status_code == 404


@pytest.mark.parametrize(
    "body", ['{"fxa": {"fxa_id": NaN}}', '{"fxa": {"fxa_id": 1e400}}', '{"amo": {"user_id": 1.0}}']
)
async def test_number_never_becomes_an_identity(api: httpx.AsyncClient, body: str) -> None:
    path = (
        f"/ctms/{(await post(api, email={'primary_email': 'ann@example.com'})).json()['email']['email_id']}"
    )
    new = '{"email": {"primary_email": "bob@example.com"}, ' + body[1:]
    for answer in (await api.patch(path, content=body), await api.post("/ctms", content=new)):
        assert answer.status_code in (400, 422)
    for name in ("fxa_id", "amo_user_id"):
        for value in ("NaN", "nan", "inf", "1.0", "1"):
            assert (await api.get("/ctms", params={name: value})).json() == []


async def test_case_of_an_address_is_ignored_in_any_script(api: httpx.AsyncClient) -> None:
    address = "ÄÖÜ+ΣΑΣ@Example.com"
    created = await post(api, email={"primary_email": address})
    assert created.json()["email"]["primary_email"] == address
    for spelled in (address, address.lower(), address.lower().upper()):
        (found,) = (await api.get("/ctms", params={"primary_email": spelled})).json()
        assert found["email"] == created.json()["email"]
        assert (await post(api, email={"primary_email": spelled})).status_code == 409


async def test_long_lists_and_texts_are_refused_with_their_limit(api: httpx.AsyncClient) -> None:
    email = {"primary_email": "ann@example.com"}
    for body, limit in (
        ({"fxa": {"created_date": "1" * 700_000}}, "255"),
        ({"newsletters": [{"name": f"n{number}"} for number in range(20_000)]}, "1000"),
        ({"newsletters": [{"name": "n", "unsub_reason": "x" * 100_000}]}, "10000"),
        ({"amo": {"add_on_ids": "x" * 100_000}}, "10000"),
    ):
        answer = await post(api, email=email, **body)
        assert answer.status_code == 422
        assert limit in answer.json()["detail"]
        assert len(answer.content) < 1_000


FIELDS = sorted((group, name) for group, model in BODIES.items() for name in model.model_fields)


@settings(BOUNDED, max_examples=examples(60))
@given(field=st.sampled_from(FIELDS), value=ANY_JSON, is_change=st.booleans())
async def test_any_value_of_any_field_is_refused_or_read_back(
    api: httpx.AsyncClient, field: tuple[str, str], value: Any, is_change: bool
) -> None:
    group, name = field
    email: Row = {"primary_email": f"{uuid.uuid4()}@example.com"}
    if is_change:
        path = f"/ctms/{(await post(api, email=email)).json()['email']['email_id']}"
        answer = await api.patch(path, content=json.dumps({group: {name: value}}))
    else:
        answer = await api.post("/ctms", content=json.dumps({"email": email, group: {**email, name: value}}))
    assert answer.status_code in (200, 201, 400, 422), answer.text
    if answer.is_success:
        contact = answer.json()
        read = (await api.get(f"/ctms/{contact['email']['email_id']}")).json()
        assert read == contact
        is_number = (group, name) == ("amo", "user_id") and type(value) is int
        is_left_out = (group, name, value) == ("email", "email_id", None)
        assert is_left_out or read[group][name] == (str(value) if is_number else value)
        assert BODIES[group].model_fields[name].default is not False or type(value) is bool


async def test_search_that_matches_very_many_contacts_is_refused(api: httpx.AsyncClient) -> None:
    for number in range(MOST_FOUND + 1):
        answer = await api.get("/ctms", params={"sfdc_id": "shared"})
        assert len(answer.json()) == number
        email = {"primary_email": f"shared-{number}@example.com", "sfdc_id": "shared"}
        assert (await api.post("/ctms", json={"email": email})).status_code == 201
    answer = await api.get("/ctms", params={"sfdc_id": "shared"})
    assert answer.status_code == 400
    assert (
        answer.json()["detail"] == f"more than {MOST_FOUND} contacts match; add another identity to the query"
    )
