"""Released studies sent on to DCMTK's storescp."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.filereader import dcmread
from sqlalchemy import select

from dicom_gateway.index.exchange import forwarding
from konsil.database import reader
from tests.dicom_gateway.conftest import know
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.peers import storescp, unused_port


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A study that has arrived."""
    with staged(tmp_path, monkeypatch) as found:
        found.arrive()
        yield found


def records(scene: Scene) -> dict[str, str]:
    with reader(scene.world.gateway.engine).begin() as connection:
        rows = connection.execute(select(forwarding.c.peer, forwarding.c.state)).all()
    return {row.peer: row.state for row in rows}


@pytest.mark.peer
def test_accepted_study_goes_to_destinations_of_its_domain(scene: Scene, tmp_path: Path) -> None:
    """What arrives is the coerced version; a destination of another id domain gets nothing, and the record says so."""
    gateway = scene.world.gateway
    with storescp(tmp_path / "received", "READING") as destination:
        port = destination.port
        reading = {"name": "reading", "title": "Reading room", "ae_title": "READING", "port": port}
        know(gateway, **reading, can=["store"], forward=True, id_domain="LAKESIDE")
        know(gateway, name="other", ae_title="OTHER", port=port, can=["store"], forward=True, id_domain="ELSEWHERE")
        scene.decide("accept")
        scene.world.work(lambda: records(scene) == {"reading": "sent", "other": "withheld"})
        files = destination.files()
        assert {str(dcmread(path).PatientID) for path in files} == {"L-1"} and len(files) == 5


@pytest.mark.peer
def test_destination_that_is_down_gets_it_when_it_is_back(scene: Scene, tmp_path: Path) -> None:
    """Cause and remedy stand in the record meanwhile; nothing is sent twice."""
    gateway = scene.world.gateway
    port = unused_port()
    know(gateway, name="reading", ae_title="READING", port=port, can=["store"], forward=True)
    scene.decide("accept")
    scene.world.work(lambda: bool(cause(scene)))
    assert "does not answer" in cause(scene)
    with storescp(tmp_path / "received", "READING", port) as destination:
        scene.world.work(lambda: records(scene) == {"reading": "sent"})
        assert len(destination.files()) == 5


def cause(scene: Scene) -> str:
    with reader(scene.world.gateway.engine).begin() as connection:
        return connection.execute(select(forwarding.c.cause)).scalar() or ""
