"""How fast instances are received: one sender into our listener and into others, by turns in one run on one machine.

    python -m tests.bench.dicom_receive [rounds]

Senders: DCMTK's storescu with TCP_NODELAY=1, and without it, as Debian ships it.  Receivers, each a process of its own
with its defaults: ours and Orthanc (both flush to disk before they answer), DCMTK's and pynetdicom's storescp (neither
does), and a loop that writes and flushes the same bytes without a network.  `indexed` counts until the last instance
can be found, too.  Every round measures each receiver once, a first one only warms up; medians are printed, with the
load, each sender's TCP_NODELAY and the latency of a flush, without which they say nothing.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from dicom_gateway.index.models import instance
from konsil.database import reader, sync_engine
from tests.dicom_gateway.conftest import know, opened
from tests.dicom_gateway.objects import write_study
from tests.peers import ENVIRONMENT, orthanc, running, storescp, unused_port

ROOT = Path(__file__).parents[2]
NAGLE = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}


@dataclass(frozen=True)
class Work:
    """What is sent: the side of a square slice of 16 bits, how many, over how many associations, how."""

    name: str
    side: int
    count: int
    associations: int
    nagle: bool = False


WORKS = (
    Work("39 kB", 139, 400, 1),
    Work("39 kB", 139, 400, 4),
    Work("512 x 512", 512, 120, 1),
    Work("512 x 512", 512, 120, 4),
    Work("2 MB", 1024, 60, 1),
    Work("2 MB", 1024, 60, 4),
    Work("39 kB, Nagle on", 139, 60, 1, nagle=True),
)


@dataclass(frozen=True)
class Receiver:
    """A running receiver; `indexed` waits until so many more instances can be found."""

    called: str
    port: int
    indexed: Callable[[int], None] | None = None


@contextmanager
def ours(folder: Path) -> Iterator[Receiver]:
    """`konsil dicom scp` as a process of its own."""
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
    engine = sync_engine(f"sqlite:///{folder}/index.db")

    def count() -> int:
        with reader(engine).connect() as connection:
            return connection.execute(select(func.count()).select_from(instance)).scalar_one()

    def indexed(total: int) -> None:
        while count() < total:
            time.sleep(0.005)

    with running([sys.executable, "-m", "konsil", "dicom", "scp"], port, folder / "scp.log"):
        yield Receiver("KONSIL", port, indexed)
    engine.dispose()


@contextmanager
def theirs(folder: Path) -> Iterator[Receiver]:
    """Debian's Orthanc."""
    with orthanc(folder, "STORESCU", 1) as pacs:
        yield Receiver("ORTHANC", pacs.port)


@contextmanager
def dcmtk(folder: Path) -> Iterator[Receiver]:
    """DCMTK's storescp, a process for each association."""
    with storescp(folder, "STORESCP", options=("--fork", "+xa", "--bit-preserving")) as scp:
        yield Receiver("STORESCP", scp.port)


@contextmanager
def pynetdicom(folder: Path) -> Iterator[Receiver]:
    """pynetdicom's own storescp."""
    port = unused_port()
    command = [sys.executable, "-m", "pynetdicom", "storescp", str(port), "-q", "-od", str(folder)]
    with running(command, port, folder / "storescp.log"):
        yield Receiver("STORESCP", port)


RECEIVERS: dict[str, Callable[[Path], "object"]] = {
    "konsil": ours,
    "Orthanc": theirs,
    "DCMTK storescp": dcmtk,
    "pynetdicom storescp": pynetdicom,
}


RATIOS = (
    ("konsil", "Orthanc"),
    ("konsil, indexed", "Orthanc"),
    ("konsil", "pynetdicom storescp"),
    ("konsil", "DCMTK storescp"),
    ("konsil", "write + fdatasync"),
)


def send(receiver: Receiver, parts: list[list[Path]], nagle: bool) -> float:
    """Send each part in an association of its own, all at once; the seconds until the last is done."""
    start = time.perf_counter()
    command = ["storescu", "-aec", receiver.called, "127.0.0.1", str(receiver.port)]
    environment = NAGLE if nagle else ENVIRONMENT
    senders = [subprocess.Popen([*command, *map(str, part)], env=environment) for part in parts]
    assert [sender.wait() for sender in senders] == [0] * len(parts)
    return time.perf_counter() - start


def bare(folder: Path, parts: list[list[Path]]) -> tuple[float, list[float]]:
    """Append and flush the same bytes in one thread; the seconds, and those of each flush."""
    contents = [path.read_bytes() for part in parts for path in part]
    flushes, start = [], time.perf_counter()
    with (folder / "bare").open("wb", buffering=0) as file:
        for content in contents:
            file.write(content)
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            flushes.append(time.perf_counter() - before)
    return time.perf_counter() - start, flushes


def turn(folder: Path, running_receivers: dict[str, Receiver], sent: dict[str, int]) -> dict[tuple[Work, str], float]:
    """One round: every work into every receiver, each with UIDs of its own."""
    seconds: dict[tuple[Work, str], float] = {}
    for work in WORKS:
        for name, receiver in running_receivers.items():
            with tempfile.TemporaryDirectory(dir=folder) as place:
                each = work.count // work.associations
                parts = [write_study(Path(place, str(n)), [each], side=work.side)[1] for n in range(work.associations)]
                start = time.perf_counter()
                seconds[work, name] = send(receiver, parts, work.nagle)
                sent[name] += each * work.associations
                if receiver.indexed is not None:
                    receiver.indexed(sent[name])
                    seconds[work, f"{name}, indexed"] = time.perf_counter() - start
                if name == "konsil" and not work.nagle:
                    seconds[work, "write + fdatasync"], flushes = bare(Path(place), parts)
                    seconds[work, "one fdatasync"] = statistics.median(flushes)
    return seconds


def measure(folder: Path, rounds: int) -> None:
    """Measure all by turns and print the medians."""
    found: dict[tuple[Work, str], list[float]] = defaultdict(list)
    loads = [os.getloadavg()[0]]
    with ExitStack() as stack:
        receivers: dict[str, Receiver] = {}
        for name, start in RECEIVERS.items():
            place = folder / name.replace(" ", "-")
            place.mkdir()
            receivers[name] = stack.enter_context(start(place))  # type: ignore[arg-type]
        sent: dict[str, int] = defaultdict(int)
        turn(folder, receivers, sent)
        for _ in range(rounds):
            for key, value in turn(folder, receivers, sent).items():
                found[key].append(value)
            loads.append(os.getloadavg()[0])
    print(f"rounds {rounds}, load {' '.join(f'{load:.1f}' for load in loads)} on {os.cpu_count()} cores")
    print(f"sender: storescu with TCP_NODELAY={ENVIRONMENT['TCP_NODELAY']}, but where Nagle is on without\n")
    names = ["konsil", "konsil, indexed", *[name for name in RECEIVERS if name != "konsil"], "write + fdatasync"]
    heads = [*names, "one flush, ms", *(f"{of} : {to}" for of, to in RATIOS)]
    print(f"| instances/s | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for work in WORKS:
        rates = {name: work.count / statistics.median(found[work, name]) for name in names if found[work, name]}
        flush = found[work, "one fdatasync"]
        shown = [f"{rates[name]:.0f}" if name in rates else "-" for name in names]
        shown += [f"{statistics.median(flush) * 1000:.2f}" if flush else "-"]
        shown += [ratio(found[work, of], found[work, to]) for of, to in RATIOS]
        print(f"| {work.name} by {work.associations} | {' | '.join(shown)} |")


def ratio(seconds: list[float], other: list[float]) -> str:
    """How many times as fast, in the median of the rounds."""
    if not other:
        return "-"
    return f"{statistics.median(b / a for a, b in zip(seconds, other, strict=True)):.2f}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        measure(Path(name), int(sys.argv[1]) if len(sys.argv) > 1 else 5)
