from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import jwt
import pytest
from structlog.typing import EventDict
from tiny_gateway import GRANT, SECRET, Gateway

from mainstem.gateway.tokens.credentials import credentials_of

FAILURE = "Incorrect username or password"


Ask = Callable[..., Awaitable[tuple[httpx.Response, dict[str, Any]]]]


@pytest.fixture
def ask(gateway: Gateway, logged: list[EventDict]) -> Ask:
    """Ask for a token; return the answer, and the fields of the one log event about it."""

    async def ask(**options: Any) -> tuple[httpx.Response, dict[str, Any]]:
        logged.clear()
        answer = await gateway.http.post("/token", **options)
        told = [dict(event) for event in logged if event["event"].startswith("token.")]
        return answer, told[0] if told else {}

    return ask


async def test_credentials_in_a_form_give_a_token(gateway: Gateway, ask: Ask) -> None:
    client_id = await gateway.add_client("demo", "contacts:write", "contacts:read")
    form = {**GRANT, "client_id": client_id, "client_secret": SECRET}
    answer, event = await ask(data=form)
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 3600)
    assert body["scope"] == "contacts:read contacts:write"
    assert event["token_creds_from"] == "form"


async def test_credentials_by_basic_give_a_token_for_both_grants(gateway: Gateway, ask: Ask) -> None:
    client_id = await gateway.add_client("demo")
    for form in (GRANT, {"grant_type": "refresh_token"}):
        answer, event = await ask(auth=(client_id, SECRET), data=form)
        assert answer.status_code == 200
        assert event["token_creds_from"] == "header"


async def test_a_form_with_both_parts_wins_over_the_header(gateway: Gateway, ask: Ask) -> None:
    one, other = await gateway.add_client("one"), await gateway.add_client("other")
    form = {**GRANT, "client_id": one, "client_secret": SECRET}
    answer, event = await ask(auth=(other, "wrong"), data=form)
    assert answer.status_code == 200
    assert (event["token_creds_from"], event["client_id"]) == ("form", one)


async def test_a_form_with_one_part_leaves_the_header_in_force(gateway: Gateway, ask: Ask) -> None:
    client_id = await gateway.add_client("demo")
    answer, event = await ask(auth=(client_id, SECRET), data={**GRANT, "client_id": "somebody"})
    assert answer.status_code == 200
    assert event["token_creds_from"] == "header"


@pytest.mark.parametrize(
    ("options", "reason", "source"),
    [
        ({}, "No credentials", None),
        ({"headers": {"Authorization": "Basic %%%"}}, "No credentials", None),
        ({"headers": {"Authorization": "Bearer x"}}, "No credentials", None),
        ({"auth": ("id_nobody", SECRET)}, "No client record", "header"),
        ({"data": {"client_id": "id_\0", "client_secret": SECRET}}, "No client record", "form"),
        ({"auth": ("id_off", SECRET)}, "Client disabled", "header"),
        ({"auth": ("id_off", "wrong")}, "Client disabled", "header"),
        ({"auth": ("id_demo", "wrong")}, "Bad credentials", "header"),
        ({"data": {"client_id": "id_demo", "client_secret": "wrong"}}, "Bad credentials", "form"),
    ],
)
async def test_whatever_is_wrong_the_answer_is_one_and_only_the_log_says_what(
    gateway: Gateway, ask: Ask, options: dict[str, Any], reason: str, source: str | None
) -> None:
    await gateway.put_client("id_demo")
    await gateway.put_client("id_off", enabled=False)
    answer, event = await ask(**options | {"data": GRANT | options.get("data", {})})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["detail"], answer.json()["error"]) == (FAILURE, "invalid_client")
    assert (event["token_fail"], event.get("token_creds_from")) == (reason, source)
    assert SECRET not in str(event)
    assert "wrong" not in str(event)


async def test_another_grant_is_refused_before_the_credentials_are_looked_at(ask: Ask) -> None:
    answer, event = await ask(data={"grant_type": "password"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "grant_type"]
    assert answer.json()["error"] == "unsupported_grant_type"
    assert event == {}


async def test_a_scope_narrows_and_never_widens(gateway: Gateway, ask: Ask) -> None:
    client_id = await gateway.add_client("demo", "contacts:read", "contacts:write")

    async def granted(scope: str) -> httpx.Response:
        answer, _ = await ask(auth=(client_id, SECRET), data={**GRANT, "scope": scope})
        return answer

    assert (await granted("contacts:read")).json()["scope"] == "contacts:read"
    assert (await granted("billing:write contacts:read")).json()["scope"] == "contacts:read"
    assert (await granted("")).json()["scope"] == "contacts:read contacts:write"
    refused = await granted("billing:write")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


async def test_a_token_says_what_rfc_9068_asks_and_is_signed_by_a_published_key(gateway: Gateway) -> None:
    client_id = await gateway.add_client("demo", "contacts:read")
    token = await gateway.token(client_id)
    header = jwt.get_unverified_header(token)
    published = await gateway.http.get("/.well-known/jwks.json")
    assert published.headers["cache-control"] == "public, max-age=20"
    assert all("d" not in key for key in published.json()["keys"])
    key = jwt.PyJWKSet.from_dict(published.json())[header["kid"]]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="mainstem-gateway")
    assert (header["typ"], header["alg"]) == ("at+jwt", "EdDSA")
    assert claims["sub"] == f"api_client:{client_id}"
    assert claims["exp"] - claims["iat"] == 3600
    assert (claims["iss"], claims["scope"]) == ("mainstem-gateway", "contacts:read")
    assert (
        claims["jti"]
        != jwt.decode(await gateway.token(client_id), key, algorithms=["EdDSA"], audience="mainstem-gateway")[
            "jti"
        ]
    )


async def test_a_form_over_the_limit_or_unreadable_is_a_clear_4xx(gateway: Gateway) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    long = await gateway.http.post("/token", content=b"a=" + b"b" * 20_000, headers=headers)
    broken = await gateway.http.post("/token", content=b"a=%ff\xff", headers=headers)
    assert (long.status_code, broken.status_code) == (413, 400)
    assert broken.json()["error"] == "invalid_request"


async def test_other_methods_are_told_which_there_are(gateway: Gateway) -> None:
    token = await gateway.http.get("/token")
    keys = await gateway.http.post("/.well-known/jwks.json")
    assert (token.status_code, token.headers["allow"]) == (405, "POST")
    assert (keys.status_code, keys.headers["allow"]) == (405, "GET, HEAD")


def test_a_secret_stands_in_no_representation() -> None:
    credentials = credentials_of({"client_id": "id_demo", "client_secret": SECRET}, None)
    assert credentials is not None
    assert SECRET not in repr(credentials)
