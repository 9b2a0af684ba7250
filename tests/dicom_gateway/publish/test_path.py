"""From a retrieval Task to a released study: against a real FHIR server and a real outside PACS."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_gateway.index.query import Place, locate
from dicom_gateway.ingest import Incoming, Source
from konsil.database import reader
from tests.dicom_gateway.conftest import know, listening, opened
from tests.dicom_gateway.objects import write_study
from tests.dicom_gateway.world import CODES, World, business_status, coded, open_case, world


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[World, str]]:
    """A world with an outside PACS that holds a study of two series."""
    monkeypatch.setenv("KONSIL_MASTER_KEY", base64.b64encode(os.urandom(32)).decode())
    study, files = write_study(tmp_path / "files", [3, 2])
    with opened(tmp_path / "outside", mode="archive", ae_title="OUTSIDE") as outside, listening(outside) as pacs:
        for file in files:
            outside.ingest.accept(Incoming.from_file(file.read_bytes(), Source()))
        outside.ingest.replay()
        with world(tmp_path) as found, listening(found.gateway) as ours:
            know(outside, name="konsil", ae_title="KONSIL", port=ours.port, can=["store"])
            port = pacs.port
            know(
                found.gateway,
                name="outside",
                title="St. Anna",
                ae_title="OUTSIDE",
                port=port,
                issuer="STANNA",
                can=["find", "get", "move"],
            )
            yield found, study


def test_study_goes_from_request_to_release(scene: tuple[World, str]) -> None:
    world, study = scene
    case = open_case(world, study)
    world.work(lambda: world.read(case["retrieval"])["status"] == "completed")
    retrieval = world.read(case["retrieval"])
    print(retrieval)
    world.work(lambda: bool(world.search("Task?code=reconciliation")))
    task = world.search("Task?code=reconciliation")[0]
    print(task)
    assert business_status(world.read(case["case"])) == "reconciling"
    assert world.search("ImagingStudy", "ito") == [] == world.search("ImagingStudy", "weber")
    decided = [{"type": coded(f"{CODES}/task-output", "decision"), "valueCode": "accept"}]
    world.change(
        "silva", f"Task/{task['id']}", status="completed", output=decided, owner={"reference": "Practitioner/silva"}
    )
    world.work(lambda: business_status(world.read(case["case"])) == "ready-for-triage")
    found = world.search("ImagingStudy", "weber")
    print(found)
    with reader(world.gateway.engine).begin() as connection:
        assert len(locate(connection, Place(study))) == 5
    print(world.read(case["case"]))
    print(world.search("Provenance?target=ImagingStudy/" + found[0]["id"]))
