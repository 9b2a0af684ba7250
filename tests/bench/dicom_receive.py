"""How fast instances are received: DCMTK's storescu into our listener and into Orthanc, in one run on one machine.

    python -m tests.bench.dicom_receive [instances]

Sender: storescu with TCP_NODELAY=1, so that nothing but the receivers is measured; 39 kB CT slices, by 1 and by 4
associations at once; each receiver in a process of its own with its defaults (both flush to disk before they answer).
Prints a Markdown table for docs/performance.md, with the load of the machine, without which it says nothing.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dicom_gateway.index.models import instance
from tests.dicom_gateway.conftest import know, opened
from tests.dicom_gateway.objects import write_study
from tests.peers import ENVIRONMENT, orthanc, running, unused_port

SIDE = 139  # 139 x 139 x 2 bytes: a file of 39 kB
ROOT = Path(__file__).parents[2]


@contextmanager
def ours(folder: Path) -> Iterator[int]:
    """`konsil dicom scp` as a process of its own; gives its port."""
    port = unused_port()
    with opened(folder, mode="archive") as gateway:
        know(gateway, name="sender", ae_title="STORESCU", port=104)
    os.environ.update(
        {
            "PYTHONPATH": str(ROOT),
            "KONSIL_DICOM_MODE": "archive",
            "KONSIL_DICOM_DATA_DIR": str(folder),
            "KONSIL_DICOM_DATABASE_URL": f"sqlite:///{folder}/index.db",
            "KONSIL_DICOM_DIMSE_PORT": str(port),
        }
    )
    ENVIRONMENT.update(os.environ, TCP_NODELAY="1")
    with running([sys.executable, "-m", "konsil", "dicom", "scp"], port, folder / "scp.log"):
        yield port


@contextmanager
def theirs(folder: Path) -> Iterator[int]:
    """Debian's Orthanc."""
    with orthanc(folder, "STORESCU", 1) as pacs:
        yield pacs.port


def send(port: int, called: str, parts: list[list[Path]]) -> float:
    """Send each part in an association of its own, all at once; the seconds until the last is done."""
    start = time.perf_counter()
    senders = [
        subprocess.Popen(["storescu", "-aec", called, "127.0.0.1", str(port), *map(str, part)], env=ENVIRONMENT)
        for part in parts
    ]
    assert [sender.wait() for sender in senders] == [0] * len(parts)
    return time.perf_counter() - start


def measure(folder: Path, count: int) -> None:
    """Send the same to both and print the rates."""
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| Receiver | associations | instances/s | MB/s |\n|---|---|---|---|")
    for associations in (1, 4):
        studies = [write_study(folder / f"{associations}-{n}", [count // associations], side=SIDE)[1]
                   for n in range(associations)]  # fmt: skip
        size = sum(path.stat().st_size for part in studies for path in part)
        for name, called, receiver in (("konsil", "KONSIL", ours), ("Orthanc 1.10.1", "ORTHANC", theirs)):
            with receiver(folder / f"{called}-{associations}") as port:
                seconds = send(port, called, studies)
            total = sum(map(len, studies))
            print(f"| {name} | {associations} | {total / seconds:.0f} | {size / seconds / 1e6:.1f} |", flush=True)
            if receiver is ours:
                check(folder / f"{called}-{associations}", total)
    print(f"\nload after: {os.getloadavg()[0]:.1f}")


def check(folder: Path, total: int) -> None:
    """See that everything is there."""
    with opened(folder, mode="archive") as gateway:
        gateway.ingest.replay()
        with gateway.engine.connect() as connection:
            assert len(connection.execute(instance.select()).all()) == total


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 400)
