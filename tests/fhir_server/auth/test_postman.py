"""E-mails over a real mail server, with TLS and a password; what it refuses stays visible and can be sent again."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr
from sqlalchemy import create_engine, func, select

from fhir_server.auth import letters, mail, postman
from fhir_server.settings import Settings
from fhir_server.store.auth_joining_models import mail as mails
from konsil.outbox import Failed, NewJob, Retry, Runner, enqueue
from konsil.secrets import new_master_key
from tests.markup import checked, mark

pytestmark = pytest.mark.spec("RFC 5321 4.2")
LETTER = letters.write("konsil <no-reply@konsil.test>", "noor@mail.test", "code", {"name": "konsil", "code": "123456"})


class Received:
    """What the server was given; it refuses the addresses of one domain for good and of another for now."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]) -> str:
        if to.endswith("@nowhere.test"):
            return "550 no such mailbox"
        if to.endswith("@busy.test"):
            return "450 try later"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert session.ssl is not None
        self.envelopes.append(envelope)
        return "250 OK"


class Server(Controller):
    """An SMTP server on a free port of loopback that wants STARTTLS, then a name and a password."""

    def __init__(self, received: Received, certificate: Path) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        options: dict[str, Any] = {"tls_context": tls, "require_starttls": True, "auth_required": True}
        super().__init__(received, "127.0.0.1", 0, authenticator=_known, **options)

    def _trigger_server(self) -> None:
        """Controller looks whether port 0 answers: the port is known only now."""
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def _known(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object) -> AuthResult:
    right = isinstance(given, LoginPassword) and (given.login, given.password) == (b"konsil", b"s3cret")
    return AuthResult(success=right)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that vouches for itself, with its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("smtp") / "mail.pem"
    path.write_bytes(pem + built.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture(scope="module")
def received() -> Received:
    return Received()


@pytest.fixture(scope="module")
def settings(received: Received, certificate: Path) -> Iterator[Settings]:
    server = Server(received, certificate)
    server.start()
    yield Settings(
        smtp_host="127.0.0.1",
        smtp_port=server.port,
        smtp_ca=certificate,
        smtp_user="konsil",
        smtp_password=SecretStr("s3cret"),
    )
    server.stop()


def to(address: str) -> Any:
    return letters.write("konsil <no-reply@konsil.test>", address, "code", {"name": "konsil", "code": "123456"})


def test_a_mail_goes_over_tls_with_name_and_password(settings: Settings, received: Received) -> None:
    postman.deliver(settings, LETTER)
    envelope = received.envelopes[-1]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@konsil.test", ["noor@mail.test"])
    message = message_from_bytes(envelope.content or b"")
    assert message["Subject"] == "konsil: your code for signing in"
    assert message["Message-ID"].endswith("@konsil.test>")


def test_what_is_refused_for_good_and_for_now(settings: Settings) -> None:
    with pytest.raises(Failed, match="550"):
        postman.deliver(settings, to("who@nowhere.test"))
    with pytest.raises(Retry, match="450"):
        postman.deliver(settings, to("who@busy.test"))


@pytest.mark.parametrize("changed", [{"smtp_password": SecretStr("wrong")}, {"smtp_ca": None}])
def test_a_wrong_password_or_a_certificate_nobody_vouches_for_waits(
    settings: Settings, received: Received, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postman, "TIMEOUT_SECONDS", 1.0)
    before = len(received.envelopes)
    with pytest.raises(Retry):
        postman.deliver(settings.model_copy(update=changed), LETTER)
    assert len(received.envelopes) == before


def test_a_server_that_wants_no_tls_gets_no_word_of_ours(settings: Settings, received: Received) -> None:
    before = len(received.envelopes)
    with pytest.raises((Retry, Failed)):
        postman.deliver(settings.model_copy(update={"smtp_security": "none"}), LETTER)
    assert len(received.envelopes) == before


def test_what_cannot_be_delivered_stays_visible_and_is_sent_again(
    settings: Settings, received: Received, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KONSIL_MASTER_KEY", new_master_key())
    engine = create_engine(f"sqlite:///{tmp_path / 'outbox.db'}")
    mails.create(engine)
    delivering: Runner = mail.runner(settings, engine)
    with engine.begin() as connection:
        connection.execute(enqueue(mails, "sqlite", NewJob("code", mail.sealed(_content("x@nowhere.test")), "1")))
        connection.execute(enqueue(mails, "sqlite", NewJob("code", mail.sealed(_content("x@mail.test", 0.0)), "2")))
        connection.execute(enqueue(mails, "sqlite", NewJob("code", mail.sealed(_content("y@mail.test")), "3")))
    assert delivering.run_due() == 3
    with engine.connect() as connection:
        rows = connection.execute(select(mails.c.state, mails.c.last_error).order_by(mails.c.id)).all()
        first = connection.execute(select(func.min(mails.c.id))).scalar_one()
    said = [(row.state, row.last_error) for row in rows]
    assert said == [
        ("failed", "the mail server refused the address (550)"),
        ("failed", "too late: what it says has expired"),
        ("done", None),
    ]
    assert received.envelopes[-1].rcpt_tos == ["y@mail.test"]
    again = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'outbox.db'}"})
    assert [(kind, "550" in why or "late" in why) for _, kind, why in mail.failed(again)] == [("code", True)] * 2
    assert mail.send_again(again, first)
    assert not mail.send_again(again, 10_000)
    assert delivering.run_due() == 1
    engine.dispose()


def _content(address: str, until: float = 1e11) -> dict[str, Any]:
    return {"to": address, "values": {"name": "konsil", "code": "123456"}, "until": until}


@pytest.mark.spec("CWE-79", "CWE-93")
def test_markup_in_a_mail_is_text_and_a_name_adds_no_header() -> None:
    values = {name: mark(f"Mail.{name}") for name in ("name", "code", "link", "until")}
    for path in sorted(MAILS.glob("*.txt")):
        letter = letters.write("konsil <no-reply@konsil.test>", "noor@mail.test", path.stem, values)
        shown = letter.get_body(("html",))
        assert shown is not None
        assert "Mail.name" in checked(shown.get_content())
        named = values | {"name": "Anna\r\nBcc: evil@evil.test"}
        forged = message_from_bytes(
            letters.write("konsil <no-reply@konsil.test>", "noor@mail.test", path.stem, named).as_bytes()
        )
        assert forged["Bcc"] is None


MAILS = Path(letters.__file__).parent / "templates" / "mail"
