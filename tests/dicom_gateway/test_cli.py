"""The commands as processes: provision, all, echo, and stopping in good order."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.dicom_gateway.objects import write_study
from tests.peers import run, storescu, unused_port, wait_for_port

pytestmark = pytest.mark.peer
ROOT = Path(__file__).parents[2]


def test_an_outside_pacs_in_one_process(tmp_path: Path) -> None:
    port, web = unused_port(), unused_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KONSIL_DICOM_MODE": "archive",
        "KONSIL_DICOM_AE_TITLE": "PACS",
        "KONSIL_DICOM_DATA_DIR": str(tmp_path / "data"),
        "KONSIL_DICOM_DATABASE_URL": f"sqlite:///{tmp_path}/data/index.db",
        "KONSIL_DICOM_DIMSE_PORT": str(port),
        "KONSIL_DICOM_PORT": str(web),
    }
    konsil = [sys.executable, "-m", "konsil", "dicom"]
    peers = [
        {"name": "konsil", "ae_title": "STORESCU", "port": unused_port()},
        {"name": "itself", "title": "The archive", "ae_title": "PACS", "our_ae_title": "STORESCU", "port": port},
    ]
    file = tmp_path / "peers.json"
    file.write_text(json.dumps({"peers": peers}))
    for _ in range(2):
        told = subprocess.run([*konsil, "provision", str(file)], env=environment, capture_output=True, check=True)
        assert told.stdout == b"2 peers\n"
    process = subprocess.Popen([*konsil, "all"], env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(web, process)
        assert httpx.get(f"http://127.0.0.1:{web}/healthz").status_code == 200
        study, files = write_study(tmp_path / "study", [2])
        storescu(port, "PACS", files)
        find = ["findscu", "-v", "-S", "-aet", "STORESCU", "-aec", "PACS", "-k", "QueryRetrieveLevel=IMAGE"]
        key, end, answers = f"StudyInstanceUID={study}", time.monotonic() + 10, 0
        while answers < 2 and time.monotonic() < end:
            told_by = run([*find, "-k", key, "-k", "SOPInstanceUID", "127.0.0.1", str(port)])
            answers = (told_by.stderr + told_by.stdout).count("Find Response: ")
        assert answers == 2
        echoed = subprocess.run([*konsil, "echo", "itself"], env=environment, capture_output=True, check=True)
        assert echoed.stdout == b"The archive answers\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        process.wait()
