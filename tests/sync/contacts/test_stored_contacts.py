"""Stored contacts that no caller could send any more: readable, changeable, deliverable."""

import json
import uuid
from typing import Any

import httpx
import pytest
from sync_world import People, Worker

from mainstem.sandbox.acoustic.stand_in import AcousticStandIn

OLD_ID = "c4a7d759-bb52-11eb-896b-90f1d3ef8433"
OLD: dict[str, dict[str, Any]] = {
    "email": {
        "primary_email": "fan",
        "first_name": "x" * 5_000,
        "unsubscribe_reason": "x" * 20_000,
        "email_lang": 7,
    },
    "fxa": {"fxa_id": " nan ", "primary_email": "no address", "created_date": "1" * 700_000},
    "amo": {"user_id": "1.0", "profile_url": "x" * 300, "user": "yes"},
}

MANY_NEWSLETTERS = """
INSERT INTO contact.newsletter (contact_id, name, subscribed, format, lang, source, created_at, updated_at)
SELECT $1, 'n' || number, true, 'odd', 'x', 'ftp://old', now(), now()
FROM generate_series(1, 3000) AS number
"""

Owner = Any


@pytest.fixture
async def old(people: People, owner: Owner) -> str:
    """Store a contact that no caller could send today, under an id of version 1."""
    new = await people.add("fan", amo={"user": True})
    for name, data in OLD.items():
        await owner.execute(
            "UPDATE contact.contact_group SET data = $2 WHERE name = $1", name, json.dumps(data)
        )
    for table in ("contact", "contact_group", "identity", "delivery"):
        await owner.execute(f"UPDATE contact.{table} SET contact_id = $1", uuid.UUID(OLD_ID))
    await owner.execute("UPDATE contact.identity SET value = $1 WHERE value = $2", OLD_ID, new)
    await owner.execute(MANY_NEWSLETTERS, uuid.UUID(OLD_ID))
    return OLD_ID


async def test_old_contact_is_read_and_found(api: httpx.AsyncClient, old: str) -> None:
    contact = (await api.get(f"/ctms/{old}")).json()
    assert contact["email"]["primary_email"] == "fan"
    assert contact["email"]["email_lang"] == "7"
    assert contact["fxa"]["created_date"] == "1" * 700_000
    assert contact["amo"]["user"] is True
    assert len(contact["newsletters"]) == 3_000
    (found,) = (await api.get("/ctms", params={"email_id": old})).json()
    assert found["email"] == contact["email"]


async def test_old_contact_is_changed_and_mended(api: httpx.AsyncClient, old: str) -> None:
    changes = {"email": {"primary_email": "fan@example.com"}, "fxa": "DELETE", "newsletters": "UNSUBSCRIBE"}
    answer = await api.patch(f"/ctms/{old}", json=changes)
    assert answer.status_code == 200, answer.text[:500]
    contact = answer.json()
    assert contact["email"]["first_name"] == "x" * 5_000
    assert contact["fxa"]["created_date"] is None
    assert not any(one["subscribed"] for one in contact["newsletters"])
    (found,) = (await api.get("/ctms", params={"primary_email": "fan@example.com"})).json()
    assert found["email"]["email_id"] == old


async def test_old_contact_is_delivered(
    old: str, worker: Worker, acoustic: AcousticStandIn, people: People
) -> None:
    assert await worker.deliver() == 1
    held = acoustic.holds()["main"][old]
    assert held["email"] == "fan"
    assert held["fxa_created_date"] == "1" * 700_000
    assert held["amo_user"] == "1"
    delivery = await people.delivery(old)
    assert (delivery["sent"], delivery["failures"]) == (delivery["wanted"], 0)
