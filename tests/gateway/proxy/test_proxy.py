import asyncio
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples
from raw_http import hang_up, parts_of, said_to
from starlette.types import Receive, Send
from tiny_gateway import Gateway, Upstream, answer

CONTACT = "/ctms/332de237-cab7-4461-bcc3-48e68f42bd5c"


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(parts=st.lists(st.binary(max_size=3_000), max_size=5), is_chunked=st.booleans())
async def test_any_body_arrives_unchanged_on_a_public_route(
    gateway: Gateway, upstream: Upstream, parts: list[bytes], is_chunked: bool
) -> None:
    content: Any = parts_of(*parts) if is_chunked else b"".join(parts)
    answer = await gateway.http.post("/webhooks/stripe", content=content)
    assert answer.status_code == 200
    assert upstream.last.body == b"".join(parts)


async def test_what_a_provider_signed_is_left_untouched(gateway: Gateway, upstream: Upstream) -> None:
    body = '{"id": "evt_1",\r\n  "name": "caf\u00e9 \U0001f980"}'.encode()
    headers = {"Stripe-Signature": "t=1,v1=00", "Content-Type": "application/json; charset=utf-8"}
    await gateway.http.post("/webhooks/stripe?a=%20b+c&a=2&q='x'", content=body, headers=headers)
    got = upstream.last
    assert (got.method, got.raw_path, got.body) == ("POST", b"/webhooks/stripe", body)
    assert got.query == b"a=%20b+c&a=2&q='x'"
    assert got.values("stripe-signature") == ["t=1,v1=00"]
    assert got.values("content-type") == ["application/json; charset=utf-8"]
    assert got.values("content-length") == [str(len(body))]


async def test_a_query_with_characters_of_its_own_arrives_as_it_came(
    gateway: Gateway, upstream: Upstream
) -> None:
    text = "GET /open/door?a=<\"'|>&b=%C3%A9&c=+%2B HTTP/1.1\nhost: a\nconnection: close\n\n"
    reader, writer = await said_to(gateway, text)
    assert b" 200 " in await reader.readline()
    await hang_up(writer)
    assert upstream.last.query == b"a=<\"'|>&b=%C3%A9&c=+%2B"


async def test_headers_of_one_connection_are_not_passed_on(gateway: Gateway, upstream: Upstream) -> None:
    async def reply(_receive: Receive, send: Send) -> None:
        headers = [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=9")]
        await answer(send, 200, b"", [*headers, (b"x-end", b"1"), (b"x-end", b"2"), (b"server", b"secret/1")])

    upstream.answers["door"] = reply
    given = {"Connection": "keep-alive, X-Hop", "X-Hop": "1", "TE": "trailers", "X-End": "caf\u00e9"}
    got = await gateway.http.get("/open/door", headers=httpx.Headers(given, encoding="utf-8"))
    sent = upstream.last
    assert [sent.values(name) for name in ("x-hop", "te", "keep-alive")] == [[], [], []]
    assert sent.values("x-end") == ["caf\u00e9"]
    assert "x-hop" not in got.headers
    assert "keep-alive" not in got.headers
    assert "server" not in got.headers
    assert got.headers.get_list("x-end") == ["1", "2"]


async def test_the_gateway_says_itself_where_a_request_comes_from(
    gateway: Gateway, upstream: Upstream
) -> None:
    forged = {
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-Port": "1",
        "Forwarded": "for=1.2.3.4",
        "X-Real-IP": "1.2.3.4",
        "Host": "api.example.com",
    }
    await gateway.http.get("/open/door", headers=forged)
    sent = upstream.last
    assert sent.values("x-forwarded-for") == ["127.0.0.1"]
    assert sent.values("x-forwarded-proto") == ["http"]
    assert sent.values("x-forwarded-host") == ["api.example.com"]
    assert [sent.values(name) for name in ("x-forwarded-port", "forwarded", "x-real-ip")] == [[], [], []]


async def test_one_request_id_and_one_trace_run_through(gateway: Gateway, upstream: Upstream) -> None:
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    given = f"x-request-id: mine-1\ntraceparent: 00-{trace_id}-{span_id}-01\ntracestate: a=b"
    text = f"GET /open/door HTTP/1.1\nhost: a\nconnection: close\n{given}\n\n"
    reader, writer = await said_to(gateway, text)
    answer = await reader.read()
    await hang_up(writer)
    (traceparent,) = upstream.last.values("traceparent")
    assert upstream.last.values("x-request-id") == ["mine-1"]
    assert answer.count(b"x-request-id: mine-1") == 1
    assert traceparent.split("-")[1] == trace_id
    assert traceparent.split("-")[2] != span_id
    got = await gateway.http.get("/open/door")
    assert upstream.last.values("x-request-id") == [got.headers["x-request-id"]]
    assert upstream.last.values("traceparent")[0].split("-")[1] != trace_id


async def test_an_answer_comes_back_as_it_was_given(gateway: Gateway, upstream: Upstream) -> None:
    async def created(_receive: Receive, send: Send) -> None:
        headers = [(b"location", b"/ctms/1"), (b"content-encoding", b"gzip"), (b"content-length", b"3")]
        await answer(send, 201, b"\x1f\x8b\x00", headers)

    async def nothing(_receive: Receive, send: Send) -> None:
        await answer(send, 204, b"")

    async def elsewhere(_receive: Receive, send: Send) -> None:
        await answer(send, 307, b"", [(b"location", b"http://127.0.0.1:9/")])

    upstream.answers = {"created": created, "nothing": nothing, "elsewhere": elsewhere}
    async with gateway.http.stream("GET", "/open/created") as got:
        raw = b"".join([part async for part in got.aiter_raw()])
    assert (got.status_code, got.headers["location"], raw) == (201, "/ctms/1", b"\x1f\x8b\x00")
    assert (await gateway.http.get("/open/nothing")).status_code == 204
    moved = await gateway.http.get("/open/elsewhere")
    assert (moved.status_code, moved.headers["location"]) == (307, "http://127.0.0.1:9/")


async def test_head_has_the_headers_and_no_body(gateway: Gateway, upstream: Upstream) -> None:
    async def sized(_receive: Receive, send: Send) -> None:
        await answer(send, 200, b"12345", [(b"content-length", b"5")])

    upstream.answers["sized"] = sized
    got = await gateway.http.head("/open/sized")
    assert (got.status_code, got.headers["content-length"], got.content) == (200, "5", b"")
    assert upstream.last.method == "HEAD"


async def test_an_unknown_path_is_404_and_a_known_one_tells_its_methods(gateway: Gateway) -> None:
    unknown = await gateway.http.get("/nothing")
    other = await gateway.http.delete("/ctms/1")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Not Found")
    assert unknown.headers["content-type"] == "application/problem+json"
    assert (other.status_code, other.headers["allow"]) == (405, "GET, HEAD")


async def test_thirty_two_at_once_all_get_their_own_answer(gateway: Gateway, upstream: Upstream) -> None:
    bearer = await gateway.bearer(await gateway.add_client("demo"))

    async def call(worker: int) -> None:
        for number in range(10):
            body = f"{worker}-{number}".encode()
            answer = await gateway.http.post("/ctms", headers=bearer, content=body)
            assert answer.status_code == 200

    await asyncio.gather(*(call(worker) for worker in range(32)))
    bodies = {received.body for received in upstream.received}
    assert len(bodies) == len(upstream.received) == 320
    assert len({tuple(received.values("authorization")) for received in upstream.received}) == 1


async def test_health_answers_beside_the_routes(gateway: Gateway) -> None:
    ready = await gateway.http.get("/__heartbeat__")
    assert (ready.status_code, ready.json()["database"]["up"]) == (200, True)
    assert (await gateway.http.get("/__lbheartbeat__")).status_code == 200
    assert (await gateway.http.get("/__version__")).json()["service"] == "gateway"
    assert (await gateway.http.get("/metrics")).status_code == 200
