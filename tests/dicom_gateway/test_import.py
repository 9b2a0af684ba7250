"""Import of files from a folder."""

import random
import stat
import tracemalloc
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest
from pydicom.uid import generate_uid

from dicom_gateway.gateway import Gateway
from dicom_gateway.import_files import Limits, MediumRefused, import_medium
from dicom_gateway.index.query import Place, Query, count, locate
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway
from tests.dicom_gateway.objects import file_of, slice_of, write_study
from tests.peers import run


def test_dicom_is_kept_the_rest_passed_over_and_the_broken_named(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    folder = tmp_path / "media"
    _, written = write_study(folder, [2, 1])
    (folder / "readme.txt").write_text("not an image")
    (folder / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\xff")
    imported = import_medium(gateway.ingest, folder)
    assert imported.kept == len(written) == 3
    assert imported.passed_over == 1
    assert [name for name, _ in imported.refused] == ["broken.dcm"]
    with reader(gateway.engine).connect() as connection:
        assert count(connection, Query("IMAGE", {})) == 3
    assert import_medium(gateway.ingest, folder).kept == 3
    with reader(gateway.engine).connect() as connection:
        assert count(connection, Query("IMAGE", {})) == 3


def zipped(target: Path, files: dict[str, bytes]) -> Path:
    """A ZIP archive."""
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target


def instances(gateway: Gateway) -> int:
    with reader(gateway.engine).connect() as connection:
        return count(connection, Query("IMAGE", {}))


def test_a_zip_is_taken_without_being_unpacked_and_links_and_tricks_are_refused(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    gateway = make_gateway(mode="archive")
    _, written = write_study(tmp_path / "media", [3])
    good, *others = (path.read_bytes() for path in written)
    link = ZipInfo("link.dcm")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    medium = zipped(tmp_path / "cd.zip", {"IMAGES/1": good, "../2": others[0], "C:\\3": others[1], "readme.txt": b"-"})
    with ZipFile(medium, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    imported = import_medium(gateway.ingest, medium)
    assert (imported.kept, imported.passed_over, instances(gateway)) == (1, 1, 1)
    assert [reason for _, reason in imported.refused] == ["the name leads out of the archive"] * 2 + [
        "a link is not followed"
    ]
    with reader(gateway.engine).connect() as connection:
        (held,) = locate(connection, Place())
    assert gateway.archive.path(held.object_key).read_bytes() == good


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(entries=1), "more than 1 files"),
        (Limits(total_bytes=1 << 20), "unpacks to more than"),
        (Limits(small_bytes=1, ratio=10), "10 times its size"),
    ],
)
def test_archives_that_would_fill_the_disk_are_refused_whole(
    make_gateway: MakeGateway, tmp_path: Path, limits: Limits, said: str
) -> None:
    gateway = make_gateway(mode="archive")
    _, (path,) = write_study(tmp_path / "media", [1])
    medium = zipped(tmp_path / "bomb.zip", {"1": path.read_bytes(), "2": bytes(2 << 20)})
    with pytest.raises(MediumRefused, match=said):
        import_medium(gateway.ingest, medium, limits)
    assert instances(gateway) == 0


def test_archives_whose_files_are_parts_of_one_another_are_refused(make_gateway: MakeGateway, tmp_path: Path) -> None:
    """The central directory names one file twice: each megabyte would unpack as often as it is named."""
    gateway = make_gateway(mode="archive")
    medium = zipped(tmp_path / "bomb.zip", {"1": random.Random(1).randbytes(1 << 20)})
    with ZipFile(medium, "a") as archive:
        archive.filelist += [archive.filelist[0]] * 3
        archive._didModify = True
    with pytest.raises(MediumRefused, match="overlap"):
        import_medium(gateway.ingest, medium)


def test_a_broken_file_of_an_archive_stops_no_other(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    _, (one, two) = write_study(tmp_path / "media", [2])
    medium = tmp_path / "cd.zip"
    with ZipFile(medium, "w", ZIP_STORED) as archive:
        archive.write(one, "one")
        archive.write(two, "two")
    content = bytearray(medium.read_bytes())
    place = content.find(b"DICM") + 400
    content[place] ^= 0xFF
    medium.write_bytes(content)
    imported = import_medium(gateway.ingest, medium)
    assert (imported.kept, imported.refused) == (1, [("one", "the file cannot be read")])


def test_no_archive_and_a_single_file(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    _, (path,) = write_study(tmp_path / "media", [1])
    assert import_medium(gateway.ingest, path).kept == 1
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(MediumRefused, match="no ZIP"):
        import_medium(gateway.ingest, tmp_path / "broken.zip")


@pytest.mark.peer
@pytest.mark.spec("PS3.3 F.3")
def test_what_a_dicomdir_lists_and_the_medium_lacks_is_named(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway(mode="archive")
    _, written = write_study(tmp_path / "media", [3])
    cd = tmp_path / "cd"
    cd.mkdir()
    for number, path in enumerate(written):
        path.rename(cd / f"IM{number}")
    run(["dcmmkdir", "--invent", "--no-consistency-check", "+r", "+id", str(cd), "+D", str(cd / "DICOMDIR")])
    (cd / "IM1").unlink()
    imported = import_medium(gateway.ingest, cd)
    assert (imported.kept, imported.refused, imported.missing) == (2, [], ["IM1"])


@pytest.mark.parametrize("packed", [False, True])
def test_a_large_file_is_kept_byte_for_byte_in_little_memory(
    make_gateway: MakeGateway, tmp_path: Path, packed: bool
) -> None:
    gateway = make_gateway(mode="archive")
    uids = [str(generate_uid()) for _ in range(2)]
    content = file_of(slice_of(uids[0], uids[1], 1, Rows=4096, Columns=4096, PixelData=bytes(4096 * 4096 * 2)))
    path = tmp_path / "large.dcm"
    path.write_bytes(content)
    medium = zipped(tmp_path / "large.zip", {"large": content}) if packed else path
    tracemalloc.start()
    imported = import_medium(gateway.ingest, medium)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (imported.kept, imported.refused) == (1, []) and peak < len(content) // 2
    with reader(gateway.engine).connect() as connection:
        (held,) = locate(connection, Place())
    assert gateway.archive.path(held.object_key).read_bytes() == content
