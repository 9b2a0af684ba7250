"""The process beside the listener that takes the journal in."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import instance
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.replaying import ReplayProcess
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway
from tests.dicom_gateway.objects import file_of, slice_of


def take(gateway: Gateway, number: int) -> None:
    gateway.ingest.accept(Incoming.from_file(file_of(slice_of("1.2.3", "1.2.3.4", number, side=8)), Source()))


def indexed(gateway: Gateway) -> int:
    with reader(gateway.engine).connect() as connection:
        return connection.execute(select(func.count()).select_from(instance)).scalar_one()


def test_a_process_takes_the_journal_in_and_another_when_it_was_killed(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = make_gateway(mode="archive")
    monkeypatch.setenv("KONSIL_DICOM_DATA_DIR", str(gateway.settings.data_dir))
    monkeypatch.setenv("KONSIL_DICOM_DATABASE_URL", gateway.settings.database_url)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    replaying = ReplayProcess(gateway.settings)
    replaying.replay()
    assert replaying._process is None, "there was nothing to take in"
    take(gateway, 1)
    replaying.replay()
    assert indexed(gateway) == 1
    assert replaying._process is not None
    replaying._process.kill()
    take(gateway, 2)
    with pytest.raises(OSError, match="has ended"):
        replaying.replay()
    replaying.replay()
    assert indexed(gateway) == 2
    replaying.close()
