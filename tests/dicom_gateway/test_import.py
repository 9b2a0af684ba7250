"""Import of files from a folder."""

from pathlib import Path

from dicom_gateway.import_files import import_folder
from dicom_gateway.index.query import Query, count
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway
from tests.dicom_gateway.objects import write_study


def test_dicom_is_kept_the_rest_passed_over_and_the_broken_named(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    folder = tmp_path / "media"
    _, written = write_study(folder, [2, 1])
    (folder / "readme.txt").write_text("not an image")
    (folder / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\xff")
    imported = import_folder(gateway.ingest, folder)
    assert imported.kept == len(written) == 3
    assert imported.passed_over == 1
    assert [path.name for path, _ in imported.refused] == ["broken.dcm"]
    with reader(gateway.engine).connect() as connection:
        assert count(connection, Query("IMAGE", {})) == 3
    assert import_folder(gateway.ingest, folder).kept == 3
    with reader(gateway.engine).connect() as connection:
        assert count(connection, Query("IMAGE", {})) == 3
