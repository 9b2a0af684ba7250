"""Media that HIM staff upload for a case: piece by piece, into quarantine, to a decision."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest
from sqlalchemy import select, update

from dicom_gateway.app import create_app
from dicom_gateway.imports import uploads
from dicom_gateway.index.imports import media_import
from dicom_gateway.index.models import outbox
from dicom_gateway.index.query import Place, locate
from konsil.database import reader
from tests.dicom_gateway.objects import file_of, slice_of, write_study
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import CODES, World, business_status, coded, open_case, world
from tests.peers import run

HIM = {"Authorization": "Bearer silva"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A FHIR server with people, and a gateway."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KONSIL_MASTER_KEY", "A" * 43 + "=")
        with world(tmp_path_factory.mktemp("imports")) as found:
            yield found


@pytest.fixture(scope="module")
def web(up: World) -> Iterator[httpx.Client]:
    with (
        serving(lambda base: create_app(up.gateway)) as base,
        httpx.Client(base_url=f"{base}/api", headers=HIM, trust_env=False, timeout=30) as client,
    ):
        yield client


def upload(web: httpx.Client, case: str, files: dict[str, bytes]) -> str:
    """Announce, send and complete; the address of the import."""
    listed = [{"name": name, "size": len(content)} for name, content in files.items()]
    begun = web.post("/imports", json={"case": case, "files": listed})
    assert begun.status_code == 201, begun.text
    path = f"/imports/{begun.json()['id']}"
    for number, content in enumerate(files.values()):
        sent = web.put(f"{path}/files/{number}", content=content, headers={"Upload-Offset": "0"})
        assert sent.json() == {"received": len(content)}
    assert web.post(f"{path}/complete").status_code == 202
    return path


def result(up: World, web: httpx.Client, path: str) -> dict[str, Any]:
    up.work(lambda: web.get(path).json()["state"] in ("done", "failed"))
    found: dict[str, Any] = web.get(path).json()
    return found


@pytest.mark.peer
def test_a_cd_of_a_browser_becomes_an_arrival_of_the_case_and_its_repetition_brings_nothing(
    up: World, web: httpx.Client, tmp_path: Path
) -> None:
    study, written = write_study(tmp_path / "made", [3])
    cd = tmp_path / "cd"
    cd.mkdir()
    for number, path in enumerate(written):
        path.rename(cd / f"IM{number}")
    run(["dcmmkdir", "--invent", "--no-consistency-check", "+r", "+id", str(cd), "+D", str(cd / "DICOMDIR")])
    (cd / "IM2").unlink()
    (cd / "broken").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\xff")
    (cd / "viewer.exe").write_bytes(b"MZ")
    case = open_case(up, "1.2.3")
    files = {f"cd/{path.name}": path.read_bytes() for path in sorted(cd.iterdir())}
    path = upload(web, case["case"], files)
    found = result(up, web, path)
    assert found["state"] == "done" and found["case"] == case["case"]
    assert found["result"] == {
        **{"studies": 1, "kept": 2, "fresh": 2, "known": 0, "conflicting": 0, "passed_over": 1},
        **{"refused": [["broken", found["result"]["refused"][0][1]]], "refused_count": 1},
        **{"missing": ["IM2"], "missing_count": 1},
    }
    assert not uploads.folder_of(up.gateway, path.rsplit("/", 1)[1]).exists()
    with reader(up.gateway.engine).connect() as connection:
        assert len(locate(connection, Place(study), ("quarantined",))) == 2 and not locate(connection, Place(study))
    criteria = f"Task?code=reconciliation&part-of={case['case']}"
    up.work(lambda: bool(up.search(criteria)))
    (task,) = up.search(criteria)
    assert "Uploaded media" in json.dumps(task["input"]) and business_status(up.read(case["case"])) == "reconciling"
    (event,) = events(up, "110107")
    assert event["agent"][0]["who"]["reference"] == "Practitioner/silva"
    assert {case["case"], case["patient"]} < {each["what"].get("reference") for each in event["entity"]}
    decision = [{"type": coded(f"{CODES}/task-output", "decision"), "valueCode": "accept"}]
    owner = {"reference": "Practitioner/silva"}
    up.change("silva", f"Task/{task['id']}", status="completed", output=decision, owner=owner)
    up.work(lambda: bool(shown(up, study)))
    again = result(up, web, upload(web, case["case"], files))["result"]
    assert (again["fresh"], again["known"], again["conflicting"]) == (0, 2, 0)
    time.sleep(0.3)
    up.work(lambda: up.runner.run_due() == 0)
    assert len(up.search(criteria)) == 1  # what is ours already joins the case without another decision


def events(up: World, code: str) -> list[Any]:
    found: list[Any] = []
    up.work(lambda: bool(found.extend(up.search(f"AuditEvent?type={code}")) or found))
    return found


def shown(up: World, study: str) -> bool:
    with reader(up.gateway.engine).connect() as connection:
        return len(locate(connection, Place(study))) == 2


def test_a_lost_connection_costs_a_piece_and_a_zip_is_looked_into(up: World, web: httpx.Client, tmp_path: Path) -> None:
    study, (path, _) = write_study(tmp_path / "made", [2])
    with ZipFile(tmp_path / "cd.zip", "w") as archive:
        archive.write(path, "a/1")
    content = (tmp_path / "cd.zip").read_bytes()
    case = open_case(up, "1.2.4")
    begun = web.post("/imports", json={"case": case["case"], "files": [{"name": "cd.zip", "size": len(content)}]})
    place = f"/imports/{begun.json()['id']}"
    send = {"Upload-Offset": "0"}
    assert web.put(f"{place}/files/0", content=content[:1000], headers=send).json() == {"received": 1000}
    assert web.post(f"{place}/complete").status_code == 422  # it is not all here
    lost = web.put(f"{place}/files/0", content=content[500:], headers={"Upload-Offset": "500"})
    assert (lost.status_code, lost.json()["received"]) == (409, 1000)
    assert web.get(f"{place}/files/0").json() == {"received": 1000}
    rest = {"Upload-Offset": "1000"}
    assert web.put(f"{place}/files/0", content=content[1000:] + b"more", headers=rest).status_code == 413
    assert web.get(f"{place}/files/0").json() == {"received": 1000}
    assert web.put(f"{place}/files/0", content=content[1000:], headers=rest).json() == {"received": len(content)}
    assert web.put(f"{place}/files/1", content=b"", headers=send).status_code == 404
    assert web.post(f"{place}/complete").json()["state"] == "waiting"
    assert web.delete(place).status_code == 422  # too late
    found = result(up, web, place)
    assert (found["state"], found["result"]["fresh"]) == ("done", 1)
    bad = result(up, web, upload(web, case["case"], {"cd.zip": b"PK\x03\x04 and nothing else"}))
    assert (bad["state"], bad["result"]) == ("failed", {"problem": "This is no ZIP archive that can be read."})


def test_other_content_under_a_known_uid_is_told_and_kept_apart(up: World, web: httpx.Client) -> None:
    case = open_case(up, "1.2.5")
    one, other = (file_of(slice_of("1.2.55", "1.2.55.1", number, uid="1.2.55.1.1")) for number in (1, 2))
    assert result(up, web, upload(web, case["case"], {"1": one}))["result"]["fresh"] == 1
    again = result(up, web, upload(web, case["case"], {"1": one, "2": other}))["result"]
    assert (again["fresh"], again["known"], again["conflicting"]) == (0, 0, 1)
    with reader(up.gateway.engine).connect() as connection:
        (held,) = locate(connection, Place("1.2.55"), ("quarantined",))
    assert held.flag == "conflict" and up.gateway.archive.path(held.object_key).read_bytes() == one


def test_who_may_not_and_what_is_refused(
    up: World, web: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = open_case(up, "1.2.6")
    body = {"case": case["case"], "files": [{"name": "1", "size": 10}]}
    path = f"/imports/{web.post('/imports', json=body).json()['id']}"
    assert web.post("/imports", json=body, headers={"Authorization": ""}).status_code == 401
    for name in ("weber", "ito", "okafor", "ross"):
        other = {"Authorization": f"Bearer {name}"}
        assert web.post("/imports", json=body, headers=other).status_code == 403, name
        for method, below in [("GET", ""), ("DELETE", ""), ("PUT", "/files/0"), ("POST", "/complete")]:
            assert web.request(method, path + below, headers=other).status_code == 403
    for wrong, status in [
        ({"case": "Task/nothing"}, 404),
        ({"case": case["retrieval"]}, 404),
        ({"files": []}, 422),
        ({"files": [{"name": "1", "size": -1}]}, 400),
        ({"files": [{"name": "1", "size": 33 << 30}]}, 422),
        ({"files": [{"name": "1", "size": 1}] * 20_001}, 422),
    ]:
        assert web.post("/imports", json=body | wrong).status_code == status, wrong
    full = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)
    assert "too little room" in web.post("/imports", json=body).text
    assert web.put(f"{path}/files/0", content=b"x").status_code == 400
    assert web.delete(path).json()["state"] == "cancelled"
    assert not uploads.folder_of(up.gateway, path.rsplit("/", 1)[1]).exists()


def test_an_upload_that_nobody_goes_on_with_is_forgotten(up: World, web: httpx.Client) -> None:
    case = open_case(up, "1.2.7")
    name = web.post("/imports", json={"case": case["case"], "files": [{"name": "1", "size": 10}]}).json()["id"]
    old = {"updated_at": time.time() - 2 * uploads.UNFINISHED_SECONDS}
    job = outbox.c.dedupe_key == f"{uploads.EXPIRE}:{name}"
    with up.gateway.engine.begin() as connection:
        assert connection.execute(select(outbox.c.next_attempt_at).where(job)).scalar_one() > time.time() + 80_000
        connection.execute(update(outbox).where(job).values(next_attempt_at=0.0, not_before=0.0))
        connection.execute(update(media_import).where(media_import.c.id == name).values(old))
    up.work(lambda: web.get(f"/imports/{name}").json()["state"] == "cancelled")
