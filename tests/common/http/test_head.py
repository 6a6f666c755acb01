import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstem.common.http.connections.head import (
    CONTENT_LENGTH,
    HOST,
    TRANSFER_ENCODING,
    find_fault,
    without_upgrade,
)

LENGTHS = st.one_of(st.integers(0, 10**18).map(lambda number: b"%d" % number), st.binary(max_size=24))
CODINGS = st.sampled_from(
    [b"chunked", b"Chunked", b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"\tchunked"]
)


@given(length=LENGTHS | st.none(), coding=CODINGS | st.none(), version=st.sampled_from(["1.0", "1.1"]))
def test_head_without_a_fault_has_one_framing(
    length: bytes | None, coding: bytes | None, version: str
) -> None:
    single = {HOST: b"a", CONTENT_LENGTH: length, TRANSFER_ENCODING: coding}
    present = {name: value for name, value in single.items() if value is not None}
    if find_fault(version, b"POST", b"/a", present) is None:
        assert length is None or coding is None
        assert length is None or (length.isdigit() and 0 <= int(length) < 10**19)
        assert coding is None or (coding.lower() == b"chunked" and version == "1.1")


@given(target=st.binary(min_size=1, max_size=30), host=st.binary(max_size=20))
def test_target_without_a_fault_is_a_path_or_names_the_host(target: bytes, host: bytes) -> None:
    if find_fault("1.1", b"GET", target, {HOST: host}) is None:
        assert b"#" not in target
        assert target.startswith(b"/") or host.lower() in target.lower()


@pytest.mark.parametrize("version", ["0.9", "2.0", "1.2"])
def test_other_versions_are_refused(version: str) -> None:
    fault = find_fault(version, b"GET", b"/", {HOST: b"a"})
    assert fault is not None
    assert fault.status == 505


def test_head_is_repeated_without_its_offer() -> None:
    headers = [
        (b"host", b"a"),
        (b"upgrade", b"h2c"),
        (b"connection", b"upgrade, x"),
        (b"http2-settings", b"AA"),
    ]
    head = without_upgrade("1.1", b"POST", b"/a?b", [*headers, (b"x", b"y: z")])
    assert head == b"POST /a?b HTTP/1.1\r\nhost: a\r\nx: y: z\r\nconnection: close\r\n\r\n"
