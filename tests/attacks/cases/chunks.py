"""Attacks inside a chunked body: sizes, extensions, ends and trailers."""

from tests.attacks.case import Case, either, refused, request, served
from tests.attacks.cases.framing import CHUNKED, CHUNKS, INNER, SIZE, TOO_LARGE

LARGE = 1024 * 1024
LAST = b"0\r\n\r\n"


def chunked(body: bytes) -> bytes:
    """Return a chunked request with this body."""
    return request("POST", CHUNKS, body=body)


def sized(size: bytes) -> bytes:
    """Return a chunked body whose first chunk has this size line."""
    return b"%b\r\n%b\r\n" % (size, INNER) + LAST


WRONG = {
    "size minus": sized(b"-%x" % SIZE),
    "size plus": sized(b"+%x" % SIZE),
    "size 0x": sized(b"0x%x" % SIZE),
    "size overflow": sized(b"1" + b"0" * 14 + b"%x" % SIZE + b"0"),
    "size 2**64 and a bit": sized(b"1%016x" % SIZE),
    "size huge": sized(b"f" * 32),
    "size empty": sized(b""),
    "size letters": sized(b"xyz"),
    "size blank before": sized(b" %x" % SIZE),
    "size decimal point": sized(b"%x.0" % SIZE),
    "size nul": sized(b"%x\x00" % SIZE),
    "size line by bare line feed": b"%x\n%b\r\n" % (SIZE, INNER) + LAST,
    "size line by bare carriage return": b"%x\r%b\r\n" % (SIZE, INNER) + LAST,
    "extension with a bare line feed": b"%x;a\nb\r\n%b\r\n" % (SIZE, INNER) + LAST,
    "extension with a bare carriage return": b"%x;a\rb\r\n%b\r\n" % (SIZE, INNER) + LAST,
    "data without its end": b"%x\r\n%b" % (SIZE, INNER) + LAST,
    "data longer than its size": b"4\r\n%b\r\n" % INNER + LAST,
    "data ended by bare line feed": b"%x\r\n%b\n" % (SIZE, INNER) + LAST,
    "trailer without a colon": b"%x\r\n%b\r\n0\r\nnonsense\r\n\r\n" % (SIZE, INNER),
    "trailer folded": b"%x\r\n%b\r\n0\r\nX: y\r\n z\r\n\r\n" % (SIZE, INNER),
    "trailer with nul": b"%x\r\n%b\r\n0\r\nX: \x00\r\n\r\n" % (SIZE, INNER),
    "trailer with a blank before its colon": b"%x\r\n%b\r\n0\r\nX : y\r\n\r\n" % (SIZE, INNER),
}

HARMLESS = {
    "size in capitals": b"2A\r\n" + b"x" * 42 + b"\r\n" + LAST,
    "size zero padded": sized(b"000%x" % SIZE),
    "extension": sized(b"%x;a=b" % SIZE),
    "extension quoted": sized(b'%x;a="b c"' % SIZE),
    "many chunks": b"1\r\nx\r\n" * 1_000 + LAST,
}

TRAILERS = {
    "trailer": b"X-Checksum: 1",
    "trailer content-length": b"Content-Length: 4",
    "trailer transfer-encoding": b"Transfer-Encoding: chunked",
    "trailer authorization": b"Authorization: Bearer forged",
    "trailer host": b"Host: forged",
    "trailer forwarded": b"X-Forwarded-For: 192.0.2.1",
    "trailer connection": b"Connection: upgrade\r\nUpgrade: websocket",
}

DOUBTFUL = {
    "size and a blank": sized(b"%x " % SIZE),
    "size of 5,000 zeros": sized(b"0" * 5_000 + b"%x" % SIZE),
    "extension of 100 kB": sized(b"%x;" % SIZE + b"a" * 100_000),
    "extensions on 1,000 chunks": b"".join([b"1;aaaaaaaaaa=b\r\nx\r\n"] * 1_000) + LAST,
    "trailers, 200": b"0\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(200)) + b"\r\n",
}

CASES: list[Case] = [
    *(
        refused(f"chunk: {name}", chunked(body), is_late=True, statuses=TOO_LARGE)
        for name, body in WRONG.items()
    ),
    *(
        refused(
            f"chunk: {name}, in a second packet", chunked(b""), 0.05, body, is_late=True, statuses=TOO_LARGE
        )
        for name, body in list(WRONG.items())[::4]
    ),
    *(served(f"chunk: {name}", chunked(body)) for name, body in HARMLESS.items()),
    *(either(f"chunk: {name}", chunked(b"0\r\n%b\r\n\r\n" % line)) for name, line in TRAILERS.items()),
    *(
        either(f"chunk: {name}", chunked(body), may_be_silent=True, is_late=True)
        for name, body in DOUBTFUL.items()
    ),
    refused(
        "chunk: trailers of 1 MB",
        chunked(b"0\r\n"),
        *[b"X: " + b"a" * 1_000 + b"\r\n"] * (LARGE // 1_000),
        b"\r\n",
        is_late=True,
        may_be_silent=True,
        statuses=TOO_LARGE,
    ),
    refused(
        "chunk: trailer of 1 MB",
        chunked(b"0\r\nX: "),
        *[b"a" * 1_000] * (LARGE // 1_000),
        b"\r\n\r\n",
        is_late=True,
        may_be_silent=True,
        statuses=TOO_LARGE,
    ),
    refused(
        "chunk: last chunk missing",
        chunked(b"%x\r\n%b\r\n" % (SIZE, INNER)),
        is_late=True,
        is_whole=False,
        statuses=(400, 408),
    ),
    served(
        "chunk: byte by byte",
        chunked(b""),
        *[part for byte in CHUNKED for part in (bytes([byte]), 0.0)],
    ),
]
