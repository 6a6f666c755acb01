import asyncio
import uuid

import asyncpg
import httpx
import pytest
from contacts_api import MAXIMAL, assert_problem, marks, post
from sync_world import People


async def test_a_patch_changes_what_it_gives_and_nothing_else(api: httpx.AsyncClient) -> None:
    before = (await post(api, **MAXIMAL)).json()
    path = f"/ctms/{before['email']['email_id']}"
    answer = await api.patch(path, json={"email": {"first_name": "New"}, "amo": {"user_id": None}})
    after = answer.json()
    assert answer.status_code == 200
    assert after["email"].pop("update_timestamp") > before["email"].pop("update_timestamp")
    assert after["amo"].pop("update_timestamp") > before["amo"].pop("update_timestamp")
    before["email"]["first_name"] = "New"
    before["amo"]["user_id"] = None
    assert after == before
    assert (await api.get("/ctms", params={"amo_user_id": "123"})).json() == []


async def test_a_patch_without_anything_bumps_the_contact_and_marks_it(
    api: httpx.AsyncClient, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    before = (await post(api, **MAXIMAL)).json()
    answer = await api.patch(f"/ctms/{before['email']['email_id']}", json={})
    after = answer.json()
    assert after["email"]["update_timestamp"] > before["email"]["update_timestamp"]
    assert after["email"]["create_timestamp"] == before["email"]["create_timestamp"]
    assert after["amo"]["update_timestamp"] == before["amo"]["update_timestamp"]
    assert await marks(owner) == 2


async def test_timestamps_cannot_be_set(api: httpx.AsyncClient) -> None:
    before = (await post(api, **MAXIMAL)).json()
    stamp = {"create_timestamp": "2001-01-01T00:00:00+00:00"}
    answer = await api.patch(f"/ctms/{before['email']['email_id']}", json={"email": stamp, "amo": stamp})
    assert answer.json()["email"]["create_timestamp"] == before["email"]["create_timestamp"]
    assert answer.json()["amo"] == before["amo"]


@pytest.mark.parametrize("group", ["amo", "fxa", "mofo", "vpn_waitlist"])
async def test_a_group_can_be_deleted_by_word_or_by_defaults(api: httpx.AsyncClient, group: str) -> None:
    contact = (await post(api, **MAXIMAL)).json()
    path = f"/ctms/{contact['email']['email_id']}"
    empty = (await post(api, email={"primary_email": "empty@example.com"})).json()[group]
    deleted = (await api.patch(path, json={group: "DELETE"})).json()
    assert deleted[group] == empty
    await api.patch(path, json={group: MAXIMAL[group]})
    emptied = (await api.patch(path, json={group: empty})).json()
    assert emptied[group] == empty


@pytest.mark.parametrize("group", ["amo", "email", "fxa", "mofo", "newsletters", "vpn_waitlist"])
async def test_any_other_word_for_a_group_is_invalid(
    api: httpx.AsyncClient, people: People, group: str
) -> None:
    email_id = await people.add()
    answer = await api.patch(f"/ctms/{email_id}", json={group: "REMOVE"})
    assert answer.status_code == 422
    assert [one["loc"] for one in answer.json()["errors"]] == [["body", group]]


async def test_newsletters_are_merged_by_name(api: httpx.AsyncClient) -> None:
    path = f"/ctms/{(await post(api, **MAXIMAL)).json()['email']['email_id']}"
    changes = [
        {"name": "zebra", "lang": "en"},
        {"name": "new", "format": "T"},
        {"name": "never-had", "subscribed": False},
    ]
    after = (await api.patch(path, json={"newsletters": changes})).json()["newsletters"]
    assert [one["name"] for one in after] == ["ant", "new", "zebra"]
    assert after[1]["format"] == "T"
    assert after[1]["subscribed"] is True
    assert after[2] == {**MAXIMAL["newsletters"][0], "lang": "en"}


async def test_all_newsletters_can_be_unsubscribed_at_once(api: httpx.AsyncClient) -> None:
    path = f"/ctms/{(await post(api, **MAXIMAL)).json()['email']['email_id']}"
    after = (await api.patch(path, json={"newsletters": "UNSUBSCRIBE"})).json()["newsletters"]
    assert [(one["name"], one["subscribed"]) for one in after] == [("ant", False), ("zebra", False)]


async def test_a_contact_keeps_its_id_and_its_address(api: httpx.AsyncClient, people: People) -> None:
    email_id = await people.add()
    path = f"/ctms/{email_id}"
    assert (await api.patch(path, json={"email": {"email_id": email_id}})).status_code == 200
    other = {"email": {"email_id": str(uuid.uuid4())}}
    assert_problem(await api.patch(path, json=other), 422, "cannot change email_id")
    answer = await api.patch(path, json={"email": {"primary_email": None}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "email", "primary_email"]


async def test_a_patch_cannot_take_what_another_contact_has(api: httpx.AsyncClient, people: People) -> None:
    await people.add("one")
    email_id = await people.add("two")
    detail = "Contact with primary_email, basket_token, mofo_email_id, or fxa_id already exists"
    for taken in ({"email": {"primary_email": "ONE@example.com"}}, {"fxa": {"fxa_id": "fxa-one"}}):
        assert_problem(await api.patch(f"/ctms/{email_id}", json=taken), 409, detail)
    contact = (await api.get(f"/ctms/{email_id}")).json()
    assert contact["email"]["primary_email"] == "two@example.com"


async def test_patches_at_once_all_take_effect(api: httpx.AsyncClient, people: People) -> None:
    email_id = await people.add()
    names = [f"letter-{number}" for number in range(8)]
    answers = await asyncio.gather(
        *(api.patch(f"/ctms/{email_id}", json={"newsletters": [{"name": name}]}) for name in names)
    )
    assert {answer.status_code for answer in answers} == {200}
    contact = (await api.get(f"/ctms/{email_id}")).json()
    assert [one["name"] for one in contact["newsletters"]] == names
