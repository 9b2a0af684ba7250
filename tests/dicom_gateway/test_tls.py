"""TLS with certificates bound to peers, against DCMTK and against ourselves.  PS3.15 B.12"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_gateway.dimse.echo import echo
from dicom_gateway.dimse.store import send_instances
from dicom_gateway.errors import PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.query import Place, locate
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.peers import by_name
from dicom_gateway.scp import Listener
from dicom_gateway.settings import Settings
from konsil.database import reader
from tests.dicom_gateway.certificates import Authority, Held
from tests.dicom_gateway.conftest import MakeGateway, know, listening
from tests.dicom_gateway.objects import write_study
from tests.peers import run, storescu

pytestmark = [pytest.mark.peer, pytest.mark.spec("PS3.15 B.12")]


class Secured:
    """A gateway that listens with TLS alone, and certificates for it and its peers."""

    def __init__(self, folder: Path, make_gateway: MakeGateway) -> None:
        self.authority = Authority(folder / "certificates")
        self.ours, self.theirs, self.others = (self.authority.issue(name) for name in ("gateway", "pacs", "stranger"))
        self.gateway = make_gateway(
            mode="archive",
            dimse_plain=False,
            dimse_tls_port=0,
            tls_certificate_file=self.ours.certificate,
            tls_key_file=self.ours.key,
            tls_ca_file=self.authority.file,
        )

    def bind(self, *certificates: str) -> None:
        """Say whose certificates make the peer STORESCU known."""
        tls = {"ca_file": str(self.authority.file), "certificates": certificates}
        know(self.gateway, name="sender", ae_title="STORESCU", tls=tls)

    def options(self, held: Held) -> list[str]:
        """DCMTK's options with one certificate."""
        return ["+tls", str(held.key), str(held.certificate), "+cf", str(self.authority.file)]


@pytest.fixture
def secured(tmp_path: Path, make_gateway: MakeGateway) -> Secured:
    return Secured(tmp_path, make_gateway)


def echoscu(listener: Listener, *options: str) -> bool:
    """Whether DCMTK's C-ECHO succeeds."""
    command = ["echoscu", *options, "-aet", "STORESCU", "-aec", "KONSIL", "127.0.0.1", str(listener.tls_port)]
    return run(command, check=False).returncode == 0


def test_dcmtk_sends_with_the_certificate_bound_to_it_and_with_no_other(secured: Secured, tmp_path: Path) -> None:
    _, files = write_study(tmp_path / "study", [3])
    with listening(secured.gateway) as listener:
        secured.bind(secured.theirs.fingerprint)
        storescu(listener.tls_port, "KONSIL", files, options=secured.options(secured.theirs))
        assert not echoscu(listener, *secured.options(secured.others)), "of the same authority, of somebody else"
        assert not echoscu(listener), "without TLS"
        assert not echoscu(listener, "+tla", "+cf", str(secured.authority.file)), "without a certificate"
        secured.bind("stranger")
        assert echoscu(listener, *secured.options(secured.others)), "bound by its name"
    secured.gateway.ingest.replay()
    with reader(secured.gateway.engine).connect() as connection:
        assert len(locate(connection, Place())) == 3


def test_a_peer_with_tls_is_refused_without(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    ca_file = str(Authority(tmp_path / "certificates").file)
    know(gateway, name="sender", ae_title="STORESCU", tls={"ca_file": ca_file})
    with listening(gateway) as listener:
        command = ["echoscu", "-v", "-aet", "STORESCU", "-aec", "KONSIL", "127.0.0.1", str(listener.port)]
        refused = run(command, check=False)
    assert "Calling AE Title Not Recognized" in refused.stderr + refused.stdout


@pytest.mark.parametrize(("profile", "taken"), [("+px", True), ("+py", True), ("+pz", True), ("+pa", False)])
def test_dcmtk_by_each_of_its_profiles(secured: Secured, profile: str, taken: bool) -> None:
    """BCP 195, the same without downgrading, the extended one; not the retired one of AES in CBC mode."""
    secured.bind(secured.theirs.fingerprint)
    with listening(secured.gateway) as listener:
        assert echoscu(listener, *secured.options(secured.theirs), profile) is taken


def test_a_stalled_handshake_keeps_nobody_waiting(secured: Secured) -> None:
    secured.bind()
    with listening(secured.gateway) as listener, socket.create_connection(("127.0.0.1", listener.tls_port)) as stalled:
        stalled.send(b"\x16\x03\x01")
        assert echoscu(listener, *secured.options(secured.theirs))


@contextmanager
def calling(secured: Secured, make_gateway: MakeGateway, listener: Listener, **tls: object) -> Iterator[Gateway]:
    """Another gateway that calls the secured one by TLS."""
    gateway = make_gateway("caller", ae_title="STORESCU", mode="archive")
    files = {"ca_file": str(secured.authority.file), "certificate_file": str(secured.theirs.certificate)}
    entry = {"name": "pacs", "ae_title": "KONSIL", "port": listener.tls_port}
    know(gateway, **entry, tls={**files, "key_file": str(secured.theirs.key), **tls})
    yield gateway


def test_we_call_by_tls_and_query_by_it(secured: Secured, make_gateway: MakeGateway, tmp_path: Path) -> None:
    _, files = write_study(tmp_path / "study", [2])
    secured.bind(secured.theirs.fingerprint)
    with (
        listening(secured.gateway) as listener,
        calling(secured, make_gateway, listener, certificates=["gateway"]) as gateway,
    ):
        for path in files:
            gateway.ingest.accept(Incoming.from_file(path.read_bytes(), Source()))
        gateway.ingest.replay()
        with reader(gateway.engine).connect() as connection:
            sent = send_instances(gateway.archive, by_name(connection, "pacs"), locate(connection, Place()))
        assert [item.stored for item in sent] == [True, True]
        query = ["findscu", "-S", "-aet", "STORESCU", "-aec", "KONSIL", *secured.options(secured.theirs)]
        run([*query, "-k", "QueryRetrieveLevel=STUDY", "127.0.0.1", str(listener.tls_port)])


@pytest.mark.parametrize(
    "wrong",
    ["another certificate of theirs", "an authority that is not theirs", "no certificate of ours", "no such file"],
)
def test_what_fails_between_two_certificates_is_named(
    secured: Secured, make_gateway: MakeGateway, tmp_path: Path, wrong: str
) -> None:
    secured.bind(secured.theirs.fingerprint)
    tls: dict[str, object] = {
        "another certificate of theirs": {"certificates": ["somebody-else"]},
        "an authority that is not theirs": {"ca_file": str(Authority(tmp_path / "other", "Other").file)},
        "no certificate of ours": {"certificate_file": "", "key_file": ""},
        "no such file": {"ca_file": str(tmp_path / "absent")},
    }[wrong]  # type: ignore[assignment]
    with (
        listening(secured.gateway) as listener,
        calling(secured, make_gateway, listener, **tls) as gateway,
        reader(gateway.engine).connect() as connection,
        pytest.raises(PeerError) as caught,
    ):
        echo(by_name(connection, "pacs"))
    assert caught.value.cause == "tls-failed"


def test_settings_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValueError, match="tls_certificate_file"):
        Settings(dimse_tls_port=0)
    with pytest.raises(ValueError, match="dimse_plain"):
        Settings(dimse_plain=False)
