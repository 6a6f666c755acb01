"""Attacks by Upgrade, CONNECT and Expect: where a parser could end a message at its head."""

from tests.attacks.case import Case, answered, either, refused, request, served
from tests.attacks.cases.framing import CHUNKED, CHUNKS, INNER, SIZE, length
from tests.attacks.wire import Step

UPGRADE = b"Connection: Upgrade"
HANDSHAKE = (
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

TOKENS = {
    "websocket": (UPGRADE, b"Upgrade: websocket"),
    "websocket handshake": (UPGRADE, *HANDSHAKE),
    "h2c": H2C,
    "TLS/1.0": (UPGRADE, b"Upgrade: TLS/1.0"),
    "nonsense": (UPGRADE, b"Upgrade: x"),
    "empty": (UPGRADE, b"Upgrade:"),
    "two tokens": (UPGRADE, b"Upgrade: websocket, h2c"),
    "two headers": (UPGRADE, b"Upgrade: h2c", b"Upgrade: websocket"),
    "kept alive": (b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"),
    "in capitals": (b"CONNECTION: UPGRADE", b"UPGRADE: WEBSOCKET"),
    "two connections": (b"Connection: keep-alive", UPGRADE, b"Upgrade: websocket"),
    "unnamed": (b"Upgrade: websocket",),
}


def _upgrades() -> list[Case]:
    cases = []
    for token, lines in TOKENS.items():
        methods = METHODS if token in {"websocket", "h2c"} else ("GET", "POST")
        for method in methods:
            cases += _of(f"upgrade {token}, {method}", method, lines)
    return cases


def _of(name: str, method: str, lines: tuple[bytes, ...]) -> list[Case]:
    """Return one upgrade without a body, and with one that comes together with its head, then, or later."""
    head = request(method, *lines, length(SIZE))
    chunks = request(method, *lines, CHUNKS)
    forms: dict[str, tuple[bytes | float | Step, ...]] = {
        "": (request(method, *lines),),
        ", body": (head + INNER,),
        ", body in a second packet": (head, 0.05, INNER),
        ", body after the answer": (head, Step.ANSWERED, INNER),
        ", chunks": (chunks + CHUNKED,),
        ", chunks in a second packet": (chunks, 0.05, CHUNKED),
    }
    if method not in {"GET", "POST"}:
        forms = {key: form for key, form in forms.items() if "after" not in key and "chunks in" not in key}
    return [
        # A server that closes at once may lose its answer to the body that was on its way.
        either(name + key, *form, may_close=True, may_be_silent=len(form) > 1)
        for key, form in forms.items()
    ]


TUNNEL = (200, 400, 401, 404, 405, 501)

CONNECTS = [
    answered(
        f"CONNECT {name}",
        b"CONNECT %b HTTP/1.1\r\n<H>%b\r\n" % (target, lines) + body,
        statuses=TUNNEL[1:],
    )
    for name, target, lines, body in (
        ("authority", b"<AUTHORITY>", b"", b""),
        ("path", b"<POST>", b"", b""),
        ("other authority", b"192.0.2.1:443", b"", b""),
    )
]

CONNECTS_WITH_BODY = [
    refused(
        f"CONNECT {name}",
        *parts,
        statuses=TUNNEL[1:],
        may_be_silent=len(parts) > 1,
    )
    for name, parts in {
        "with a length and a body": (
            b"CONNECT <AUTHORITY> HTTP/1.1\r\n<H>%b\r\n\r\n" % length(SIZE) + INNER,
        ),
        "with a length, body later": (
            b"CONNECT <AUTHORITY> HTTP/1.1\r\n<H>%b\r\n\r\n" % length(SIZE),
            0.05,
            INNER,
        ),
        "with chunks": (b"CONNECT <AUTHORITY> HTTP/1.1\r\n<H>%b\r\n\r\n" % CHUNKS + CHUNKED,),
    }.items()
]

CONTINUE = b"Expect: 100-continue"

EXPECTS = [
    served("expect, body at once", request("POST", CONTINUE, length(SIZE), body=INNER)),
    either("expect, body later", request("POST", CONTINUE, length(SIZE)), 0.1, INNER),
    either(
        "expect, body after the answer",
        request("POST", CONTINUE, length(SIZE)),
        0.3,
        INNER,
    ),
    either("expect, chunks later", request("POST", CONTINUE, CHUNKS), 0.1, CHUNKED),
    served("expect without a body", request("GET", CONTINUE)),
    either(
        "expect in HTTP/1.0",
        request("POST", CONTINUE, length(SIZE), body=INNER, version=b"1.0"),
        may_close=True,
    ),
    either("expect nonsense", request("POST", b"Expect: nonsense", length(SIZE), body=INNER)),
    either("expect twice", request("POST", CONTINUE, CONTINUE, length(SIZE), body=INNER)),
    either("expect and more", request("POST", b"Expect: 100-continue, x", length(SIZE), body=INNER)),
    either(
        "expect and upgrade",
        request("POST", CONTINUE, UPGRADE, b"Upgrade: h2c", length(SIZE)),
        0.1,
        INNER,
        may_be_silent=True,
    ),
    refused(
        "expect, body never sent",
        request("POST", CONTINUE, length(SIZE)),
        is_late=True,
        is_whole=False,
        statuses=(400, 408),
    ),
]

CASES = [*_upgrades(), *CONNECTS, *CONNECTS_WITH_BODY, *EXPECTS]
