"""The watched folder: complete media only, each once, moved away with a report."""

import json
from pathlib import Path

import pytest

from dicom_gateway.gateway import Gateway
from dicom_gateway.imports import watch
from dicom_gateway.imports.watch import Watcher, WatchThread
from tests.dicom_gateway.conftest import MakeGateway
from tests.dicom_gateway.objects import write_study
from tests.dicom_gateway.test_import import instances, zipped
from tests.dicom_gateway.test_upper_layer import until


def reports(folder: Path) -> dict[str, dict[str, object]]:
    return {path.name.split("-", 1)[1]: json.loads(path.read_text()) for path in folder.glob("*.report.json")}


def made(make_gateway: MakeGateway, folder: Path) -> Gateway:
    folder.mkdir()
    return make_gateway(mode="archive", watch_folder=folder)


def test_media_are_taken_when_they_no_longer_change(make_gateway: MakeGateway, tmp_path: Path) -> None:
    folder, now = tmp_path / "watched", [0.0]
    gateway = made(make_gateway, folder)
    watcher = Watcher(gateway, lambda: now[0])
    study, files = write_study(tmp_path / "made", [4])
    cd = folder / "cd"
    cd.mkdir()
    files[0].rename(cd / "1")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 and nothing else")
    (folder / ".copying").write_bytes(b"")
    (folder / "link").symlink_to(files[1])
    assert watcher.look() == 0  # seen for the first time
    now[0] = 8
    files[1].rename(cd / "2")  # one more comes
    zipped(folder / "cd.zip", {"1": files[2].read_bytes(), "2": b"no DICOM"})
    assert watcher.look() == 0
    now[0] = 12
    assert watcher.look() == 1  # the broken archive
    now[0] = 19
    assert watcher.look() == 2 and instances(gateway) == 3
    now[0] = 60
    assert watcher.look() == 0
    assert {path.name for path in folder.iterdir()} == {".copying", "link", "done", "failed"}
    done, failed = reports(folder / "done"), reports(folder / "failed")
    assert done["cd.report.json"]["studies"] == {study: 2} and done["cd.zip.report.json"]["no_dicom"] == 1
    assert failed["broken.zip.report.json"]["problem"] == "This is no ZIP archive that can be read."
    assert len(list((folder / "done").glob("*-cd/[12]"))) == 2


def test_two_processes_take_a_medium_once_and_a_thread_does_it_by_itself(
    make_gateway: MakeGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    folder = tmp_path / "watched"
    gateway = made(make_gateway, folder)
    write_study(folder / "stick", [1])
    threads = [WatchThread(gateway) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: len(reports(folder / "done")) == 1)
    for thread in threads:
        thread.stop()
        thread.join(10)
    assert instances(gateway) == 1 and len(list((folder / "done").iterdir())) == 2
