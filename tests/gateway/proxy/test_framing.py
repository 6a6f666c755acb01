"""How the gateway frames what it sends, and which bytes of a request reach the upstream."""

import asyncio

import pytest
from forwarding import NO_BODY, Caller, forwarding, part
from raw_http import OK, Scripted, exchanged, raw_server, said_to, until
from tiny_gateway import Gateway, StartGateway, Upstream

from mainstem.common.errors import BadRequestError, MainstemError
from mainstem.common.http.calls.breaker import FAILURES_TO_OPEN

FRAMING = (b"content-length", b"transfer-encoding")


def framing_of(head: list[bytes]) -> list[bytes]:
    return [line for line in head if line.partition(b":")[0].lower() in FRAMING]


@pytest.mark.parametrize(
    ("fields", "messages", "framing", "body"),
    [
        ([(b"content-length", b"0005")], [part(b"12345")], b"content-length: 5", b"12345"),
        ([(b"transfer-encoding", b"chunked")], [part(b"12345")], b"content-length: 5", b"12345"),
        ([(b"content-length", b"5")], [part(b"12", more=True), part(b"345")], b"content-length: 5", b"12345"),
        (
            [(b"transfer-encoding", b"Chunked")],
            [part(b"12", more=True), part(b"", more=True), part(b"345"), part(b"")],
            b"transfer-encoding: chunked",
            b"2\r\n12\r\n3\r\n345\r\n0\r\n\r\n",
        ),
    ],
)
async def test_a_body_is_framed_by_what_was_read(
    fields: list[tuple[bytes, bytes]], messages: list[dict[str, object]], framing: bytes, body: bytes
) -> None:
    # The answer waits for the whole body: a server that answers early is another test.
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"\r\n\r\n"))
        received.append(await reader.readexactly(len(body)))
        writer.write(OK)
        await reader.read()

    received: list[bytes] = []
    async with raw_server(behave) as url, forwarding(url) as gateway:
        got = await gateway.post(messages, *fields)
    assert (got.status, got.body, got.is_whole) == (200, b"ok", True)
    assert framing_of(received[0].split(b"\r\n")) == [framing]
    assert received[1] == body


@pytest.mark.parametrize(
    ("method", "framing"),
    [
        ("GET", []),
        ("HEAD", []),
        ("DELETE", []),
        ("OPTIONS", []),
        ("POST", [b"content-length: 0"]),
        ("PUT", [b"content-length: 0"]),
        ("PATCH", [b"content-length: 0"]),
    ],
)
async def test_a_request_without_a_body_says_so_as_its_method_demands(
    method: str, framing: list[bytes]
) -> None:
    upstream = Scripted([b"HTTP/1.1 204 No Content\r\n\r\n"])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        await gateway.call(Caller([NO_BODY]), method=method)
    assert framing_of(upstream.head) == framing


@pytest.mark.parametrize(
    "fields",
    [
        [(b"content-length", value)]
        for value in (b"", b"+5", b"-5", b"5, 5", b"0x5", b"5 5", b"\xb2", b"1_0", b"9" * 20, b"5;")
    ]
    + [
        [(b"content-length", b"5"), (b"content-length", b"5")],
        [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip, chunked")],
        [(b"transfer-encoding", b"identity")],
    ],
)
async def test_a_request_whose_length_can_be_read_in_two_ways_is_400_and_goes_nowhere(
    fields: list[tuple[bytes, bytes]],
) -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        with pytest.raises(BadRequestError):
            await gateway.post([part(b"12345")], *fields)
    assert upstream.connections == []


@pytest.mark.parametrize("body", [b"", b"1234", b"123456"])
async def test_a_whole_body_of_another_length_than_declared_is_400_and_goes_nowhere(body: bytes) -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        with pytest.raises(BadRequestError) as raised:
            await gateway.post([part(body)], (b"content-length", b"5"))
    assert raised.value.headers == {"Connection": "close"}
    assert upstream.connections == []


@pytest.mark.parametrize("last", [part(b"34"), part(b"3456"), part(b"3456", more=True)])
async def test_a_streamed_body_of_another_length_than_declared_ends_both_connections(
    last: dict[str, object],
) -> None:
    async def behave(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(-1))
        ended.set()

    received: list[bytes] = []
    ended = asyncio.Event()
    async with raw_server(behave) as url, forwarding(url) as gateway:
        with pytest.raises(MainstemError) as raised:
            await gateway.post([part(b"12", more=True), last], (b"content-length", b"5"))
        async with asyncio.timeout(3):
            await ended.wait()
        assert not gateway.breaker.is_open
    assert raised.value.status == 400
    assert raised.value.headers == {"Connection": "close"}
    assert b"345" not in b"".join(received)


async def test_fields_of_one_connection_go_through_in_neither_direction() -> None:
    given = [
        (b"connection", b"Upgrade, X-Hop"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABkAAQAAP__"),
        (b"x-hop", b"1"),
        (b"proxy-connection", b"keep-alive"),
        (b"trailer", b"x-sum"),
        (b"te", b"trailers"),
        (b"x-end", b"caf\xe9\x80\xff"),
    ]
    answer = (
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade, X-Back\r\nUpgrade: h2c\r\nX-Back: 1\r\n"
        b"Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nTrailer: x-sum\r\n"
        b"X-End: caf\xe9\x80\xff\r\ncontent-length: 2\r\n\r\nok"
    )
    upstream = Scripted([answer])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        got = await gateway.call(Caller([NO_BODY]), fields=given)
    names = {line.partition(b":")[0].lower() for line in upstream.head[1:]}
    own = {b"host", b"x-end", b"http2-settings", b"x-request-id", b"x-forwarded-for", b"x-forwarded-proto"}
    assert names - {b"traceparent"} == own | {b"x-forwarded-host"}
    assert b"x-end: caf\xe9\x80\xff" in upstream.head
    assert sorted(got.fields) == [(b"content-length", b"2"), (b"x-end", b"caf\xe9\x80\xff")]


TARGETS = (b"/raw/%7Ex", b"/raw/x?a=\"<'|>{}\\^`&b=%2f%zz", b"/raw/x?" + b"a" * 7_000, b"/raw/x??")


@pytest.mark.parametrize("target", TARGETS)
async def test_a_target_reaches_the_upstream_byte_by_byte(start_gateway: StartGateway, target: bytes) -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url:
        gateway = await start_gateway(upstream_billing=url)
        answer = await exchanged(gateway, b"GET %b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % target)
    assert b" 200 " in answer.partition(b"\r\n")[0]
    assert upstream.head[0] == b"GET %b HTTP/1.1" % target


@pytest.mark.parametrize("target", [b"/raw/a b", b"/raw/x?a\rb", b"/raw/x?a\n", b"/raw/\0", b"/raw/x?\x7f"])
async def test_a_target_that_would_end_its_line_is_400_and_goes_nowhere(target: bytes) -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(BadRequestError):
                await gateway.get(target)
        assert not gateway.breaker.is_open
    assert upstream.connections == []


@pytest.mark.parametrize("value", [b"a\r\nx-forged: 1", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_header_that_would_end_its_line_is_400_and_goes_nowhere(value: bytes) -> None:
    upstream = Scripted([OK])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        with pytest.raises(BadRequestError):
            await gateway.call(Caller([NO_BODY]), fields=[(b"x-odd", value)])
    assert upstream.connections == []


@pytest.mark.parametrize("sign", [b'"', b"a", b"%"])
async def test_very_long_targets_open_no_circuit(gateway: Gateway, upstream: Upstream, sign: bytes) -> None:
    text = b"GET /open/door?x=%b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n" % (sign * 65_495)
    for _ in range(FAILURES_TO_OPEN):
        await exchanged(gateway, text)
    assert (await gateway.http.get("/open/door")).status_code == 200
    assert upstream.last.query == b""


@pytest.mark.parametrize("hosts", ["", "host: a\nhost: a\n", "host: a\nhost: b\n"])
async def test_no_host_or_two_is_400(gateway: Gateway, upstream: Upstream, hosts: str) -> None:
    reader, writer = await said_to(gateway, f"GET /open/door HTTP/1.1\n{hosts}connection: close\n\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    await until(lambda: upstream.received == [])


@pytest.mark.parametrize("spaces", [" ", "   "])
async def test_several_spaces_after_bearer_are_one(gateway: Gateway, upstream: Upstream, spaces: str) -> None:
    token = await gateway.token(await gateway.add_client("spaced"))
    got = await gateway.http.get("/ctms/1", headers={"Authorization": f"Bearer{spaces}{token}"})
    assert got.status_code == 200
    (identity,) = upstream.last.values("authorization")
    principal = await gateway.verifier.verify(identity.replace(" ", spaces))
    assert principal.subject.startswith("api_client:id_spaced")
