"""Token requests that cannot be read, or say too little, twice or too much; and both forms of Basic."""

import base64
from typing import Any
from urllib.parse import quote_plus

import pytest
from tiny_gateway import GRANT, SECRET, Gateway

from mainstem.gateway.tokens.credentials import credentials_of

FORM = "application/x-www-form-urlencoded"


def basic(client_id: str, secret: str) -> str:
    return base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"json": {**GRANT, "client_id": "id_demo"}}, f"Content-Type: {FORM}"),
        ({"json": {}, "auth": ("id_demo", SECRET)}, f"Content-Type: {FORM}"),
        ({"content": b"grant_type=client_credentials", "headers": {"Content-Type": "text/plain"}}, FORM),
        ({"files": {"grant_type": b"client_credentials"}}, f"Content-Type: {FORM}"),
        ({"data": {"client_id": "id_demo", "client_secret": SECRET}}, "grant_type is missing; send"),
        ({"data": {"grant_type": ""}, "auth": ("id_demo", SECRET)}, "grant_type is missing; send"),
        ({"auth": ("id_demo", SECRET)}, "grant_type is missing; send grant_type=client_credentials"),
        ({"data": {"grant_type": ["client_credentials"] * 2}}, "there twice"),
        ({"data": {**GRANT, "client_id": ["id_demo", "id_other"]}}, "there twice"),
        ({"data": {**GRANT, "whatever": ["", ""]}}, "there twice"),
        ({"data": {**GRANT, "client_id": "i" * 256, "client_secret": SECRET}}, "longer than 255"),
        ({"data": {**GRANT, "client_id": "id_demo", "client_secret": "s" * 1025}}, "longer than 1024"),
        ({"data": {**GRANT, "scope": "s" * 1025}, "auth": ("id_demo", SECRET)}, "longer than 1024"),
        ({"data": GRANT, "auth": ("i" * 256, SECRET)}, "client_id is longer than 255 characters"),
        ({"data": GRANT, "auth": ("id_demo", "s" * 1025)}, "client_secret is longer than 1024"),
    ],
)
async def test_request_that_will_not_do_is_answered_with_what_to_send(
    gateway: Gateway, options: dict[str, Any], detail: str
) -> None:
    await gateway.put_client("id_demo")
    answer = await gateway.http.post("/token", **options)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=utf-8", FORM.upper(), None])
async def test_form_is_read_by_any_spelling_of_its_type_and_without_one(
    gateway: Gateway, content_type: str | None
) -> None:
    await gateway.put_client("id_demo")
    answer = await gateway.http.post(
        "/token",
        content=b"grant_type=client_credentials",
        headers={} if content_type is None else {"Content-Type": content_type},
        auth=("id_demo", SECRET),
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("scheme", ["Basic ", "basic ", "BASIC   ", "Basic  "])
async def test_basic_is_read_in_any_case_and_after_any_number_of_spaces(
    gateway: Gateway, scheme: str
) -> None:
    client_id = await gateway.add_client("demo")
    headers = {"Authorization": scheme + basic(client_id, SECRET)}
    assert (await gateway.http.post("/token", data=GRANT, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    ("encoded", "secret"),
    [
        (basic("id_demo", SECRET), SECRET),
        (basic("id%5Fdemo", SECRET), SECRET),
        (basic("id_demo", quote_plus("a b+c%d:e")), "a b+c%d:e"),
        (basic("id_demo", "with:colon"), "with:colon"),
    ],
)
def test_basic_is_decoded_as_rfc_6749_says(encoded: str, secret: str) -> None:
    credentials = credentials_of({}, f"Basic {encoded}")
    assert credentials is not None
    assert (credentials.client_id, credentials.client_secret) == ("id_demo", secret)


@pytest.mark.parametrize(
    "encoded", ["", "%%%", basic("id", "%ff"), "aWQ=", base64.b64encode(b"\xff:x").decode()]
)
def test_basic_that_cannot_be_decoded_is_no_credentials(encoded: str) -> None:
    assert credentials_of({}, f"Basic {encoded}") is None
