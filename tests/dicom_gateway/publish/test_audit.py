"""What the gateway tells the FHIR server's audit: who received, sent, asked for and looked at imaging, each once."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, update

from dicom_gateway import peer_register
from dicom_gateway.app import create_app
from dicom_gateway.audit.configured import imported_by_command
from dicom_gateway.audit.happened import ACCESSED, KIND, Agent, Happened, put_down
from dicom_gateway.audit.rejections import Rejections
from dicom_gateway.index.models import outbox
from dicom_gateway.peer_commands import command_line
from dicom_gateway.routing import register
from dicom_gateway.settings import Settings
from konsil.database import reader
from tests.dicom_gateway.conftest import know
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.publish.test_viewer import APP, new_code, redeem
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import CODES, PATIENT, Resource, business_status, coded
from tests.peers import run, storescp

GATEWAY = "http://127.0.0.1:8403"


def told(scene: Scene, query: str) -> list[Resource]:
    """The gateway's own events among those that fit, oldest first."""
    found = scene.world.search(f"AuditEvent?_count=500&{query}")
    ours = [each for each in found if each["source"]["observer"]["identifier"]["value"] == GATEWAY]
    return sorted(ours, key=lambda each: str(each["recorded"]))


def waiting(scene: Scene) -> int:
    """How many rows wait to be told."""
    kinds = outbox.c.kind.in_((KIND, "audit-received")), outbox.c.state != "done"
    with reader(scene.world.gateway.engine).connect() as connection:
        return connection.execute(select(func.count()).where(*kinds)).scalar_one()


def deliver(scene: Scene) -> None:
    """Let everything be told."""
    scene.world.work(lambda: not waiting(scene), rounds=600)


def agents(event: Resource) -> dict[str, Resource]:
    """Its participants by their part."""
    return {each["type"]["coding"][0]["code"]: each for each in event["agent"]}


def references(event: Resource) -> set[str]:
    return {entity["what"].get("reference", "") for entity in event["entity"] if "what" in entity}


@contextmanager
def released(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Scene, str]]:
    """A study that came, was accepted and is served."""
    with staged(folder, monkeypatch, frame_ancestors=[APP], query_retrieve=True) as scene:
        scene.arrive()
        scene.decide("accept")
        scene.world.work(lambda: business_status(scene.world.read(scene.case)) == "ready-for-triage")
        with serving(lambda base: create_app(scene.world.gateway)) as base:
            yield scene, base


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scene, str]]:
    with pytest.MonkeyPatch.context() as patch, released(tmp_path_factory.mktemp("audit"), patch) as found:
        yield found


def web(base: str, path: str, who: str = "weber", **headers: str) -> httpx.Response:
    return httpx.get(f"{base}{path}", headers={"Authorization": f"Bearer {who}", **headers}, trust_env=False)


@pytest.mark.spec("PS3.15 A.5.3.7")
@pytest.mark.spec("PS3.15 A.5.3.4")
def test_who_saw_this_patient_includes_imaging(scene: tuple[Scene, str]) -> None:
    """Reception, decision, viewer, DICOMweb and questions, each once, by whom, of which study and patient."""
    here, base = scene
    code = new_code(here, base).json()["code"]
    cookie = redeem(base, code).headers["set-cookie"].split(";")[0]
    study = f"/dicom-web/studies/{here.study}"
    for _ in range(3):  # a viewer's requests are one look
        assert httpx.get(f"{base}{study}/metadata", headers={"Cookie": cookie}, trust_env=False).status_code == 200
    for _ in range(2):
        assert web(base, study, Accept='multipart/related; type="application/dicom"').status_code == 200
    assert web(base, f"/dicom-web/studies?StudyInstanceUID={here.study}").status_code == 200
    deliver(here)
    study_resource = here.world.search(f"ImagingStudy?identifier=urn:oid:{here.study}")[0]["id"]
    about = told(here, f"entity=ImagingStudy/{study_resource}")
    about = [each for each in about if "OUTSIDE" not in json.dumps(each["agent"]) or each["action"] == "C"]
    kinds = [(event["type"]["code"], event["action"]) for event in about]
    assert sorted(kinds) == [("110103", "R"), ("110103", "U"), ("110104", "C"), ("110104", "R"), ("110112", "E")]
    by = {f"{code}{action}": event for (code, action), event in zip(kinds, about, strict=True)}
    studies = {each for event in about for each in references(event) if each.startswith("ImagingStudy/")}
    received = by.pop("110104C")
    assert len(studies) == 1 and all(here.patient in references(event) for event in by.values())
    assert any(each.startswith("Patient/") for each in references(received))
    assert agents(received)["110153"]["altId"] == "OUTSIDE"
    assert agents(received)["110153"]["network"]["address"] == "127.0.0.1"
    assert [each["detail"][0]["valueString"] for each in received["entity"] if "detail" in each] == ["5"]
    for looked in (by["110103R"], by["110104R"]):
        assert agents(looked)["110152"]["who"]["reference"] == "Practitioner/weber"
    assert here.case in references(by["110103R"])
    decided = by["110103U"]
    assert decided["outcomeDesc"] == "accepted" and here.case in references(decided)
    assert [each["who"]["reference"] for each in decided["agent"] if each["requestor"]] == ["Practitioner/silva"]
    everything = json.dumps(about)
    assert not any(name in everything for name in ("Muster", "Anna", PATIENT["birthDate"]))


@pytest.mark.spec("PS3.15 A.5.3.5")
def test_disclosures_by_dimse_begin_and_end(scene: tuple[Scene, str], tmp_path: Path) -> None:
    """C-GET leaves two events, C-FIND one with the question; who is not known leaves an alert."""
    here, _ = scene
    port = str(here.port)
    folder = tmp_path / "got"
    folder.mkdir()
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={here.study}"]
    run(["getscu", "-S", "-B", "-od", str(folder), "-aet", "OUTSIDE", "-aec", "KONSIL", *keys, "127.0.0.1", port])
    assert len(list(folder.iterdir())) == 5
    run(["findscu", "-S", "-aet", "OUTSIDE", "-aec", "KONSIL", *keys, "127.0.0.1", port])
    run(["echoscu", "-aet", "NOBODY", "-aec", "KONSIL", "127.0.0.1", port], check=False)
    run(["echoscu", "-aet", "NOBODY", "-aec", "KONSIL", "127.0.0.1", port], check=False)
    deliver(here)
    about = [event for event in told(here, f"patient={here.patient}") if "OUTSIDE" in json.dumps(event["agent"])]
    kinds = [(event["type"]["code"], event["action"], event["outcome"]) for event in about]
    assert sorted(kinds) == [
        ("110102", "E", "0"),
        ("110104", "C", "0"),
        ("110104", "R", "0"),
        ("110112", "E", "0"),
    ]
    (alert,) = told(here, "subtype=110126")
    assert alert["subtype"][0]["code"] == "110126" and alert["outcome"] == "4"
    assert "calling-unknown" in alert["outcomeDesc"] and agents(alert)["110153"]["altId"] == "NOBODY"


@pytest.mark.spec("PS3.15 A.5.3.10")
def test_what_a_command_changed_or_imported_is_told(scene: tuple[Scene, str]) -> None:
    """Peers and rules: which, how and by whom, never a secret; a medium: which studies."""
    here, _ = scene
    gateway = here.world.gateway
    values = {"name": "clinic", "ae_title": "CLINIC", "host": "192.0.2.7", "port": 104}
    peer_register.add(gateway.engine, command_line(gateway, "peer"), values, "KONSIL")
    before = register.add(gateway.engine, command_line(gateway, "rule"), {"name": "night", "to": ["clinic"]})
    register.activate(gateway.engine, command_line(gateway, "rule"), before, active=False)
    imported_by_command(gateway, "command line (root)", {here.study: {"1.2.3", "1.2.4"}})
    deliver(here)
    changes = told(here, "subtype=110137")
    assert [event["outcomeDesc"] for event in changes] == [
        "peer clinic added",
        "rule night added",
        "rule night deactivated",
    ]
    details = changes[0]["entity"][0]["detail"]
    assert any(each["type"] == "host" and "192.0.2.7" in each["valueString"] for each in details)
    assert all(event["agent"][0]["who"]["identifier"]["value"].startswith("command line (") for event in changes)
    (medium,) = told(here, "type=110107")
    assert medium["entity"][0]["detail"][0]["valueString"] == "2" and here.patient in references(medium)


def test_told_once_however_often_it_is_delivered(scene: tuple[Scene, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is away: nothing is lost, nothing is given up; a row that runs again adds nothing."""
    here, _ = scene
    deliver(here)
    before = len(told(here, "type=110103"))
    client = here.world.runner.exchange.fhir.client  # type: ignore[union-attr]

    def away(*_: object, **__: object) -> httpx.Response:
        raise httpx.ConnectError("no route")

    put_down(here.world.gateway, Happened(ACCESSED, "R", (Agent("weber", asked=True),), {"1.2.3": None}))
    with monkeypatch.context() as patch:
        patch.setattr(client, "request", away)
        here.world.runner.run_due()
    assert waiting(here) == 1
    again = update(outbox).where(outbox.c.kind == KIND).values(state="due", next_attempt_at=0.0)
    for _ in range(2):
        with here.world.gateway.engine.begin() as connection:
            connection.execute(again)
        deliver(here)
    assert len(told(here, "type=110103")) == before + 1


@pytest.mark.spec("R4 auditevent.html#6.5.4")
def test_only_a_client_whose_scopes_name_audit_events_may_report(scene: tuple[Scene, str]) -> None:
    """Nobody else, not a person and not another program; and what was reported is never changed."""
    here, _ = scene
    deliver(here)
    event = told(here, "type=110103")[0]
    assert here.world.call("weber", "POST", "AuditEvent", event).status_code == 403
    assert here.world.call("silva", "PUT", f"AuditEvent/{event['id']}", event).status_code == 403
    gateway = here.world.runner.exchange
    assert gateway is not None
    changed = {**event, "outcome": "8"}
    answer = here.world.client.put(
        f"{here.world.fhir}/fhir/AuditEvent/{event['id']}", json=changed, headers=gateway.recorder.header()
    )
    assert answer.status_code == 405
    other = here.world.client.post(f"{here.world.fhir}/fhir/AuditEvent", json=event, headers=gateway.system.header())
    assert other.status_code == 403, "the token that publishes reports nothing"


def test_a_caller_that_is_refused_again_and_again_makes_one_event_a_minute() -> None:
    moment = 0.0
    rejections = Rejections(Settings(fhir_base_url="http://127.0.0.1/fhir"), lambda: moment)
    is_new: Callable[[tuple[str, str]], bool] = rejections._is_new
    assert is_new(("10.0.0.1", "calling-unknown")) and not is_new(("10.0.0.1", "calling-unknown"))
    assert is_new(("10.0.0.1", "called-unknown"))
    moment = 61.0
    assert is_new(("10.0.0.1", "calling-unknown"))


@pytest.mark.spec("PS3.15 A.5.3.5")
@pytest.mark.spec("PS3.15 A.5.3.7")
def test_what_is_moved_and_forwarded_begins_and_ends(scene: tuple[Scene, str], tmp_path: Path) -> None:
    """Before the first instance leaves, and when the last has: who asked, where it went, whose it is."""
    here, _ = scene
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={here.study}"]
    with storescp(tmp_path / "mover", "MOVER") as mover:
        know(here.world.gateway, name="mover", ae_title="MOVER", port=mover.port)
        move = ["movescu", "-S", "-aet", "MOVER", "-aec", "KONSIL", "-aem", "MOVER", *keys, "127.0.0.1", str(here.port)]
        run(move)
        assert len(mover.files()) == 5
    with storescp(tmp_path / "desk", "DESK") as desk, serving(lambda base: create_app(here.world.gateway)) as base:
        readers = {"readers": ["Practitioner/ito"], "can": ["store"]}
        know(here.world.gateway, name="desk", ae_title="DESK", port=desk.port, **readers)
        offered = coded(f"{CODES}/business-status", "offered")
        owner = {"reference": "Practitioner/ito"}
        here.world.change("okafor", here.case, status="received", businessStatus=offered, owner=owner)
        body = {"case": here.case, "workstation": "desk", "studies": [here.study]}
        sent = httpx.post(
            f"{base}/api/forwardings", json=body, headers={"Authorization": "Bearer ito"}, trust_env=False
        )
        assert sent.status_code < 300, sent.text
        here.world.work(lambda: len(desk.files()) == 5)
    deliver(here)
    for title, asked_by in (("MOVER", "mover"), ("DESK", "Practitioner/ito")):
        about = [event for event in told(here, f"patient={here.patient}") if title in json.dumps(event["agent"])]
        kinds = [(event["type"]["code"], event["action"], event["outcome"]) for event in about]
        assert sorted(kinds) == [("110102", "E", "0"), ("110104", "R", "0")], title
        for event in about:
            assert agents(event)["110152"]["altId"] == title
            (asked,) = [each["who"] for each in event["agent"] if each["requestor"]]
            assert asked_by in (asked.get("reference"), asked["identifier"]["value"])
            assert here.patient in references(event)
