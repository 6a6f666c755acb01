"""How the gateway reads an upstream's answer, and what of it the caller gets."""

import asyncio
from itertools import pairwise

import httpx
import pytest
from forwarding import Caller, forwarding
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from raw_http import OK, Scripted, raw_server
from tiny_gateway import StartGateway

from mainstem.common.errors import BadGatewayError
from mainstem.gateway.proxy.answer import IncomingAnswer

Field = tuple[bytes, bytes]


async def answered(answer: bytes, method: str = "GET", *, is_closing: bool = False) -> Caller:
    upstream = Scripted([answer], is_closing=is_closing)
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        return await gateway.get(method=method)


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
async def test_informational_answers_are_skipped(status: bytes) -> None:
    got = await answered(b"HTTP/1.1 %b\r\nlink: </a>\r\n\r\n" % status * 3 + OK)
    assert (got.status, got.fields, got.body) == (200, [(b"content-length", b"2")], b"ok")


async def test_chunks_win_over_a_length_that_is_dropped() -> None:
    for fields in (
        b"content-length: 3\r\ntransfer-encoding: chunked\r\n",
        b"Transfer-Encoding: Chunked\r\nContent-Length: 3\r\n",
    ):
        got = await answered(b"HTTP/1.1 200 OK\r\n%b\r\n2\r\nok\r\n0\r\n\r\n" % fields)
        assert (got.status, got.fields, got.body, got.is_whole) == (200, [], b"ok", True)


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    got = await answered(b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\nall of it", is_closing=True)
    assert (got.fields, got.body, got.is_whole) == ([(b"x-a", b"1")], b"all of it", True)


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_ends_with_its_head(status: int) -> None:
    got = await answered(b"HTTP/1.1 %d X\r\netag: a\r\ncontent-length: 5\r\n\r\n" % status)
    assert (got.status, got.fields, got.body, got.is_whole) == (status, [(b"etag", b"a")], b"", True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (b"content-length: 5\r\n", [(b"content-length", b"5")]),
        (b"transfer-encoding: chunked\r\n", []),
        (b"", []),
    ],
)
async def test_an_answer_to_head_ends_with_its_head(fields: bytes, expected: list[Field]) -> None:
    got = await answered(b"HTTP/1.1 200 OK\r\n%b\r\n" % fields, "HEAD")
    assert (got.status, got.fields, got.body, got.is_whole) == (200, expected, b"", True)


async def test_trailers_do_not_become_headers() -> None:
    got = await answered(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a: 1\r\n\r\n"
    )
    assert (got.fields, got.body) == ([], b"ok")


@pytest.mark.parametrize(
    "fields",
    [
        b"".join(b"x-%d: %d\r\n" % (number, number) for number in range(300)),
        b"x-long: %b\r\n" % (b"a" * 60_000),
    ],
)
async def test_a_large_head_passes(fields: bytes) -> None:
    got = await answered(b"HTTP/1.1 200 OK\r\n%bcontent-length: 2\r\n\r\nok" % fields)
    assert (len(got.fields), got.body) == (fields.count(b"\n") + 1, b"ok")


MALFORMED = (
    b"\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"\0\0\0",
    b"HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 99 X\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 099 X\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 600 X\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n\r\n" + OK,
    b"HTTP/1.1 200 OK\r\nx-a: 1\r\n x-b: 2\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nx a: 1\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nx-a : 1\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nx-a: \x01\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nx-a: \x7f\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ncontent-length: %b\r\n\r\nok" % (b"9" * 30),
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx-long: %b\r\ncontent-length: 2\r\n\r\nok" % (b"a" * 70_000),
    b"HTTP/1.1 200 OK\r\n%b\r\nok" % (b"x-a: 1\r\n" * 10_000),
    b"HTTP/1.1 200 OK\r\nx-endless: %b" % (b"a" * 200_000),
)


@pytest.mark.parametrize("answer", MALFORMED)
async def test_an_answer_that_is_not_http_is_502_and_counts(answer: bytes) -> None:
    upstream = Scripted([answer])
    async with raw_server(upstream) as url, forwarding(url) as gateway:
        for _ in range(5):
            with pytest.raises(BadGatewayError):
                await gateway.get()
        assert gateway.breaker.is_open


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalfX",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nFFFFFFFFFFFFFFFFF\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nx-a: " + b"a" * 500_000,
    ],
)
async def test_an_answer_that_ends_too_early_does_not_look_whole(
    start_gateway: StartGateway, answer: bytes
) -> None:
    async with raw_server(Scripted([answer], is_closing=True)) as url:
        gateway = await start_gateway(upstream_billing=url)
        with pytest.raises(httpx.RemoteProtocolError):
            await gateway.http.get("/raw/x")


async def test_header_bytes_pass_as_they_came(start_gateway: StartGateway) -> None:
    value = bytes(range(0x80, 0x100)) + b'\t "\\'
    async with raw_server(Scripted([OK.replace(b"\r\n\r\n", b"\r\nx-odd: a%bz\r\n\r\n" % value)])) as url:
        gateway = await start_gateway(upstream_billing=url)
        got = await gateway.http.get("/raw/x", headers={b"user-agent": b"Caf\xe9/1.0"})
        assert (got.status_code, dict(got.headers.raw)[b"x-odd"]) == (200, b"a%bz" % value)


FIELDS = st.lists(st.tuples(st.sampled_from([b"x-a", b"X-B", b"etag"]), st.binary(max_size=5)), max_size=4)


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, int, bytes, bool]:
    """A valid answer, its status, its body, and whether the end of the connection ends it."""
    status = draw(st.sampled_from([200, 201, 302, 404, 500, 599]))
    fields = [(name, value.hex().encode()) for name, value in draw(FIELDS)]
    parts = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    framing = draw(st.sampled_from(["length", "chunked", "end"]))
    body = b"".join(parts)
    wire = body
    if framing == "length":
        fields.append((b"Content-Length", b"%d" % len(body)))
    elif framing == "chunked":
        fields.append((b"Transfer-Encoding", b"chunked"))
        wire = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts)
        wire += b"0\r\n" + draw(st.sampled_from([b"", b"x-sum: 1\r\n"])) + b"\r\n"
    head = b"HTTP/1.1 %d Reason\r\n" % status + b"".join(b"%b: %b\r\n" % field for field in fields)
    before = draw(st.sampled_from([b"", b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"]))
    return before + head + b"\r\n" + wire, status, body, framing == "end"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in pairwise(bounds) if start < end]


async def read(packets: list[bytes]) -> tuple[int, list[Field], bytes, bool]:
    answer, parts = IncomingAnswer("GET"), list[bytes]()

    async def take() -> None:
        while part := await answer.read():
            parts.append(part)

    taking = asyncio.create_task(take())
    for packet in packets:
        answer.feed(packet)
        await asyncio.sleep(0)
    is_clean = answer.is_clean and answer.is_whole
    answer.end()
    await taking
    return answer.status, answer.fields, b"".join(parts), is_clean


@settings(max_examples=examples(300), deadline=None)
@given(answer=answers(), places=st.lists(st.integers(0, 1_000), max_size=30))
async def test_an_answer_reads_the_same_however_it_is_cut_into_packets(
    answer: tuple[bytes, int, bytes, bool], places: list[int]
) -> None:
    data, status, body, ends_with_connection = answer
    whole = await read([data])
    assert whole[0] == status
    assert whole[2:] == (body, not ends_with_connection)
    assert await read(cut(data, places)) == whole
    assert await read([bytes([byte]) for byte in data]) == whole
