"""Attacks across requests: pipelining, early answers, half messages, and sizes of heads."""

from tests.attacks.case import REFUSALS, Case, answered, either, refused, request, served
from tests.attacks.cases.framing import CHUNKED, CHUNKS, INNER, SIZE, length
from tests.attacks.wire import Step

GET = request("GET")
POST = request("POST", length(SIZE), body=INNER)
MALFORMED = request("GET", b"nonsense")
KIB = 1024
HEAD_TOO_LARGE = (400, 431)
EARLY = REFUSALS | {401, 403, 404, 405, 408}
TEN_MB = 10_000_000


PIPELINES = [
    served("pipeline of two", GET + GET, answers=2),
    served("pipeline of two packets", GET, GET, answers=2),
    served("pipeline of fifty", GET * 50, answers=50),
    served("pipeline of bodies", POST * 10, answers=10),
    served("pipeline of chunks", request("POST", CHUNKS, body=CHUNKED) * 10, answers=10),
    refused("pipeline, second malformed", GET + MALFORMED, before=1),
    refused("pipeline, second malformed in its own packet", GET, 0.05, MALFORMED, before=1),
    refused("pipeline, third without Host", GET + GET + request("GET").replace(b"<H>", b""), before=2),
    refused(
        "pipeline, second with length and coding",
        GET + request("POST", length(4), CHUNKS, body=CHUNKED),
        before=1,
    ),
    served("pipeline after Connection: close", request("GET", b"Connection: close") + GET, may_close=True),
    either(
        "pipeline after an upgrade",
        request("GET", b"Connection: Upgrade", b"Upgrade: h2c") + GET + GET,
        may_close=True,
        answers=3,
    ),
    served(
        "request byte by byte",
        *[bytes([byte]) for byte in b"GET "],
        b"<GET> HT",
        0.01,
        b"TP/1.1\r",
        0.01,
        b"\n<H>\r",
        0.01,
        b"\n",
    ),
]

EARLY_ANSWERS = [
    answered(
        f"early: {name}, the body after the answer",
        request("POST", *lines, length(SIZE), target=target),
        Step.ANSWERED,
        INNER,
        statuses=EARLY,
    )
    for name, target, lines in (
        ("unknown path", b"/nowhere", ()),
        ("unknown path, upgrade", b"/nowhere", (b"Connection: Upgrade", b"Upgrade: websocket")),
    )
] + [
    answered(
        "early: no credentials, the body after the answer",
        request("POST", length(SIZE)).replace(b"<H>", b"Host: <AUTHORITY>\r\n"),
        Step.ANSWERED,
        INNER,
        statuses=EARLY,
    ),
    answered(
        "early: unknown path, chunks after the answer",
        request("POST", CHUNKS, target=b"/nowhere"),
        Step.ANSWERED,
        CHUNKED,
        statuses=EARLY,
    ),
    refused(
        "early: 10 MB declared, requests sent",
        request("POST", length(TEN_MB)),
        Step.ANSWERED,
        INNER,
        INNER,
        is_late=True,
        is_whole=False,
        statuses=EARLY,
    ),
    refused(
        "early: 10 MB declared on GET, requests sent",
        request("GET", length(TEN_MB)),
        Step.ANSWERED,
        INNER,
        is_late=True,
        is_whole=False,
        statuses=EARLY,
    ),
    either(
        "early: 10 MB declared and sent",
        request("POST", length(TEN_MB)),
        *[b"x" * 100_000] * 100,
        others=EARLY,
        may_be_silent=True,
        statuses=EARLY,
    ),
]

HALVES = [
    refused(
        f"half: {name}",
        *parts,
        statuses=(400, 408),
        is_late=True,
        is_whole=False,
        may_be_silent=may_be_silent,
    )
    for name, parts, may_be_silent in (
        ("a body", (request("POST", length(SIZE), body=INNER[:10]),), False),
        ("no byte of a body", (request("POST", length(SIZE)),), False),
        ("a body on GET", (request("GET", length(SIZE), body=INNER[:10]),), False),
        ("a chunk", (request("POST", CHUNKS, body=b"ff\r\nabc"),), False),
        ("a chunk size", (request("POST", CHUNKS, body=b"f"),), False),
        ("trailers", (request("POST", CHUNKS, body=b"0\r\nX: "),), False),
        # Before a request is whole the end of the connection is answer enough.
        ("a head", (b"GET <GET> HTTP/1.1\r\nHost: x\r\n",), True),
        ("a start line", (b"GET <GE",), True),
        ("a header", (b"GET <GET> HTTP/1.1\r\nHo",), True),
        ("an empty line", (b"\r\n",), True),
    )
]


def _lines(count: int, size: int) -> list[bytes]:
    return [b"X-%d: %b" % (number, b"a" * size) for number in range(count)]


SIZES: list[Case] = [
    refused(
        "head of 70 KiB", request("GET", *_lines(1, 70 * KIB)), statuses=HEAD_TOO_LARGE, may_be_silent=True
    ),
    refused(
        "head of 70 headers of 1 KiB",
        request("GET", *_lines(70, KIB)),
        statuses=HEAD_TOO_LARGE,
        may_be_silent=True,
    ),
    refused(
        "head of 1 MiB", request("GET", *_lines(16, 64 * KIB)), statuses=HEAD_TOO_LARGE, may_be_silent=True
    ),
    refused(
        "head of 5,000 headers",
        request("GET", *_lines(5_000, 20)),
        statuses=HEAD_TOO_LARGE,
        may_be_silent=True,
    ),
    refused(
        "name of 70 KiB",
        request("GET", b"a" * 70 * KIB + b": b"),
        statuses=HEAD_TOO_LARGE,
        may_be_silent=True,
    ),
    either("head of 60 KiB", request("GET", *_lines(1, 60 * KIB))),
    either("head of 500 headers", request("GET", *_lines(500, 20))),
    served("head of 16 KiB", request("GET", *_lines(16, 1_000))),
    served("head of 50 headers", request("GET", *_lines(50, 20))),
    refused(
        "target of 9 KiB",
        request("GET", target=b"<GET>&x=" + b"a" * 9 * KIB),
        statuses=(414,),
    ),
    refused(
        "target of 70 KiB",
        request("GET", target=b"<GET>&x=" + b"a" * 70 * KIB),
        statuses=(414, 431),
        may_be_silent=True,
    ),
    refused(
        "target of 65,495 letters",
        request("GET", target=b"<GET>&x=" + b"a" * 65_495),
        statuses=(414, 431),
        may_be_silent=True,
    ),
    refused("path of 9 KiB", request("GET", target=b"/" + b"a" * 9 * KIB), statuses=(414,)),
    served("target of 7 KiB", request("GET", target=b"<GET>&x=" + b"a" * 7 * KIB)),
    refused(
        "query of 25,000 quotes",
        request("GET", target=b"<GET>&x=" + b'"' * 25_000),
        statuses=(400, 414, 431),
        may_be_silent=True,
    ),
    answered("query of 2,500 quotes", request("GET", target=b"<GET>&x=" + b'"' * 2_500), statuses=(400,)),
]

CASES = [*PIPELINES, *EARLY_ANSWERS, *HALVES, *SIZES]
