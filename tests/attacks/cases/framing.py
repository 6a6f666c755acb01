"""Attacks on where a body ends: Content-Length, Transfer-Encoding, and both."""

from tests.attacks.case import Case, either, refused, request, served

INNER = b"GET /__version__ HTTP/1.1\r\nHost: inner\r\n\r\n"
"""A body that looks like a request; its answer would be one too many."""

SIZE = len(INNER)
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, INNER)
CHUNKS = b"Transfer-Encoding: chunked"
TOO_LARGE = (400, 413, 431)
UNKNOWN_CODING = (400, 501)


def length(value: bytes | int) -> bytes:
    """Return the header."""
    return b"Content-Length: %b" % (str(value).encode() if isinstance(value, int) else value)


def of_lengths(*values: bytes) -> bytes:
    """Return a request with these lengths and a body."""
    return request("POST", *map(length, values), body=INNER)


WRONG_LENGTHS = {
    "plus": b"+%d" % SIZE,
    "minus": b"-%d" % SIZE,
    "minus zero": b"-0",
    "hex": b"0x%x" % SIZE,
    "hex letters": b"2c",
    "empty": b"",
    "blank": b"   ",
    "fraction": b"%d.0" % SIZE,
    "exponent": b"4e1",
    "underscore": b"4_4",
    "inner blank": b"4 4",
    "inner tab": b"4\t4",
    "letters": b"abc",
    "semicolon": b"%d;" % SIZE,
    "comma last": b"%d," % SIZE,
    "comma first": b",%d" % SIZE,
    "differing list": b"%d, 0" % SIZE,
    "vertical tab": b"\x0b%d" % SIZE,
    "quoted": b'"%d"' % SIZE,
    "arabic digits": "٤٤".encode(),
}

HUGE_LENGTHS = {
    "2**63": b"%d" % 2**63,
    "2**64": b"%d" % 2**64,
    "2**64 and a bit": b"%d" % (2**64 + SIZE),
    "100 digits": b"9" * 100,
    "5,000 digits": b"9" * 5_000,
}

DOUBLE_LENGTHS = {
    "zero then whole": (b"0", b"%d" % SIZE),
    "whole then zero": (b"%d" % SIZE, b"0"),
    "whole then letters": (b"%d" % SIZE, b"abc"),
    "whole then empty": (b"%d" % SIZE, b""),
}

CODINGS = {
    "identity": b"Transfer-Encoding: identity",
    "gzip": b"Transfer-Encoding: gzip",
    "xchunked": b"Transfer-Encoding: xchunked",
    "chunkedx": b"Transfer-Encoding: chunkedx",
    "gzip then chunked": b"Transfer-Encoding: gzip, chunked",
    "chunked then gzip": b"Transfer-Encoding: chunked, gzip",
    "chunked then identity": b"Transfer-Encoding: chunked, identity",
    "identity then chunked": b"Transfer-Encoding: identity, chunked",
    "chunked twice": b"Transfer-Encoding: chunked, chunked",
    "chunked comma": b"Transfer-Encoding: chunked,",
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "quoted": b'Transfer-Encoding: "chunked"',
    "empty": b"Transfer-Encoding:",
    "vertical tab": b"Transfer-Encoding: \x0bchunked",
    "no-break space": b"Transfer-Encoding: chunked\xa0",
    "two headers": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "chunked and identity headers": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "identity and chunked headers": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
}

MALFORMED_CODINGS = {
    "blank before colon": b"Transfer-Encoding : chunked",
    "tab before colon": b"Transfer-Encoding\t: chunked",
    "folded": b"Transfer-Encoding:\r\n chunked",
    "folded tab": b"Transfer-Encoding:\r\n\tchunked",
    "leading blank": b" Transfer-Encoding: chunked",
    "nul": b"Transfer-Encoding: chunked\x00",
    "bare line feed": b"X: y\nTransfer-Encoding: chunked",
    "bare carriage return": b"X: y\rTransfer-Encoding: chunked",
}

UNTYPICAL_CODINGS = {
    "tab": b"Transfer-Encoding:\tchunked",
    "trailing blanks": b"Transfer-Encoding: chunked  \t",
    "many blanks": b"Transfer-Encoding:" + b" " * 100 + b"chunked",
}


def _lengths() -> list[Case]:
    return [
        *(refused(f"length {name}", of_lengths(value)) for name, value in WRONG_LENGTHS.items()),
        *(
            refused(f"length {name}", of_lengths(value), statuses=TOO_LARGE, is_late=True, is_whole=False)
            for name, value in HUGE_LENGTHS.items()
        ),
        *(refused(f"two lengths, {name}", of_lengths(*values)) for name, values in DOUBLE_LENGTHS.items()),
        either("length list of equals", of_lengths(b"%d, %d" % (SIZE, SIZE))),
        either("two equal lengths", of_lengths(b"%d" % SIZE, b"%d" % SIZE)),
        either("length zero padded", of_lengths(b"00%d" % SIZE)),
        either("length 5,000 zeros", of_lengths(b"0" * 5_000 + b"%d" % SIZE)),
        either("length blank before", request("POST", b"Content-Length:  %d \t" % SIZE, body=INNER)),
        refused("length blank before colon", request("POST", b"Content-Length : %d" % SIZE, body=INNER)),
        refused("length folded", request("POST", b"Content-Length:\r\n %d" % SIZE, body=INNER)),
        either("length on GET", request("GET", length(SIZE), body=INNER)),
        either("length on HEAD", request("HEAD", length(SIZE), body=INNER)),
        served("length", of_lengths(b"%d" % SIZE)),
        served("length and body in a second packet", request("POST", length(SIZE)), 0.05, INNER),
        served("no length, no body", request("POST")),
    ]


def _codings() -> list[Case]:
    def chunked(*lines: bytes) -> bytes:
        return request("POST", *lines, body=CHUNKED)

    return [
        *(
            refused(f"coding {name}", chunked(line), statuses=UNKNOWN_CODING)
            for name, line in CODINGS.items()
        ),
        *(refused(f"coding {name}", chunked(line)) for name, line in MALFORMED_CODINGS.items()),
        *(either(f"coding {name}", chunked(line)) for name, line in UNTYPICAL_CODINGS.items()),
        served("coding", chunked(CHUNKS)),
        served("coding in capitals", chunked(b"TRANSFER-ENCODING: CHUNKED")),
        either("coding on GET", request("GET", CHUNKS, body=CHUNKED)),
        either(
            "coding with an underscore",
            request("POST", b"Transfer_Encoding: chunked", length(SIZE), body=INNER),
        ),
        either("coding in HTTP/1.0", request("POST", CHUNKS, body=CHUNKED, version=b"1.0"), may_close=True),
    ]


def _both() -> list[Case]:
    size = len(CHUNKED)
    pairs = {
        "length, coding": (length(size), CHUNKS),
        "coding, length": (CHUNKS, length(size)),
        "short length, coding": (length(4), CHUNKS),
        "coding, short length": (CHUNKS, length(4)),
        "zero length, coding": (length(0), CHUNKS),
        "length, coding in capitals": (length(4), b"TRANSFER-ENCODING: CHUNKED"),
        "length, coding by tab": (length(4), b"Transfer-Encoding:\tchunked"),
        "length, unknown coding": (length(SIZE), b"Transfer-Encoding: xchunked"),
        "length, identity": (length(SIZE), b"Transfer-Encoding: identity"),
        "length, empty coding": (length(SIZE), b"Transfer-Encoding:"),
        "wrong length, coding": (length(b"+4"), CHUNKS),
        "two lengths, coding": (length(4), CHUNKS, length(4)),
        "coding named by connection": (length(4), CHUNKS, b"Connection: transfer-encoding"),
    }
    cases = [
        refused(f"both: {name}", request("POST", *lines, body=CHUNKED), statuses=UNKNOWN_CODING)
        for name, lines in pairs.items()
    ]
    named = request("POST", length(SIZE), b"Connection: content-length", body=INNER)
    return [*cases, either("length named by connection", named)]


CASES = [*_lengths(), *_codings(), *_both()]
