"""Owners at every door of billing: which kinds there are, and which value fits which."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from billing_world import BillingWorld, register
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import BOUNDED, examples
from spellings import ADDRESSES, ANY_JSON, NAMES, NO_ADDRESSES, NO_NAMES, NO_NUMBERS, NO_UUIDS, NUMBERS, UUID1

from mainstem.common import owner

Row = dict[str, Any]

LISTING = "/billing/subscriptions"
MANAGE = "/billing/subscriptions/manage"


def texts(kind: str, *, fit: bool) -> tuple[str, ...]:
    if kind in owner.UUIDS:
        return (UUID1, UUID1.upper()) if fit else NO_UUIDS
    if kind in owner.NUMBERS:
        return NUMBERS if fit else NO_NUMBERS
    if kind in owner.ADDRESSES:
        return ADDRESSES if fit else NO_ADDRESSES
    return NAMES if fit else NO_NAMES


def path_of(kind: str, value: str) -> str:
    return f"/billing/accounts/{quote(kind, safe='')}/{quote(value, safe='')}"


async def answers(
    client: httpx.AsyncClient, kind: str, value: str
) -> Mapping[tuple[str, ...], httpx.Response]:
    """Return what each door says to an owner, by where it would refuse the value."""
    named = {"owner": {"kind": kind, "value": value}}
    query = {"owner_kind": kind, "owner_value": value}
    return {
        ("path", "value"): await client.get(path_of(kind, value)),
        ("body", "owner", "value"): await client.post(MANAGE, json={**named, "intent": "cancel"}),
        ("query", "owner_value"): await client.get(LISTING, params=query),
    }


def places(answer: httpx.Response) -> list[tuple[str, ...]]:
    return [tuple(one["loc"]) for one in answer.json()["errors"]]


@pytest.mark.parametrize("kind", sorted(owner.KINDS))
async def test_value_must_fit_its_kind_at_every_door(direct: httpx.AsyncClient, kind: str) -> None:
    for value in texts(kind, fit=False):
        for place, answer in (await answers(direct, kind, value)).items():
            assert answer.status_code == 422, (value, place)
            assert places(answer) == [place]
    for value in texts(kind, fit=True):
        for place, answer in (await answers(direct, kind, value)).items():
            assert (answer.status_code, answer.json()["detail"]) == (404, "user not found"), (value, place)


@pytest.mark.parametrize("kind", ["bogus", "user", "mail", "x" * 64])
async def test_owner_of_another_kind_is_refused_with_those_there_are(
    direct: httpx.AsyncClient, kind: str
) -> None:
    for place, answer in (await answers(direct, kind, "person-1")).items():
        assert answer.status_code == 422
        (where,) = places(answer)
        assert where == tuple(part.replace("value", "kind") for part in place)
        assert all(known in answer.json()["detail"] for known in owner.KINDS)
    put = await direct.put(path_of(kind, "person-1"), json={"email": "ada@example.com"})
    assert (put.status_code, places(put)) == (422, [("path", "kind")])


async def test_kind_of_the_owner_link_is_a_kind_as_well(world: BillingWorld) -> None:
    client = await world.serve(owner_link="customer.metadata.who:member")
    await register(client, "member", "person-1")
    for place, answer in (await answers(client, "member", "person-1")).items():
        assert answer.status_code != 422, place


@pytest.mark.parametrize(
    ("kind", "spellings"),
    [
        ("email", ("Ada@Example.com", "ada@example.com")),
        ("primary_email", ("ÄDA@Example.com", "äda@example.com")),
        ("fxa_primary_email", ("Ada@Example.com", "ADA@EXAMPLE.COM")),
        ("email_id", (UUID1, UUID1.upper())),
    ],
)
async def test_spellings_of_one_owner_are_one_account(
    direct: httpx.AsyncClient, kind: str, spellings: tuple[str, str]
) -> None:
    body = {"email": "ada@example.com"}
    ids = {(await direct.put(path_of(kind, value), json=body)).json()["id"] for value in spellings}
    assert len(ids) == 1


@pytest.mark.parametrize("text", NO_NUMBERS)
async def test_github_user_has_one_spelling_in_a_query(direct: httpx.AsyncClient, text: str) -> None:
    answer = await direct.get(LISTING, params={"github_user_id": text})
    assert (answer.status_code, places(answer)) == (422, [("query", "github_user_id")])


@pytest.mark.parametrize(
    "text", ["NaN", "1e400", "1.0", "7e0", "-7", "0", '"7"', "true", "[7]", "9223372036854775808"]
)
async def test_github_user_is_an_integer_in_a_body(direct: httpx.AsyncClient, text: str) -> None:
    await register(direct, value="7")
    for path, more in ((LISTING, ""), (MANAGE, ', "intent": "cancel"')):
        answer = await direct.post(path, content=f'{{"github_user_id": {text}{more}}}')
        assert answer.status_code in (400, 422)


async def test_one_github_user_is_one_owner_however_named(direct: httpx.AsyncClient) -> None:
    await register(direct, value="7")
    for query in ({"github_user_id": "7"}, {"owner_kind": "github_user_id", "owner_value": "7"}):
        assert (await direct.get(LISTING, params=query)).json() == {"subscriptions": []}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"email": "ada@example.com", "mail": "b@example.com"}, ("body", "mail")),
        *(({"email": address}, ("body", "email")) for address in NO_ADDRESSES),
        ({"email": 1}, ("body", "email")),
        ({"email": "ada@example.com", "login": "x" * 201}, ("body", "login")),
        ({"email": "ada@example.com", "login": " ada"}, ("body", "login")),
        ({"email": "ada@example.com", "login": 5}, ("body", "login")),
    ],
)
async def test_what_is_no_account_is_refused(
    direct: httpx.AsyncClient, body: Row, place: tuple[str, ...]
) -> None:
    answer = await direct.put(path_of("fxa_id", "a"), json=body)
    assert (answer.status_code, places(answer)) == (422, [place])


async def test_unknown_member_of_an_owner_is_refused_and_one_of_zeds_bodies_ignored(
    direct: httpx.AsyncClient,
) -> None:
    named = {"kind": "fxa_id", "value": "a"}
    odd = await direct.post(LISTING, json={"owner": {**named, "id": 1}})
    assert (odd.status_code, places(odd)) == (422, [("body", "owner", "id")])
    ignored = await direct.post(LISTING, json={"owner": named, "id": 1})
    assert ignored.status_code == 404


@settings(BOUNDED, max_examples=examples(40))
@given(kind=st.sampled_from(sorted(owner.KINDS)), value=ANY_JSON, email=ANY_JSON, login=ANY_JSON)
async def test_any_value_of_an_account_is_refused_or_read_back(
    direct: httpx.AsyncClient, kind: str, value: Any, email: Any, login: Any
) -> None:
    answer = await direct.post(
        LISTING, content=json.dumps({"owner": {"kind": kind, "value": value}, "price": login})
    )
    assert answer.status_code in (400, 404, 422)
    for body in ({"email": email}, {"email": "ada@example.com", "login": login}):
        answer = await direct.put(path_of("fxa_id", "person-1"), content=json.dumps(body))
        assert answer.status_code in (200, 201, 400, 422)
        if answer.is_success:
            assert answer.json().items() >= body.items()
