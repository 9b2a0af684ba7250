"""A reader has the studies of a case sent to the own workstation: DCMTK's storescp, the case at a real FHIR server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.filereader import dcmread
from sqlalchemy import select

from dicom_gateway.app import create_app
from dicom_gateway.index.exchange import forwarding_request
from konsil.database import reader
from tests.dicom_gateway.conftest import know
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import CODES, business_status, coded
from tests.peers import storescp, unused_port

WORKSTATION = {"name": "desk", "title": "Dr. Ito's desk", "ae_title": "DESK", "can": ["store"]}


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A case with a released study, offered to Dr. Ito."""
    with staged(tmp_path, monkeypatch) as found:
        found.arrive()
        found.decide("accept")
        found.world.work(lambda: business_status(found.world.read(found.case)) == "ready-for-triage")
        offered = coded(f"{CODES}/business-status", "offered")
        owner = {"reference": "Practitioner/ito"}
        found.world.change("okafor", found.case, status="received", businessStatus=offered, owner=owner)
        yield found


@pytest.fixture
def web(scene: Scene) -> Iterator[httpx.Client]:
    """The gateway's web application."""
    with (
        serving(lambda base: create_app(scene.world.gateway)) as base,
        httpx.Client(base_url=base, trust_env=False, timeout=30) as client,
    ):
        yield client


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


def send(web: httpx.Client, scene: Scene, who: str = "ito", **values: Any) -> httpx.Response:
    body = {"case": scene.case, "workstation": "desk", "studies": [scene.study], **values}
    return web.post("/api/forwardings", json=body, headers=bearer(who))


def stands(web: httpx.Client, scene: Scene) -> dict[str, Any]:
    found = web.get("/api/workstations", params={"study": scene.study}, headers=bearer("ito")).json()
    (sending,) = found["sendings"]
    return dict(sending)


def state(web: httpx.Client, scene: Scene) -> str:
    return str(stands(web, scene)["state"])


@pytest.mark.peer
def test_a_reader_has_a_study_sent_and_sent_again(scene: Scene, web: httpx.Client, tmp_path: Path) -> None:
    """What arrives is the local patient's; a second time everything goes anew, and each asking is written down."""
    with storescp(tmp_path / "desk", "DESK") as desk:
        know(scene.world.gateway, **WORKSTATION, port=desk.port, readers=["Practitioner/ito"])
        shown = web.get("/api/workstations", headers=bearer("ito")).json()
        assert shown == {"workstations": [{"name": "desk", "title": "Dr. Ito's desk"}], "sendings": []}
        scene.world.runner.run_due()
        assert desk.files() == [], "nothing goes to a workstation by itself"
        assert send(web, scene).json()["sendings"][0]["state"] == "due"
        scene.world.work(lambda: state(web, scene) == "sent")
        assert {str(dcmread(path).PatientID) for path in desk.files()} == {"L-1"} and len(desk.files()) == 5
        for path in desk.files():
            path.unlink()
        assert send(web, scene).status_code == 202
        scene.world.work(lambda: state(web, scene) == "sent")
        assert len(desk.files()) == 5
    with reader(scene.world.gateway.engine).begin() as connection:
        asked = connection.execute(select(forwarding_request.c.asked_by, forwarding_request.c.case_reference)).all()
    assert [tuple(row) for row in asked] == [("Practitioner/ito", scene.case)] * 2
    (seen,) = web.get("/api/transfers", headers=bearer("silva")).json()["forwardings"]
    assert (seen["state"], seen["title"], seen["asked_by"]) == ("sent", "Dr. Ito's desk", "Practitioner/ito")


@pytest.mark.peer
def test_a_workstation_that_is_off_says_so_and_the_reader_cancels(
    scene: Scene, web: httpx.Client, tmp_path: Path
) -> None:
    """Cause and remedy while it waits; cancelled stays cancelled; asked anew it goes once the workstation is on."""
    port = unused_port()
    know(scene.world.gateway, **WORKSTATION, port=port, readers=["*"])
    send(web, scene)
    scene.world.work(lambda: bool(stands(web, scene)["cause"]))
    waiting = stands(web, scene)
    assert "does not answer" in waiting["cause"] and waiting["remedy"] and waiting["state"] == "due"
    path = f"/api/forwardings/{waiting['id']}/cancel"
    assert web.post(path, headers=bearer("stranger")).status_code == 404
    assert web.post(path, headers=bearer("ito")).json()["state"] == "cancelled"
    with storescp(tmp_path / "desk", "DESK", port) as desk:
        scene.world.runner.run_due()
        assert desk.files() == [] and state(web, scene) == "cancelled"
        send(web, scene)
        scene.world.work(lambda: state(web, scene) == "sent")
        assert len(desk.files()) == 5 and stands(web, scene)["cause"] is None


def test_only_readers_of_the_case_send_only_its_studies_only_to_theirs(scene: Scene, web: httpx.Client) -> None:
    """403 for other roles; 404 for a case, a study or a workstation that is not theirs; 400 for a body that is none."""
    know(scene.world.gateway, **WORKSTATION, port=unused_port(), readers=["Practitioner/ito"])
    know(scene.world.gateway, **{**WORKSTATION, "name": "hers"}, port=unused_port(), readers=["Practitioner/her"])
    assert web.post("/api/forwardings", json={}).status_code == 401
    for role in ("weber", "silva", "okafor"):
        assert send(web, scene, role).status_code == 403
        assert web.get("/api/workstations", headers=bearer(role)).status_code == 403
    refused = [
        send(web, scene, "stranger"),
        send(web, scene, workstation="hers"),
        send(web, scene, workstation="outside"),
        send(web, scene, case=scene.retrieval),
        send(web, scene, studies=[scene.study, "1.2.3"]),
    ]
    assert [each.status_code for each in refused] == [404] * 5
    assert send(web, scene, studies=[]).status_code == 400 and send(web, scene, studies="1.2").status_code == 400
    assert web.get("/api/workstations", headers=bearer("ito")).json()["sendings"] == []
    assert web.post("/api/forwardings/99/cancel", headers=bearer("ito")).status_code == 404
