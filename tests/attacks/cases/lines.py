"""Attacks on the start line and on single header lines."""

from tests.attacks.case import Case, answered, either, refused, request, served
from tests.attacks.cases.framing import INNER, SIZE, length

VERSION = (400, 505)
TARGET = (400, 401, 404)
METHOD = (400, 401, 405, 501)


def start(line: bytes, *lines: bytes) -> bytes:
    """Return a request without a body that begins with this line."""
    return line + b"\r\n<H>" + b"".join(one + b"\r\n" for one in lines) + b"\r\n"


VERSIONS = {
    "2.0": b"GET <GET> HTTP/2.0",
    "3": b"GET <GET> HTTP/3",
    "0.9 named": b"GET <GET> HTTP/0.9",
    "1.10": b"GET <GET> HTTP/1.10",
    "11": b"GET <GET> HTTP/11",
    "lower case": b"GET <GET> http/1.1",
    "other protocol": b"GET <GET> ICE/1.0",
    "inner blank": b"GET <GET> HTTP/ 1.1",
    "trailing word": b"GET <GET> HTTP/1.1 x",
    "missing": b"GET <GET>",
    "missing, blank": b"GET <GET> ",
}

STARTS = {
    "no target": b"GET HTTP/1.1",
    "tabs": b"GET\t<GET>\tHTTP/1.1",
    "leading blank": b" GET <GET> HTTP/1.1",
    "bare line feed": b"GET <GET> HTTP/1.1\nX: y",
    "nul in target": b"GET <GET>\x00 HTTP/1.1",
    "bare carriage return in target": b"GET <GET>\rx HTTP/1.1",
    "control in target": b"GET <GET>\x01 HTTP/1.1",
    "delete in target": b"GET <GET>\x7f HTTP/1.1",
    "blank in target": b"GET <GET>&x=a b HTTP/1.1",
    "no slash": b"GET nowhere HTTP/1.1",
    "empty method": b" <GET> HTTP/1.1",
    "method of 5,000 letters": b"G" * 5_000 + b" <GET> HTTP/1.1",
    "method with a colon": b"GET: <GET> HTTP/1.1",
    "a colon alone": b":",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

TARGETS = {
    "fragment": b"<GET>#fragment",
    "obs-text": b"<GET>&x=\xff",
    "utf-8": "<GET>&x=é".encode(),
    "other authority": b"http://other.example<GET>",
    "https": b"https://<AUTHORITY><GET>",
    "user": b"http://user@<AUTHORITY><GET>",
    "two slashes": b"/<GET>",
    "dots": b"/x/..<GET>",
    "asterisk": b"*",
}

BAD_LINES = {
    "no colon": b"nonsense",
    "no name": b": value",
    "blank in name": b"X Y: z",
    "bracket in name": b"X(: z",
    "blank before colon": b"X : y",
    "nul in name": b"X\x00: y",
    "obs-text in name": b"X\xe9: y",
    "nul in value": b"X: a\x00b",
    "bare carriage return in value": b"X: a\rb",
    "carriage return at the end": b"X: a\r",
    "bare line feed": b"X: a\nY: b",
    "bare line feed twice": b"X: a\n\n",
    "folded": b"X: a\r\n b",
    "folded tab": b"X: a\r\n\tb",
    "folded nothing": b"X: a\r\n ",
    "leading blank": b" X: a",
    "control in value": b"X: a\x01b",
    "delete in value": b"X: a\x7fb",
    "host twice": b"Host: <AUTHORITY>",
    "other host": b"Host: other.example",
}

GOOD_LINES = {
    "obs-text": b"X-Name: caf\xe9",
    "utf-8": "X-Name: café".encode(),
    "all obs-text": b"X-Name: " + bytes(range(0x80, 0x100)),
    "tab": b"X-Name: a\tb",
    "empty": b"X-Name:",
    "no blank": b"X-Name:a",
    "blanks": b"X-Name:    a   \t",
    "symbols": b"!#$%&'*+-.^_`|~0: a",
}

HOSTS = {
    "empty": b"Host:",
    "blank inside": b"Host: a b",
    "slash": b"Host: a/b",
    "user": b"Host: a@b",
    "list": b"Host: a, b",
    "port letters": b"Host: a:b",
    "brackets": b"Host: [::1",
    "obs-text": b"Host: \xe9",
}


def unhosted(method: str, *lines: bytes, version: bytes = b"1.1") -> bytes:
    """Return a request with no Host but that of the lines."""
    return request(method, *lines, version=version).replace(b"<H>", b"<CREDENTIALS>")


OLD = [
    refused("HTTP/0.9", b"GET <GET>\r\n\r\n", statuses=VERSION),
    refused("HTTP/0.9, one line", b"GET /\r\n", statuses=(*VERSION, 408), is_whole=False, may_be_silent=True),
    refused(
        "HTTP/2 preface",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        statuses=VERSION,
    ),
    served("HTTP/1.0", request("GET", version=b"1.0"), may_close=True),
    refused("HTTP/1.0 without Host", unhosted("GET", version=b"1.0")),
    either("HTTP/1.0 kept alive", request("GET", b"Connection: keep-alive", version=b"1.0"), may_close=True),
    either("HTTP/1.0 with a body", request("POST", length(SIZE), body=INNER, version=b"1.0"), may_close=True),
    either("HTTP/1.2", request("GET", version=b"1.2"), statuses=VERSION),
]

CASES: list[Case] = [
    *OLD,
    *(refused(f"version {name}", start(line), statuses=VERSION) for name, line in VERSIONS.items()),
    *(refused(f"start: {name}", start(line), statuses=(*METHOD, 414, 431)) for name, line in STARTS.items()),
    *(
        answered(f"target: {name}", start(b"GET " + target + b" HTTP/1.1"), statuses=(*TARGET, 421))
        for name, target in TARGETS.items()
    ),
    *(
        answered(f"method {method}", start(method.encode() + b" <GET> HTTP/1.1"), statuses=METHOD)
        for method in ("get", "FOO", "TRACE", "PRI", "QUERY", "M-SEARCH", "PROPFIND", "SOURCE")
    ),
    *(
        answered(f"method {method} with a body", request(method, length(SIZE), body=INNER), statuses=METHOD)
        for method in ("FOO", "TRACE", "QUERY", "LINK")
    ),
    answered("OPTIONS *", start(b"OPTIONS * HTTP/1.1"), statuses=(200, 204, 400, 401, 404, 405, 501)),
    served("absolute form", start(b"GET http://<AUTHORITY><GET> HTTP/1.1")),
    either("leading empty line", b"\r\n" + request("GET")),
    either("many leading empty lines", b"\r\n" * 50 + request("GET")),
    *(refused(f"line: {name}", request("GET", line)) for name, line in BAD_LINES.items()),
    *(served(f"line: {name}", request("GET", line)) for name, line in GOOD_LINES.items()),
    refused("line endings by line feed", request("GET").replace(b"\r\n", b"\n")),
    refused(
        "line endings by carriage return",
        request("GET").replace(b"\r\n", b"\r"),
        statuses=(400, 408),
        is_whole=False,
        may_be_silent=True,
    ),
    refused("no Host", unhosted("GET")),
    *(either(f"Host {name}", unhosted("GET", line)) for name, line in HOSTS.items()),
]
