"""From a retrieval Task to a released study: against a real FHIR server and a real outside PACS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.filereader import dcmread
from sqlalchemy import select, text

from dicom_gateway.app import create_app
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import version
from dicom_gateway.index.query import Place, locate
from dicom_gateway.jobs import GatewayRunner
from dicom_gateway.retrieval.state import load
from konsil.database import reader
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import business_status

STATES = ("quarantined", "released", "rejected")


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A world with an outside PACS that holds a study of two series, and an open case that asks for it."""
    with staged(tmp_path, monkeypatch) as found:
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


def states(scene: Scene) -> list[str]:
    with reader(scene.world.gateway.engine).begin() as connection:
        return [item.state for item in locate(connection, Place(scene.study), STATES)]


def test_accepted_study_becomes_the_local_patients(scene: Scene) -> None:
    """What HIM staff accept is rewritten, released, published and named in the case; the original stays."""
    world = scene.world
    scene.arrive()
    retrieval = world.read(scene.retrieval)
    outputs = {item["type"]["coding"][0]["code"]: list(item.values())[1] for item in retrieval["output"]}
    assert outputs == {"instances-expected": 5, "instances-received": 5, "instances-failed": 0, "completeness": "A"}
    assert business_status(world.read(scene.case)) == "reconciling"
    assert states(scene) == ["quarantined"] * 5
    with reader(world.gateway.engine).begin() as connection:
        assert load(connection, retrieval["id"]).priority == 1, "the Task is urgent"
    scene.decide("accept")
    world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
    (study,) = world.search("ImagingStudy", "weber")
    assert study["subject"]["reference"] == scene.patient and "security" not in study["meta"]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 5)
    assert world.read(scene.case)["input"][0]["valueReference"]["reference"] == f"ImagingStudy/{study['id']}"
    found = world.search(f"Provenance?target=ImagingStudy/{study['id']}")
    (provenance,) = [each for each in found if "contained" in each]  # beside those that each version has by itself
    assert provenance["agent"][0]["who"]["reference"] == "Practitioner/silva"
    assert states(scene) == ["released"] * 5
    check_versions(scene)


def check_versions(scene: Scene) -> None:
    """Each instance has its original and one coerced version with the same pixels."""
    gateway = scene.world.gateway
    query = select(version.c.instance_id, version.c.kind, version.c.object_key).order_by(version.c.id)
    with reader(gateway.engine).begin() as connection:
        rows = connection.execute(query).all()
    assert sorted(row.kind for row in rows) == ["coerced"] * 5 + ["original"] * 5
    by_instance: dict[int, dict[str, str]] = {}
    for row in rows:
        by_instance.setdefault(row.instance_id, {})[row.kind] = row.object_key
    for keys in by_instance.values():
        with gateway.archive.open(keys["original"]) as one, gateway.archive.open(keys["coerced"]) as other:
            before, after = dcmread(one), dcmread(other)
        assert before.PixelData == after.PixelData and before.SOPInstanceUID == after.SOPInstanceUID
        assert (str(after.PatientName), after.PatientID, after.IssuerOfPatientID) == (
            "Muster^Anna^Maria",
            "L-1",
            "LAKESIDE",
        )
        changed = after.OriginalAttributesSequence[-1].ModifiedAttributesSequence[0]
        assert (str(changed.PatientName), changed.PatientID) == ("Muster^Anna", "X-4711")


def test_rejected_study_stays_shut(scene: Scene) -> None:
    """What HIM staff reject is shown to nobody; the case goes on without it."""
    world = scene.world
    scene.arrive()
    scene.decide("reject", "another person")
    world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
    assert states(scene) == ["rejected"] * 5
    assert world.search("ImagingStudy", "weber") == []
    (study,) = world.search("ImagingStudy")
    assert study["status"] == "cancelled"
    assert "input" not in world.read(scene.case)
    told = {item["type"]["coding"][0]["code"]: list(item.values())[1] for item in world.read(scene.retrieval)["output"]}
    assert (told["decision"], told["reason"]) == ("reject", "another person"), "the requester reads it there"


def test_steps_repeated_after_a_kill_double_nothing(scene: Scene) -> None:
    """Every row run twice, as after a killed worker: one Patient, one study, one Task, one coerced version each."""
    world = scene.world
    scene.arrive()
    run_everything_again(scene)
    scene.decide("accept")
    world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
    run_everything_again(scene)
    assert len(world.search("ImagingStudy")) == 1
    assert len(world.search("Task?code=reconciliation")) == 1
    assert len(world.search("Patient")) == 2
    assert len(world.search("Provenance?target:ImagingStudy.identifier=urn:dicom:uid|urn:oid:" + scene.study)) == 1
    check_versions(scene)


def run_everything_again(scene: Scene) -> None:
    """Make every finished row due once more, in a new worker."""
    engine = scene.world.gateway.engine
    with engine.begin() as connection:
        connection.execute(text("UPDATE outbox SET state = 'due', next_attempt_at = 0 WHERE kind <> 'cursor'"))
    again = GatewayRunner(scene.world.gateway)
    while again.run_due() > 1:
        pass
    again.close()


def test_doors_stay_shut_until_fhir_shows_the_study(scene: Scene, web: httpx.Client) -> None:
    """No token 401; quarantined 404 for everybody; released only for those whom FHIR shows the ImagingStudy."""
    world = scene.world
    path = f"/dicom-web/studies/{scene.study}/metadata"
    assert web.get(path).status_code == 401
    assert web.get(path, headers=bearer("nobody")).status_code == 401
    scene.arrive()
    for name in ("weber", "silva", "ito"):
        assert web.get(path, headers=bearer(name)).status_code == 404
    scene.decide("accept")
    world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
    assert web.get(path, headers=bearer("weber")).status_code == 404, "the decision of a moment ago still counts"
    assert web.get(path, headers=bearer("okafor")).json()[0]["00100020"]["Value"] == ["L-1"]
    for name in ("stranger", "elsewhere"):
        assert web.get(path, headers=bearer(name)).status_code == 404
        assert web.get("/dicom-web/studies", headers=bearer(name)).status_code == 204
    found = web.get("/dicom-web/studies", headers=bearer("okafor")).json()
    assert [item["0020000D"]["Value"][0] for item in found] == [scene.study]


def test_reconciliation_shows_both_sides_to_him_only(scene: Scene, web: httpx.Client) -> None:
    """Attributes side by side, what would change, and pictures; only for tokens that can read the Task."""
    scene.arrive()
    path = f"/api/{scene.task.replace('Task/', 'reconciliations/')}"
    assert web.get(path).status_code == 401
    for name in ("ito", "elsewhere"):
        assert web.get(path, headers=bearer(name)).status_code == 404
        assert web.get(f"{path}/thumbnails/0", headers=bearer(name)).status_code == 404
    shown = web.get(path, headers=bearer("silva")).json()
    assert shown["state"] == "waiting" and shown["thumbnails"] == 5
    assert shown["study"]["completeness"] == "A" and shown["study"]["peer"] == "St. Anna"
    verdicts = {item["title"]: item["verdict"] for item in shown["fields"]}
    assert verdicts["Name"] == "near" and verdicts["Birth date"] == "same" and verdicts["Sex"] == "same"
    assert {"tag": "(0010,0020)", "keyword": "PatientID", "before": "X-4711", "after": "L-1"} in shown["changes"]
    picture = web.get(f"{path}/thumbnails/4.png", headers=bearer("silva"))
    assert picture.content.startswith(b"\x89PNG") and picture.headers["cache-control"] == "no-store"
    assert web.get(f"{path}/thumbnails/5", headers=bearer("silva")).status_code == 404


def test_priors_are_searched_for_a_patient_the_caller_may_read(scene: Scene, web: httpx.Client) -> None:
    """Every peer is asked and every answer checked; a peer that is down is named with cause and remedy.

    Asked by other values than ours: another birth date finds nobody, the number over there finds the study again.
    """
    scene.know_a_peer_that_is_down()
    body = {"patient": scene.patient}
    assert web.post("/api/priors", json=body).status_code == 401
    assert web.post("/api/priors", json=body, headers=bearer("elsewhere")).status_code == 404
    told = asked_for(web, body)
    (study,) = told["outside"]["studies"]
    assert study["study_instance_uid"] == scene.study and study["match"] == "near" and study["differences"] == ["name"]
    assert "The birth dates agree." in study["explanations"]
    assert (study["instances"], study["series"], study["modalities"]) == (5, 2, ["CT"])
    down = told["down"]["peer"]
    assert (told["outside"]["peer"]["state"], down["state"]) == ("ok", "failed")
    assert "does not answer" in down["cause"] and down["remedy"]
    elsewhere = {"name": "Nobody", "birth_date": "1931-01-02"}
    assert asked_for(web, body | {"criteria": elsewhere})["outside"]["studies"] == []
    (study,) = asked_for(web, body | {"criteria": elsewhere | {"number": "X-4711"}})["outside"]["studies"]
    assert study["study_instance_uid"] == scene.study and study["match"] == "near"
    assert asked_for(web, body | {"criteria": {"until": "1950-01-01"}})["outside"]["studies"] == []
    for wrong in ({"name": "M*"}, {"from": "last year"}, {"number": 7}, "all"):
        refused = web.post("/api/priors", json=body | {"criteria": wrong}, headers=bearer("weber"))
        assert refused.status_code == 400, wrong


def asked_for(web: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    """The last word of each peer, by its name."""
    answer = web.post("/api/priors", json=body, headers=bearer("weber"))
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return {line["peer"]["name"]: line for line in lines}


def test_transfers_and_peers_are_shown(scene: Scene, web: httpx.Client) -> None:
    """Retrievals of Tasks that the caller may read; an echo on demand."""
    scene.arrive()
    (transfer,) = web.get("/api/transfers", headers=bearer("silva")).json()["retrievals"]
    assert transfer["received"] == 5 and transfer["state"] == "completed" and transfer["case"] == scene.case
    assert web.get("/api/transfers", headers=bearer("elsewhere")).json()["retrievals"] == []
    assert web.post("/api/peers/outside/echo", headers=bearer("silva")).json()["state"] == "ok"
    assert web.post("/api/peers/nobody/echo", headers=bearer("silva")).status_code == 404
    assert web.get("/api/peers").status_code == 401


def test_sources_are_for_those_who_look_after_them(scene: Scene, web: httpx.Client) -> None:
    """Peers, echo, storage and sending on: HIM staff and administrators, by their role at the FHIR server."""
    scene.arrive()
    asked = [("GET", "/api/peers"), ("GET", "/api/overview"), ("POST", "/api/peers/outside/echo")]
    asked.append(("POST", "/api/forwardings/1/resend"))
    for method, path in asked:
        assert web.request(method, path).status_code == 401
        assert web.request(method, path, headers=bearer("nobody")).status_code == 401
        for name in ("weber", "ito", "okafor"):
            assert web.request(method, path, headers=bearer(name)).status_code == 403, (path, name)
    (peer,) = web.get("/api/peers", headers=bearer("silva")).json()["peers"]
    assert peer["title"] == "St. Anna" and peer["state"] == "ok" and peer["checked_at"].endswith("+00:00")
    found = web.get("/api/overview", headers=bearer("silva")).json()
    assert found["quarantined"] == {"instances": 5, "studies": 1} and found["waiting"] == 1 and found["aside"] == 0
    assert 0 < found["bytes"] < found["disk_total"]


def test_second_case_for_the_same_patient_needs_no_second_decision(scene: Scene) -> None:
    """A study that is the patient's already joins a further case by itself."""
    world = scene.world
    scene.arrive()
    scene.decide("accept")
    world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
    second = scene.another_case()
    world.work(lambda: business_status(world.read(second)) == "ready-for-triage")
    assert len(world.search("Task?code=reconciliation")) == 1
    assert world.read(second)["input"] == world.read(scene.case)["input"]
    with reader(world.gateway.engine).begin() as connection:
        assert set(connection.execute(select(publication.c.state)).scalars()) == {"published"}


def test_a_study_of_another_patient_asks_a_person_which_is_wrong(scene: Scene, web: httpx.Client) -> None:
    """A case of somebody else finds the study filed here already: HIM staff see with whom, nothing is opened."""
    world = scene.world
    scene.arrive()
    first = scene.task
    scene.decide("accept")
    world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
    second = scene.another_patients_case()
    world.work(lambda: business_status(world.read(second)) == "reconciling")
    (asked,) = [task for task in world.search("Task?code=reconciliation") if f"Task/{task['id']}" != first]
    assert scene.patient not in str(asked), "whose the study is stands in no Task that the requester reads"
    shown = web.get(f"/api/reconciliations/{asked['id']}", headers=bearer("silva")).json()
    assert f"Patient/{shown['filed']['patient']['id']}" == scene.patient and shown["changes"] == []
    assert (shown["match"]["band"], shown["match"]["score"]) == ("other", 1)
    scene.task = f"Task/{asked['id']}"
    scene.decide("accept")
    world.work(lambda: business_status(world.read(second)) == "ready-for-triage")
    (study,) = world.search("ImagingStudy")
    assert study["subject"]["reference"] == scene.patient and "input" not in world.read(second)
    assert states(scene) == ["released"] * 5


def test_arrivals_are_listed_in_short(scene: Scene, web: httpx.Client) -> None:
    """Band, outside record and pictures of all that waits, for those who decide; a larger picture on demand."""
    scene.arrive()
    assert web.get("/api/reconciliations").status_code == 401
    assert web.get("/api/reconciliations", headers=bearer("ito")).json()["arrivals"] == {}
    found = web.get("/api/reconciliations", headers=bearer("silva")).json()
    arrival = found["arrivals"][scene.task.removeprefix("Task/")]
    assert arrival["match"] == {
        "band": "probable", "title": "Probably the same person", "score": 22, "verdict": "near",
        "sentence": "Name nearly equal.",
    }  # fmt: skip
    assert [field["weight"] for field in arrival["fields"]] == [7, 14, 1, 0, 0]
    assert found["issuers"] == {"STANNA": "St. Anna"} and arrival["fields"][4]["outside"] == "STANNA"
    path = f"/api/{scene.task.replace('Task/', 'reconciliations/')}"
    assert web.get(f"{path}/images/0", headers=bearer("silva")).content.startswith(b"\x89PNG")
    assert web.get(f"{path}/images/0", headers=bearer("ito")).status_code == 404


def test_late_instances_inherit_only_for_the_same_identity(scene: Scene) -> None:
    """One more slice of the same person is released by itself; one that names somebody else waits."""
    world = scene.world
    scene.arrive()
    scene.decide("accept")
    world.work(lambda: business_status(world.read(scene.case)) == "ready-for-triage")
    scene.send_late(9)
    world.work(lambda: states(scene).count("released") == 6)
    (study,) = world.search("ImagingStudy", "weber")
    assert study["numberOfInstances"] == 6
    scene.send_late(10, PatientBirthDate="19710204")
    world.work(lambda: len(flags(scene)) == 1)
    assert sorted(states(scene)) == ["quarantined"] + ["released"] * 6


def flags(scene: Scene) -> list[str]:
    with reader(scene.world.gateway.engine).begin() as connection:
        return [item.flag for item in locate(connection, Place(scene.study), ("quarantined",)) if item.flag]


@pytest.mark.peer
def test_same_path_on_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql_url: str) -> None:
    """The gateway's index, outbox, cursor and publications on PostgreSQL: accept, then everything once more."""
    with staged(tmp_path, monkeypatch, database_url=postgresql_url) as scene:
        scene.arrive()
        scene.decide("accept")
        scene.world.work(lambda: business_status(scene.world.read(scene.case)) == "ready-for-triage")
        run_everything_again(scene)
        check_versions(scene)
        with serving(lambda base: create_app(scene.world.gateway)) as base:
            answer = httpx.get(f"{base}/dicom-web/studies", headers=bearer("weber"), trust_env=False)
        assert [item["0020000D"]["Value"][0] for item in answer.json()] == [scene.study]
        assert states(scene) == ["released"] * 5
