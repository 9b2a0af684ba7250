"""What the gateway gives out, side by side with Orthanc 1.10 and its DICOMweb plug-in, and with DCMTK's storescu.

    python -m tests.bench dicomweb

By turns, medians of BENCH_REPEATS (5): the metadata of a study of 1,000 instances; a frame of a file of 120 frames;
the 300 slices of a CT as a viewer asks for them, six at a time; a study of 1,000 instances sent to DCMTK's storescp;
QIDO-RS on an index of BENCH_INSTANCES (1,000,000) instances, ours alone.  Both archives are processes of their own and
ask nobody who may see what.
"""

import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from pydicom.uid import generate_uid

from dicom_gateway.dimse.store import send_instances
from dicom_gateway.index.query import Place, locate
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.peers import by_name
from tests.bench.viewer import PLUGIN
from tests.dicom_gateway.conftest import know, opened
from tests.dicom_gateway.objects import file_of, slice_of, write_study
from tests.peers import ENVIRONMENT, orthanc, running, storescp, unused_port

REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
INSTANCES = int(os.environ.get("BENCH_INSTANCES", "1000000"))
TOKEN = "bench"  # noqa: S105
ROOT = Path(__file__).parents[2]
BYTES = 'multipart/related; type="application/octet-stream"'
JSON = "application/dicom+json"
EACH = 50
"""Instances of a study, in two series, where the index is large."""


@dataclass(frozen=True)
class Studies:
    """What both archives hold."""

    large: str
    sliced: str
    cine: str


@contextmanager
def ours(folder: Path) -> Iterator[httpx.Client]:
    """`konsil dicom serve` over an archive."""
    port = unused_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KONSIL_DICOM_MODE": "archive",
        "KONSIL_DICOM_DATA_DIR": str(folder),
        "KONSIL_DICOM_DATABASE_URL": f"sqlite:///{folder}/index.db",
        "KONSIL_DICOM_PORT": str(port),
        "KONSIL_DICOM_BASE_URL": f"http://127.0.0.1:{port}",
        "KONSIL_DICOM_WEB_TOKEN": TOKEN,
        "KONSIL_DICOM_REQUESTS_PER_MINUTE": "0",
        "KONSIL_DICOM_ADDRESS_REQUESTS_PER_MINUTE": "0",
    }
    ENVIRONMENT.update(environment, TCP_NODELAY="1")
    with running([sys.executable, "-m", "konsil", "dicom", "serve"], port, folder / "serve.log"):
        yield client(f"http://127.0.0.1:{port}/dicom-web", {"Authorization": f"Bearer {TOKEN}"})


@contextmanager
def theirs(folder: Path, files: list[Path]) -> Iterator[httpx.Client]:
    """Orthanc, filled."""
    options = {"Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full"}}
    with orthanc(folder, options=options) as pacs:
        with httpx.Client(base_url=pacs.http, trust_env=False, timeout=120) as http:
            for path in files:
                http.post("/instances", content=path.read_bytes()).raise_for_status()
        yield client(f"{pacs.http}/dicom-web", {})


def client(base: str, headers: dict[str, str]) -> httpx.Client:
    """Six connections, as a browser has them."""
    limits = httpx.Limits(max_connections=6, max_keepalive_connections=6)
    return httpx.Client(base_url=base, headers=headers, limits=limits, trust_env=False, timeout=300)


def draw(folder: Path) -> tuple[Studies, list[Path]]:
    """1,000 small slices, 300 of 512 x 512, a loop of 120 frames."""
    large, files = write_study(folder / "large", [1000])
    study, slices = write_study(folder / "slices", [300], side=512)
    frames = np.random.default_rng(1).integers(0, 4096, (120, 512, 512), dtype=np.uint16)
    cine_study, series = generate_uid(), generate_uid()
    cine = slice_of(cine_study, series, 1, side=512, NumberOfFrames=120, PixelData=frames.tobytes())
    path = folder / "cine.dcm"
    path.write_bytes(file_of(cine))
    answer = f"/studies/{cine_study}/series/{series}/instances/{cine.SOPInstanceUID}"
    return Studies(large, study, answer), [*files, *slices, path]


def fetched(http: httpx.Client, path: str, accept: str) -> bytes:
    """The bytes of an answer."""
    return http.get(path, headers={"Accept": accept}).raise_for_status().content


def metadata(http: httpx.Client, studies: Studies) -> None:
    """A study's, whole."""
    assert fetched(http, f"/studies/{studies.large}/metadata", JSON).count(b'"00080018"') == 1000


def frame(http: httpx.Client, studies: Studies) -> None:
    """One of the loop, a different one each time."""
    number = random.randint(1, 120)  # noqa: S311
    assert len(fetched(http, f"{studies.cine}/frames/{number}", BYTES)) > 512 * 512 * 2


def slices(http: httpx.Client, studies: Studies) -> None:
    """A series as a viewer opens it: its metadata, then each frame, six at a time."""
    found = http.get(f"/studies/{studies.sliced}/metadata", headers={"Accept": JSON}).raise_for_status().json()
    uids = [(one["0020000E"]["Value"][0], one["00080018"]["Value"][0]) for one in found]
    paths = [f"/studies/{studies.sliced}/series/{series}/instances/{uid}/frames/1" for series, uid in uids]
    with ThreadPoolExecutor(6) as pool:
        sizes = list(pool.map(lambda path: len(fetched(http, path, BYTES)), paths))
    assert len(sizes) == 300
    assert min(sizes) > 512 * 512 * 2


WORK: dict[str, tuple[int, Callable[[httpx.Client, Studies], None]]] = {
    "metadata of 1,000 instances": (1, metadata),
    "a frame of a file of 120": (20, frame),
    "300 slices to the viewer": (1, slices),
}


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Milliseconds for one."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times * 1000


def told(name: str, found: dict[str, list[float]], of: str, to: str) -> str:
    """A line: medians and the ratio."""
    medians = {who: statistics.median(each) for who, each in found.items()}
    said = ", ".join(f"{who} {each:,.1f} ms" for who, each in medians.items())
    return f"{name}: {said}; {medians[to] / medians[of]:.1f} times as fast"


def flush(folder: Path) -> float:
    """Milliseconds of one flush, in the median of fifty."""
    spent = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(39_000))
            spent.append(timed(lambda: os.fdatasync(file.fileno())))
    return statistics.median(spent)


def measure() -> Iterator[str]:
    """A line for each work."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        yield f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, one fdatasync of 39 kB {flush(folder):.2f} ms"
        yield "TCP_NODELAY of the senders: konsil on, DCMTK storescu by TCP_NODELAY=1 on"
        studies, files = draw(folder / "files")
        with opened(folder / "konsil", mode="archive") as gateway:
            for path in files:
                gateway.ingest.accept(Incoming.from_file(path.read_bytes(), Source(peer="bench")))
            gateway.ingest.replay()
        archives = {
            "konsil": stack.enter_context(ours(folder / "konsil")),
            "Orthanc": stack.enter_context(theirs(folder / "orthanc", files)),
        }
        for what, (times, work) in WORK.items():
            found: dict[str, list[float]] = {who: [] for who in archives}
            for turn in range(REPEATS + 1):
                for who, http in archives.items():
                    spent = timed(lambda http=http, work=work: work(http, studies), times)  # type: ignore[misc]
                    if turn:
                        found[who].append(spent)
            yield told(what, found, "konsil", "Orthanc")
        yield sending(folder, studies, files[:1000])
        yield from at_large(folder / "million")


def sending(folder: Path, studies: Studies, files: list[Path]) -> str:
    """1,000 instances to DCMTK's storescp, which forks for each association and writes files as they come."""
    place = folder / "received"
    place.mkdir()
    found: dict[str, list[float]] = {"konsil": [], "DCMTK storescu": []}
    with (
        opened(folder / "konsil", mode="archive") as gateway,
        storescp(place, "STORESCP", options=("--fork", "+xa", "--bit-preserving", "--ignore")) as scp,
    ):
        know(gateway, name="peer", ae_title="STORESCP", port=scp.port)
        with gateway.engine.connect() as connection:
            peer = by_name(connection, "peer")
            items = locate(connection, Place(studies.large))
        assert len(items) == 1000
        command = ["storescu", "-aec", "STORESCP", "127.0.0.1", str(scp.port), *map(str, files)]
        for turn in range(REPEATS + 1):
            spent = timed(lambda: send_instances(gateway.archive, peer, items))
            theirs_spent = timed(lambda: subprocess.run(command, env=ENVIRONMENT, check=True))
            if turn:
                found["konsil"].append(spent)
                found["DCMTK storescu"].append(theirs_spent)
    return told("send 1,000 instances", found, "konsil", "DCMTK storescu")


def at_large(folder: Path) -> Iterator[str]:
    """QIDO-RS on many instances, whose rows are copies of one study's."""
    with opened(folder, mode="archive") as gateway:
        study, files = write_study(folder / "one", [EACH // 2, EACH // 2])
        for path in files:
            gateway.ingest.accept(Incoming.from_file(path.read_bytes(), Source(peer="bench")))
        gateway.ingest.replay()
    count = INSTANCES // EACH
    multiply(folder / "index.db", count)
    with ours(folder) as http:
        paths = {
            "studies of a patient id": "/studies?PatientID=X-{}",
            "studies by beginning of a name": "/studies?PatientName=Muster{}*&limit=25",
            "studies of a month, 25": "/studies?StudyDate=20200501-20200531&limit=25",
            "a study's 50 instances": f"/studies/{study}.{{}}/instances",
            "an instance of all by UID": f"/instances?StudyInstanceUID={study}.{{}}&InstanceNumber=7",
        }
        for what, path in paths.items():
            spent = []
            for _ in range(200):
                number = random.randint(1, count - 1)  # noqa: S311
                ask = path.format(number)
                spent.append(timed(lambda ask=ask: fetched(http, ask, JSON)))  # type: ignore[misc]
                assert http.get(ask).is_success
            spent.sort()
            yield f"QIDO-RS of {INSTANCES:,} instances, {what}: p50 {spent[100]:.1f} ms, p95 {spent[190]:.1f} ms"


def multiply(path: Path, count: int) -> None:
    """Copy the one study so many times: a patient, a study, two series, fifty instances with their versions each."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TEMP TABLE n (n INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO n VALUES (?)", ((n,) for n in range(1, count)))
        sizes = {"patient": 1, "study": 1, "series": 2, "instance": EACH, "version": EACH}
        changed = {
            "patient": {"patient_key": "patient_key || n", "patient_id": "'X-' || n", **_named("patient_name")},
            "study": {"patient_id": "patient_id + n", "source_patient_id": "source_patient_id + n"},
            "series": {"study_id": "study_id + n"},
            "instance": {"series_id": "series_id + n * 2", "version_id": f"version_id + n * {EACH}"},
            "version": {"instance_id": f"instance_id + n * {EACH}"},
        }
        changed["patient"] |= _named("name_alphabetic")
        changed["instance"]["study_id"] = changed["series"]["study_id"]
        changed["study"]["study_date"] = "strftime('%Y%m%d', '2014-01-01', '+' || (n % 3650) || ' days')"
        changed["study"]["study_instance_uid"] = "study_instance_uid || '.' || n"
        changed["series"]["series_instance_uid"] = "series_instance_uid || '.' || n"
        changed["instance"]["sop_instance_uid"] = "sop_instance_uid || '.' || n"
        for table, size in sizes.items():
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = [changed[table].get(name, f"id + n * {size}" if name == "id" else name) for name in names]
            sql = f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM (SELECT * FROM {table}), n"  # noqa: S608
            connection.execute(sql)
        connection.execute("ANALYZE")


def _named(column: str) -> dict[str, str]:
    return {column: f"replace(lower({column}), 'muster', 'muster' || n)"}
