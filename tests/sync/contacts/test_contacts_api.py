import asyncio
import uuid
from datetime import datetime

import asyncpg
import httpx
import pytest
from contacts_api import MAXIMAL, assert_problem, marks, post
from spellings import ADDRESSES
from sync_world import People, Row


async def test_a_contact_shows_every_group_with_its_defaults(api: httpx.AsyncClient) -> None:
    answer = await post(api, email={"primary_email": "Min@example.com"})
    assert answer.status_code == 201
    contact = answer.json()
    email_id = contact["email"].pop("email_id")
    assert answer.headers["location"] == f"/ctms/{email_id}"
    assert uuid.UUID(email_id).version == 4
    times = [contact["email"].pop(name) for name in ("create_timestamp", "update_timestamp")]
    assert all(datetime.fromisoformat(time).tzinfo for time in times)
    assert contact == {
        "amo": {
            "add_on_ids": None,
            "display_name": None,
            "email_opt_in": False,
            "language": None,
            "last_login": None,
            "location": None,
            "profile_url": None,
            "user": False,
            "user_id": None,
            "username": None,
            "create_timestamp": None,
            "update_timestamp": None,
        },
        "email": {
            "primary_email": "Min@example.com",
            "basket_token": None,
            "double_opt_in": False,
            "sfdc_id": None,
            "first_name": None,
            "last_name": None,
            "mailing_country": None,
            "email_format": "H",
            "email_lang": "en",
            "has_opted_out_of_email": False,
            "unsubscribe_reason": None,
        },
        "fxa": {
            "fxa_id": None,
            "primary_email": None,
            "created_date": None,
            "lang": None,
            "first_service": None,
            "account_deleted": False,
        },
        "mofo": {"mofo_email_id": None, "mofo_contact_id": None, "mofo_relevant": False},
        "newsletters": [],
        "vpn_waitlist": {"geo": None, "platform": None},
        "status": "ok",
    }
    assert list(contact) == ["amo", "email", "fxa", "mofo", "newsletters", "vpn_waitlist", "status"]


async def test_all_that_was_given_comes_back(api: httpx.AsyncClient) -> None:
    created = (await post(api, **MAXIMAL)).json()
    read = (await api.get(f"/ctms/{MAXIMAL['email']['email_id']}")).json()
    assert read == created
    for group in ("amo", "email", "fxa", "mofo", "vpn_waitlist"):
        assert read[group].items() >= MAXIMAL[group].items()
    assert read["newsletters"] == sorted(MAXIMAL["newsletters"], key=lambda one: one["name"])


IDENTITIES = {
    "email_id": "67E52C77-950f-4f28-accb-bb3ea1a2c51a",
    "primary_email": "MAX@EXAMPLE.COM",
    "basket_token": "d9ba6182-f5dd-4728-a477-2cc11bf62b69",
    "sfdc_id": "001A",
    "mofo_contact_id": "m-2",
    "mofo_email_id": "m-1",
    "amo_user_id": "123",
    "fxa_id": "fxa-max",
    "fxa_primary_email": "fxa-max@EXAMPLE.com",
}


async def test_a_contact_is_found_by_each_identity_and_by_all(api: httpx.AsyncClient) -> None:
    created = (await post(api, **MAXIMAL)).json()
    await post(api, email={"primary_email": "other@example.com", "sfdc_id": "001A"})
    del created["status"]
    for name, value in IDENTITIES.items():
        found = (await api.get("/ctms", params={name: value})).json()
        assert created in found, name
        assert len(found) == (2 if name == "sfdc_id" else 1), name
    assert (await api.get("/ctms", params=IDENTITIES)).json() == [created]


async def test_identities_are_anded_and_case_counts_but_in_addresses(api: httpx.AsyncClient) -> None:
    await post(api, **MAXIMAL)
    for params in (
        {**IDENTITIES, "sfdc_id": "nope"},
        {"fxa_id": "FXA-MAX"},
        {"mofo_email_id": "m-2"},
    ):
        answer = await api.get("/ctms", params=params)
        assert (answer.status_code, answer.json()) == (200, [])


async def test_no_identity_is_a_bad_request(api: httpx.AsyncClient) -> None:
    detail = (
        "No identifiers provided, at least one is needed: email_id, primary_email, basket_token, sfdc_id,"
        " mofo_contact_id, mofo_email_id, amo_user_id, fxa_id, fxa_primary_email"
    )
    for path in ("/ctms", "/ctms?primary_email=&fxa_id=", "/ctms?unknown=1"):
        assert_problem(await api.get(path), 400, detail)


@pytest.mark.parametrize(
    ("path", "loc"),
    [
        ("/ctms/not-a-uuid", ["path", "email_id"]),
        ("/ctms?email_id=bad", ["query", "email_id"]),
        ("/ctms?basket_token=bad", ["query", "basket_token"]),
        ("/ctms?sfdc_id=a%00b", ["query", "sfdc_id"]),
    ],
)
async def test_a_malformed_identity_is_invalid(api: httpx.AsyncClient, path: str, loc: list[str]) -> None:
    answer = await api.get(path)
    assert answer.status_code == 422
    assert [one["loc"] for one in answer.json()["errors"]] == [loc]


async def test_an_unknown_contact_is_not_found(api: httpx.AsyncClient) -> None:
    path = f"/ctms/{uuid.uuid4()}"
    assert_problem(await api.get(path), 404, "Unknown email_id")
    assert_problem(await api.patch(path, json={}), 404, "Unknown email_id")


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ("no json", ["body"]),
        ("[]", ["body"]),
        ("{}", ["body", "email"]),
        ('{"email": {}}', ["body", "email", "primary_email"]),
        ('{"email": {"primary_email": ""}}', ["body", "email", "primary_email"]),
        ('{"email": {"primary_email": "a\\u0000b"}}', ["body", "email", "primary_email"]),
        ('{"email": {"primary_email": "\\ud800"}}', ["body"]),
        ('{"email": {"primary_email": "a@b.com", "email_id": "1"}}', ["body", "email", "email_id"]),
        ('{"email": {"primary_email": "a@b.com", "email_format": "X"}}', ["body", "email", "email_format"]),
        (
            '{"email": {"primary_email": "a@b.com", "double_opt_in": null}}',
            ["body", "email", "double_opt_in"],
        ),
        (
            '{"email": {"primary_email": "a@b.com"}, "amo": {"last_login": "soon"}}',
            ["body", "amo", "last_login"],
        ),
        ('{"email": {"primary_email": "a@b.com"}, "amo": "DELETE"}', ["body", "amo"]),
        (
            '{"email": {"primary_email": "a@b.com"}, "newsletters": [{"name": "n", "source": "ftp://x"}]}',
            ["body", "newsletters", 0, "source"],
        ),
        (
            '{"email": {"primary_email": "a@b.com"}, "newsletters": [{"name": "n", "lang": "x"}]}',
            ["body", "newsletters", 0, "lang"],
        ),
    ],
)
async def test_values_that_will_not_do_are_named(
    api: httpx.AsyncClient, body: str, loc: list[str | int]
) -> None:
    answer = await api.post("/ctms", content=body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert [one["loc"] for one in problem["errors"]] == [loc]
    assert isinstance(problem["detail"], str)


LIMITS = {
    "email": {
        "primary_email": 254,
        "sfdc_id": 255,
        "first_name": 255,
        "mailing_country": 255,
        "email_lang": 5,
        "unsubscribe_reason": 10_000,
    },
    "amo": {
        "add_on_ids": 10_000,
        "display_name": 255,
        "language": 5,
        "location": 255,
        "profile_url": 40,
        "user_id": 40,
        "username": 100,
    },
    "fxa": {"fxa_id": 50, "primary_email": 254, "created_date": 255, "lang": 255, "first_service": 50},
    "mofo": {"mofo_email_id": 255, "mofo_contact_id": 255},
    "vpn_waitlist": {"geo": 100, "platform": 100},
}


async def test_the_longest_values_are_stored_and_longer_ones_are_invalid(api: httpx.AsyncClient) -> None:
    longest: Row = {
        group: {name: "é" * limit for name, limit in fields.items()} for group, fields in LIMITS.items()
    }
    longest["email"]["primary_email"] = longest["fxa"]["primary_email"] = ADDRESSES[-1]
    assert (await post(api, **longest)).status_code == 201
    longer = {
        group: {name: value + "x" for name, value in fields.items()} for group, fields in longest.items()
    }
    answer = await post(api, **longer)
    places = {tuple(one["loc"]) for one in answer.json()["errors"]}
    assert places == {("body", group, name) for group, fields in LIMITS.items() for name in fields}


async def test_the_same_contact_again_changes_nothing(
    api: httpx.AsyncClient, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    created = await post(api, **MAXIMAL)
    defaults = {"newsletters": list(reversed(MAXIMAL["newsletters"]))}
    again = await post(api, **{**MAXIMAL, **defaults})
    assert again.status_code == 200
    assert again.json() == created.json()
    assert again.headers["location"] == created.headers["location"]
    assert await marks(owner) == 1


async def test_a_default_group_counts_as_absent(
    api: httpx.AsyncClient, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    email = {"primary_email": "a@example.com", "email_id": str(uuid.uuid4())}
    await post(api, email=email, amo={"user": False}, vpn_waitlist={"geo": None})
    assert await owner.fetchval("SELECT count(*) FROM contact.contact_group") == 1
    assert (await post(api, email=email)).status_code == 200


async def test_another_contact_of_the_same_id_is_a_conflict(api: httpx.AsyncClient) -> None:
    await post(api, **MAXIMAL)
    other = {**MAXIMAL, "mofo": {"mofo_email_id": "m-1"}}
    assert_problem(await post(api, **other), 409, "Contact already exists")


@pytest.mark.parametrize(
    "taken",
    [
        {"email": {"primary_email": "max@EXAMPLE.com"}},
        {"email": {"primary_email": "b@example.com", "basket_token": "d9ba6182-f5dd-4728-a477-2cc11bf62b69"}},
        {"email": {"primary_email": "b@example.com"}, "fxa": {"fxa_id": "fxa-max"}},
        {"email": {"primary_email": "b@example.com"}, "mofo": {"mofo_email_id": "m-1"}},
    ],
)
async def test_an_exclusive_identity_belongs_to_one_contact(api: httpx.AsyncClient, taken: Row) -> None:
    await post(api, **MAXIMAL)
    assert_problem(await post(api, **taken), 409, "Contact already exists")


async def test_of_two_at_once_with_one_address_one_is_stored(
    api: httpx.AsyncClient, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    for number in range(5):
        body = {"email": {"primary_email": f"race-{number}@example.com"}, "fxa": {"fxa_id": f"f-{number}"}}
        answers = await asyncio.gather(*(post(api, **body) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert await owner.fetchval("SELECT count(*) FROM contact.contact") == 5


async def test_of_equal_ones_at_once_one_is_created_and_the_others_agree(api: httpx.AsyncClient) -> None:
    for number in range(5):
        email = {"email_id": str(uuid.uuid4()), "primary_email": f"same-{number}@example.com"}
        answers = await asyncio.gather(*(post(api, email=email) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]


async def test_contacts_that_swap_identities_at_once_never_fail(
    api: httpx.AsyncClient, people: People
) -> None:
    for number in range(5):
        one, two = await people.add(f"one-{number}"), await people.add(f"two-{number}")
        answers = await asyncio.gather(
            api.patch(f"/ctms/{one}", json={"fxa": {"fxa_id": f"fxa-two-{number}"}}),
            api.patch(f"/ctms/{two}", json={"fxa": {"fxa_id": f"fxa-one-{number}"}}),
        )
        assert {answer.status_code for answer in answers} == {409}


async def test_a_write_is_counted_under_the_name_that_ctms_gave_it(
    api: httpx.AsyncClient, people: People
) -> None:
    await people.add()
    lines = (await api.get("/metrics")).text.splitlines()
    assert any(line.startswith("ctms_pending_acoustic_sync_total") for line in lines)


async def test_nobody_gets_in_without_an_identity(api: httpx.AsyncClient) -> None:
    answer = await api.get("/ctms?fxa_id=x", headers={"Authorization": ""})
    assert answer.status_code == 401
