"""Upstreams by kind of address: TLS and IPv6."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from forwarding import forwarding, part
from raw_http import OK, Scripted

from mainstem.common.errors import BadGatewayError


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate that vouches for itself; return its file, and a server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (file := folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (key_file := folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key_file)
    return file, context


@asynccontextmanager
async def served(upstream: Scripted, host: str, context: ssl.SSLContext | None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, host, 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def test_an_upstream_behind_tls_is_reached_over_pooled_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    upstream = Scripted([OK])
    async with (
        served(upstream, "127.0.0.1", context) as port,
        forwarding(f"https://localhost:{port}") as gateway,
    ):
        for _ in range(3):
            assert (await gateway.post([part(b"x" * 100_000)])).body == b"ok"
    assert f"host: localhost:{port}".encode() in upstream.head
    assert len(upstream.connections) == 1


@pytest.mark.parametrize("name", ["localhost", "elsewhere.example.com"])
async def test_an_upstream_whose_certificate_does_not_hold_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file, context = certificate(tmp_path, name)
    if name != "localhost":
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    upstream = Scripted([OK])
    async with (
        served(upstream, "127.0.0.1", context) as port,
        forwarding(f"https://localhost:{port}") as gateway,
    ):
        with pytest.raises(BadGatewayError):
            await gateway.get()
    assert b"".join(upstream.connections) == b""


async def test_an_ipv6_address_is_reached_and_named_in_brackets() -> None:
    upstream = Scripted([OK])
    try:
        async with served(upstream, "::1", None) as port, forwarding(f"http://[::1]:{port}") as gateway:
            assert (await gateway.get()).body == b"ok"
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert f"host: [::1]:{port}".encode() in upstream.head
