"""A case that asks for a study of an outside PACS, ready to be played."""

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.filereader import dcmread

from dicom_gateway.gateway import Gateway
from dicom_gateway.ingest import Incoming, Source
from tests.conftest import unused_port
from tests.dicom_gateway.conftest import know, listening, opened
from tests.dicom_gateway.objects import file_of, slice_of, write_study
from tests.dicom_gateway.world import CODES, PATIENT, World, coded, open_case, place_of, submission, world


@dataclass
class Scene:
    """The world, the study, and the references of the case."""

    world: World
    study: str
    patient: str
    case: str
    retrieval: str
    series: str
    outside: Gateway
    port: int
    request: str = ""
    task: str = ""

    def arrive(self) -> None:
        """Let the study arrive in quarantine."""
        criteria = "Task?code=reconciliation"
        self.world.work(lambda: bool(self.world.search(criteria)))
        self.task = f"Task/{self.world.search(criteria)[0]['id']}"
        self.world.work(lambda: self.world.read(self.retrieval)["status"] == "completed")

    def decide(self, decision: str, reason: str | None = None) -> None:
        """HIM staff decide."""
        output = [{"type": coded(f"{CODES}/task-output", "decision"), "valueCode": decision}]
        if reason:
            output.append({"type": coded(f"{CODES}/task-output", "reason"), "valueString": reason})
        owner = {"reference": "Practitioner/silva"}
        self.world.change("silva", self.task, status="completed", output=output, owner=owner)

    def another_case(self) -> str:
        """A further case of the same patient that asks for the same study."""
        answer = self.world.call("weber", "POST", "", submission(self.patient, self.study))
        assert answer.status_code == 200, answer.text
        return place_of(answer.json()["entry"][1])

    def another_study(self, folder: Path, series: list[int]) -> str:
        """A further study of the same patient in the outside PACS, and a case that asks for it; its UID."""
        study, files = write_study(folder, series)
        for file in files:
            self.outside.ingest.accept(Incoming.from_file(file.read_bytes(), Source()))
        self.outside.ingest.replay()
        answer = self.world.call("weber", "POST", "", submission(self.patient, study))
        assert answer.status_code == 200, answer.text
        return study

    def another_patients_case(self) -> str:
        """A case of somebody else of the same name who was born on another day, which asks for the same study."""
        number = [{**PATIENT["identifier"][0], "value": "L-2"}]
        made = self.world.call("weber", "POST", "Patient", {**PATIENT, "identifier": number, "birthDate": "1988-11-30"})
        answer = self.world.call("weber", "POST", "", submission(f"Patient/{made.json()['id']}", self.study))
        assert answer.status_code == 200, answer.text
        return place_of(answer.json()["entry"][1])

    def send_late(self, number: int, **attributes: object) -> None:
        """One more slice from the outside PACS, after the retrieval has ended."""
        file = file_of(slice_of(self.study, self.series, number, **attributes))
        self.world.gateway.ingest.accept(Incoming.from_file(file, Source(peer="outside")))

    def know_a_peer_that_is_down(self) -> None:
        """Register a peer that nobody plays."""
        know(self.world.gateway, name="down", title="Down", ae_title="DOWN", port=unused_port(), can=["find"])


@contextmanager
def staged(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Iterator[Scene]:
    """Everything up, the case open, nothing fetched yet."""
    monkeypatch.setenv("KONSIL_MASTER_KEY", base64.b64encode(os.urandom(32)).decode())
    study, files = write_study(folder / "files", [3, 2])
    with opened(folder / "outside", mode="archive", ae_title="OUTSIDE") as outside, listening(outside) as pacs:
        for file in files:
            outside.ingest.accept(Incoming.from_file(file.read_bytes(), Source()))
        outside.ingest.replay()
        with world(folder, **settings) as found, listening(found.gateway) as ours:
            know(outside, name="konsil", ae_title="KONSIL", port=ours.port, can=["store"])
            peer = {
                "name": "outside",
                "title": "St. Anna",
                "ae_title": "OUTSIDE",
                "port": pacs.port,
                "issuer": "STANNA",
            }
            know(found.gateway, **peer, can=["find", "get", "move"])
            series = str(dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)
            references = open_case(found, study)
            yield Scene(
                found,
                study,
                references["patient"],
                references["case"],
                references["retrieval"],
                series,
                outside,
                ours.port,
                references["request"],
            )
