"""Outside archives by DICOMweb: Orthanc with its plug-in, an archive of ours behind tokens and mutual TLS."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from dicom_gateway.app import create_app
from dicom_gateway.dicomweb.asking import asking
from dicom_gateway.dimse.echo import probe
from dicom_gateway.errors import PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.import_files import import_medium
from dicom_gateway.index.models import instance, version
from dicom_gateway.peers import by_name
from konsil.database import reader
from tests.dicom_gateway.certificates import Authority
from tests.dicom_gateway.conftest import MakeGateway, know
from tests.dicom_gateway.objects import write_study
from tests.dicom_gateway.test_bad_peers import search
from tests.dicom_gateway.test_retrieve import ask, work
from tests.dicom_gateway.web.serving import serving
from tests.peers import Orthanc, orthanc, unused_port

pytestmark = [pytest.mark.peer, pytest.mark.spec("PS3.18 10.4")]
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
TOKEN = "a-token-of-the-archive"  # noqa: S105


@contextmanager
def outside(folder: Path, gateway: Gateway) -> Iterator[Orthanc]:
    """Orthanc with DICOMweb, registered as a peer that is reached by nothing else."""
    web: dict[str, object] = {"Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with orthanc(folder, our_port=None, options=web) as pacs:
        entry = {"name": "outside", "title": "St. Anna", "ae_title": "ORTHANC", "port": unused_port(), "can": ["find"]}
        know(gateway, **entry, dicomweb={"root": f"{pacs.http}/dicom-web"})
        yield pacs


def test_a_whole_study_is_proven_complete_and_comes_byte_for_byte(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    study, files = write_study(tmp_path / "study", [6, 4])
    with outside(tmp_path / "pacs", gateway) as pacs:
        pacs.store(files)
        answers, studies = search(gateway)
        assert (answers["outside"][0], studies) == ("ok", [study])
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.cause) == ("completed", "A", None)
    assert (done.expected, done.received, done.failed) == (10, 10, 0)
    with reader(gateway.engine).connect() as connection:
        rows = connection.execute(
            select(version.c.object_key, version.c.source_peer, instance.c.retrieval).join(instance)
        )
        kept = [(gateway.archive.path(key).read_bytes(), peer, task) for key, peer, task in rows]
    assert {(peer, task) for _, peer, task in kept} == {("outside", "task-1")}
    sent = {path.read_bytes()[-2000:] for path in files}
    assert {content[-2000:] for content, _, _ in kept} == sent


def test_what_goes_wrong_has_its_name(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(retrieval_attempts=1)
    with outside(tmp_path / "pacs", gateway):
        ask(gateway, "1.2.3.4")
        assert work(gateway).cause_code == "study-not-found"
        with reader(gateway.engine).connect() as connection:
            peer = by_name(connection, "outside")
        assert probe(gateway.engine, peer) is None
    down = probe(gateway.engine, peer)
    assert down is not None and down.cause == "peer-down"


class Archive:
    """An archive of ours that opens to a token, which its token endpoint gives to who signs for it."""

    def __init__(self, gateway: Gateway, key: ECKey) -> None:
        self.gateway, self.key = gateway, key
        self.given: list[str] = []
        self.asked: list[dict[str, Any]] = []

    def app(self, base: str) -> Starlette:
        routes = [Route("/token", self.token, methods=["POST"]), Mount("/", create_app(self.gateway))]
        return Starlette(routes=routes)

    async def token(self, request: Request) -> JSONResponse:
        """The first token is one that has been revoked meanwhile."""
        form = await request.form()
        claims = jwt.decode(str(form["client_assertion"]), self.key, algorithms=["ES384"]).claims
        self.asked.append({**claims, "scope": form["scope"]})
        self.given.append(TOKEN if self.given else "revoked")
        return JSONResponse({"access_token": self.given[-1], "token_type": "Bearer", "expires_in": 300})


@pytest.fixture
def archive(make_gateway: MakeGateway, tmp_path: Path) -> Archive:
    gateway = make_gateway("archive", mode="archive", ae_title="PACS", web_token=TOKEN)
    key = ECKey.generate_key("P-384", {"kid": "ours"})
    (tmp_path / "ours.jwk").write_text(json.dumps(key.as_dict(private=True)))
    return Archive(gateway, key)


def test_a_token_is_had_by_our_key_and_had_again(make_gateway: MakeGateway, archive: Archive, tmp_path: Path) -> None:
    gateway = make_gateway()
    study, _ = write_study(tmp_path / "study", [3])
    assert import_medium(archive.gateway.ingest, tmp_path / "study").kept == 3
    archive.gateway.ingest.replay()
    with serving(archive.app) as base:
        proof = {"token_url": f"{base}/token", "client_id": "konsil-gateway", "key_file": str(tmp_path / "ours.jwk")}
        web = {"root": f"{base}/dicom-web", **proof, "scope": "dicom.read"}
        know(gateway, name="outside", ae_title="PACS", port=unused_port(), can=["find"], dicomweb=web)
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.received) == ("completed", "A", 3)
    assert archive.given[:2] == ["revoked", TOKEN]
    assert {(each["iss"], each["aud"], each["scope"]) for each in archive.asked} == {
        ("konsil-gateway", f"{base}/token", "dicom.read")
    }


def test_a_body_that_breaks_off_is_carried_on_one_by_one(
    make_gateway: MakeGateway, archive: Archive, tmp_path: Path
) -> None:
    """The archive has lost a file in the middle of a series: everything else comes, and what does not is told."""
    gateway = make_gateway(retrieval_attempts=3, retrieval_backoff_seconds=0.05)
    study, _ = write_study(tmp_path / "study", [9])
    import_medium(archive.gateway.ingest, tmp_path / "study")
    archive.gateway.ingest.replay()
    with reader(archive.gateway.engine).connect() as connection:
        keys = connection.execute(select(version.c.object_key).order_by(version.c.id)).scalars().all()
    archive.gateway.archive.path(keys[4]).unlink()
    archive.given.append("revoked")
    with serving(archive.app) as base:
        proof = {"token_url": f"{base}/token", "client_id": "konsil-gateway", "key_file": str(tmp_path / "ours.jwk")}
        web = {"root": f"{base}/dicom-web", **proof}
        know(gateway, name="outside", title="Anna", ae_title="PACS", port=unused_port(), can=["find"], dicomweb=web)
        ask(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.cause_code) == ("completed", "D", "instances-failed")
    assert (done.expected, done.received, done.failed) == (9, 8, 1)
    assert done.cause == "Anna did not send some of the images." and done.remedy


def test_mutual_tls(make_gateway: MakeGateway, archive: Archive, tmp_path: Path) -> None:
    """The archive wants our certificate, and we want one of its own: without either nothing comes about."""
    gateway, authority = make_gateway(), Authority(tmp_path / "certificates")
    ours, theirs, others = (authority.issue(name) for name in ("gateway", "127.0.0.1", "stranger"))
    archive.given.append("revoked")
    secure: dict[str, Any] = {"ssl_certfile": str(theirs.certificate), "ssl_keyfile": str(theirs.key)}
    secure |= {"ssl_ca_certs": str(authority.file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    with serving(archive.app, **secure) as base:
        files = {"ca_file": str(authority.file), "certificate_file": str(ours.certificate), "key_file": str(ours.key)}
        for bound, works in ([theirs.fingerprint], True), ([others.fingerprint], False), ([], None):
            tls: dict[str, Any] = {**files, "certificates": bound}
            if works is None:
                tls = {"ca_file": str(authority.file)}
            web = {"root": base.replace("http:", "https:") + "/dicom-web"}
            know(gateway, name="outside", ae_title="PACS", port=unused_port(), can=["find"], tls=tls, dicomweb=web)
            with reader(gateway.engine).connect() as connection:
                peer = by_name(connection, "outside")
            with pytest.raises(PeerError) as refused, asking(peer) as question:
                question("STUDY", {"StudyInstanceUID": ""}, 1)
            # with both certificates right it is the missing token that the archive refuses
            assert (refused.value.cause == "association-rejected") is bool(works), (works, refused.value.cause)
