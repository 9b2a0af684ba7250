"""The index and the retrieval state on PostgreSQL as on SQLite."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from dicom_gateway.gateway import VERSION_TABLE, Gateway
from dicom_gateway.index import exchange
from dicom_gateway.index.query import Place, Query, count, find, locate
from dicom_gateway.index.upsert import set_state
from konsil.database import reader
from tests.dicom_gateway.conftest import know, listening, opened
from tests.dicom_gateway.objects import file_of, slice_of, write_study
from tests.dicom_gateway.test_ingest import put
from tests.dicom_gateway.test_retrieve import ask, work
from tests.peers import orthanc


@pytest.fixture(params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    settings: dict[str, object] = {}
    if request.param == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
    with opened(tmp_path / "gateway", **settings) as made:
        yield made


@pytest.mark.parametrize(
    ("key", "value", "hits"),
    [
        ("PatientName", "must*", 1),
        ("PatientName", "Muster^Anna", 1),
        ("PatientName", "m?ster^*", 1),
        ("PatientName", "100%*", 0),
        ("PatientID", "X-*", 1),
        ("PatientID", "X_4711", 0),
        ("PatientID", "X[-]4711", 0),
        ("PatientID", "x-*", 0),
        ("StudyDate", "20240101-20241231", 1),
        ("StudyDate", "-20231231", 0),
        ("StudyTime", "10-11", 1),
        ("ModalitiesInStudy", "CT\\MR", 1),
        ("StudyInstanceUID", "1.2.3\\9.9", 1),
        ("StudyDescription", "*che?t", 1),
        ("AccessionNumber", "A-1", 1),
    ],
)
def test_matching(gateway: Gateway, key: str, value: str, hits: int) -> None:
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 1)))
    query = Query("STUDY", {key: value}, states=("quarantined",))
    with reader(gateway.engine).connect() as connection:
        assert len(find(connection, query)) == count(connection, query) == hits
        assert find(connection, Query("STUDY", {key: value})) == []


def test_levels_counts_states_and_limits(gateway: Gateway) -> None:
    for number in range(1, 4):
        put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", number, uid=f"1.2.3.4.{number}")))
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.5", 1, uid="1.2.3.5.1", SeriesNumber=2)))
    with gateway.engine.begin() as connection:
        assert set_state(connection, ["1.2.3.4.1", "1.2.3.4.2"], "released") == 2
    with reader(gateway.engine).connect() as connection:
        hits = {level: find(connection, Query(level)) for level in ("PATIENT", "STUDY", "SERIES", "IMAGE")}
        assert {level: len(found) for level, found in hits.items()} == {
            "PATIENT": 1,
            "STUDY": 1,
            "SERIES": 1,
            "IMAGE": 2,
        }
        assert hits["STUDY"][0]["00201208"]["Value"] == [2]
        assert len(find(connection, Query("IMAGE", limit=1, offset=1))) == 1
        assert find(connection, Query("IMAGE", studies=["9.9"])) == []
        assert [item.instance_number for item in locate(connection, Place(series_instance_uid="1.2.3.4"))] == [1, 2]


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_retrieval(gateway: Gateway, tmp_path: Path) -> None:
    study, files = write_study(tmp_path / "study", [3, 2])
    with listening(gateway) as listener, orthanc(tmp_path / "pacs", "KONSIL", listener.port) as pacs:
        pacs.store(files)
        know(gateway, name="outside", ae_title="ORTHANC", port=pacs.port, can=["find", "get"])
        ask(gateway, study)
        assert work(gateway).completeness == "A"


def test_the_migrations_make_the_schema_that_the_code_has(gateway: Gateway) -> None:
    with gateway.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, exchange.metadata) == []
