"""A real web server of ours against clients that are slow, many, or speak old TLS."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from konsil import serving
from konsil.rate_limit import RateLimit
from konsil.serving import Guarded, PatientProtocol, tls_options

GET = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


async def answer(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())} bytes")


def application(count: int = 0) -> Starlette:
    routes = [Route("/", answer, methods=["GET", "POST"]), Route("/door", answer)]
    guard = Middleware(Guarded, base_url="https://here", per_address=RateLimit(count), paths=("/door",))
    return Starlette(routes=routes, middleware=[guard])


@contextmanager
def running(app: Starlette, **options: Any) -> Iterator[Callable[[], socket.socket]]:
    config = uvicorn.Config(app, port=0, http=PatientProtocol, log_config=None, lifespan="off", **options)
    server, listening = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield lambda: socket.create_connection(listening.getsockname(), timeout=20)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def said(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    pieces = b""
    while piece := connection.recv(65_536):
        pieces += piece
    return pieces


def test_headers_that_never_end_and_bodies_that_trickle_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.2)
    with running(application()) as connect:
        with connect() as silent, connect() as slow, connect() as trickle:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nX-")
            trickle.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nab")
            assert (said(silent), said(slow)) == (b"", b"")
            refused = said(trickle)
        assert refused.startswith(b"HTTP/1.1 408 ")
        with connect() as good:
            good.sendall(GET)
            assert b"0 bytes" in said(good)


def test_an_address_that_knocks_too_often_waits_and_hsts_is_on_every_answer() -> None:
    with running(application(2)) as connect:

        def get(path: bytes) -> bytes:
            with connect() as connection:
                connection.sendall(GET.replace(b"/ ", path + b" ", 1))
                return said(connection)

        answers = [get(b"/door") for _ in range(3)]
        assert [one.split(b" ")[1] for one in answers] == [b"200", b"200", b"429"]
        assert b"retry-after: 30" in answers[2]
        assert get(b"/").startswith(b"HTTP/1.1 200")
        assert all(b"strict-transport-security: max-age=31536000" in one for one in answers)


def test_tls_is_1_2_or_newer_with_forward_secrecy(tmp_path: Path) -> None:
    certificate = own_certificate(tmp_path)
    with running(application(), **tls_options(certificate, None)) as connect:

        def shake(version: ssl.TLSVersion) -> tuple[str, str]:
            context = ssl.create_default_context(cafile=certificate)
            context.minimum_version = context.maximum_version = version
            with context.wrap_socket(connect(), server_hostname="localhost") as connection:
                connection.sendall(GET)
                assert b"0 bytes" in said(connection)  # type: ignore[arg-type]
                return str(connection.version()), str((connection.cipher() or ("",))[0])

        assert shake(ssl.TLSVersion.TLSv1_3)[0] == "TLSv1.3"
        version, cipher = shake(ssl.TLSVersion.TLSv1_2)
        assert (version, cipher[:5], "GCM" in cipher or "POLY1305" in cipher) == ("TLSv1.2", "ECDHE", True)
        with connect() as old:
            old.sendall(bytes.fromhex("160301002f0100002b0301") + bytes(32) + bytes.fromhex("000004c013002f0100"))
            assert said(old)[:1] in {b"", b"\x15"}  # closed, or an alert
    assert tls_options(None, None) == {}


def own_certificate(folder: Path) -> Path:
    """Certificate and key in one file."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]),
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "tls.pem").write_bytes(pem)
    return folder / "tls.pem"
