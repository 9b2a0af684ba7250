"""Real DICOM peers for tests: Debian's Orthanc, and DCMTK's storescu, storescp, findscu, movescu and getscu."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

# DCMTK leaves Nagle's algorithm on: 40 ms for each instance that have nothing to do with what is tested.
ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
START_SECONDS = 20.0


def unused_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens; fails when the process has ended instead."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"{process.args!r} has ended"
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program that listens on a port; it is ended with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=ENVIRONMENT)
        try:
            wait_for_port(port, process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    ae_title: str
    port: int
    http: str
    process: "subprocess.Popen[bytes]"

    def store(self, files: Sequence[Path]) -> None:
        """Fill it, by DCMTK's storescu."""
        storescu(self.port, self.ae_title, files)

    def instances(self) -> list[str]:
        """The SOP Instance UIDs that it holds."""
        answer = httpx.get(f"{self.http}/instances?expand", timeout=30)
        return [item["MainDicomTags"]["SOPInstanceUID"] for item in answer.json()]

    def delete_instance(self, sop_instance_uid: str) -> None:
        """Take one instance away."""
        for item in httpx.get(f"{self.http}/instances?expand", timeout=30).json():
            if item["MainDicomTags"]["SOPInstanceUID"] == sop_instance_uid:
                httpx.delete(f"{self.http}/instances/{item['ID']}", timeout=30).raise_for_status()


@contextmanager
def orthanc(
    folder: Path,
    our_ae: str = "KONSIL",
    our_port: int | None = None,
    *,
    ae_title: str = "ORTHANC",
    port: int | None = None,
    options: dict[str, object] | None = None,
) -> Iterator[Orthanc]:
    """Run Debian's Orthanc with our AE registered (unless `our_port` is None): find, get and move are allowed to it.

    `options` go over its configuration.  What it holds lies below `folder` and survives a second start there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, web = port or unused_port(), unused_port()
    ours = {
        "AET": our_ae,
        "Host": "127.0.0.1",
        "Port": our_port or 1,
        "AllowEcho": True,
        "AllowFind": True,
        "AllowFindWorklist": False,
        "AllowGet": True,
        "AllowMove": True,
        "AllowStore": True,
    }
    configuration: dict[str, object] = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": ae_title,
        "DicomPort": port,
        "HttpPort": web,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {} if our_port is None else {"konsil": ours},
        "StableAge": 1,
        "Plugins": [],
        **(options or {}),
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    with running(["/usr/sbin/Orthanc", str(file)], port, folder / "orthanc.log") as process:
        try:
            wait_for_port(web, process)
            yield Orthanc(ae_title, port, f"http://127.0.0.1:{web}", process)
        finally:
            process.kill()  # it would take 3 s to end by itself


@dataclass(frozen=True)
class StoreScp:
    """A running storescp: a radiologist's PACS that only takes."""

    ae_title: str
    port: int
    folder: Path

    def files(self) -> list[Path]:
        """The files it has taken."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


@contextmanager
def storescp(
    folder: Path,
    ae_title: str = "RADPACS",
    port: int | None = None,
    options: Sequence[str] = ("+xa", "--bit-preserving"),
) -> Iterator[StoreScp]:
    """Run DCMTK's storescp; it takes every transfer syntax it knows and keeps the bytes as sent."""
    port = port or unused_port()
    taken = folder / "taken"
    taken.mkdir(parents=True, exist_ok=True)
    command = ["storescp", *options, "--aetitle", ae_title, "--output-directory", str(taken), str(port)]
    with running(command, port, folder / "storescp.log"):
        yield StoreScp(ae_title, port, taken)


def storescu(
    port: int, called: str, files: Sequence[Path], calling: str = "STORESCU", options: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Send files in one association, each in its own transfer syntax (`-xs` and the like by `options`)."""
    command = ["storescu", "-v", "-aet", calling, "-aec", called, *options, "127.0.0.1", str(port), *map(str, files)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)


def run(command: Sequence[str], *, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run one DCMTK program to its end."""
    return subprocess.run(command, check=check, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)


@contextmanager
def dcmqrscp(folder: Path, our_ae: str, our_port: int, files: Sequence[Path]) -> Iterator[int]:
    """Run DCMTK's dcmqrscp with these files in it and our AE as its destination; yields its port."""
    store, port = folder / "store", unused_port()
    store.mkdir(parents=True)
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 131072\nMaxAssociations = 16\n\nHostTable BEGIN\n"
        f"konsil = ({our_ae}, 127.0.0.1, {our_port})\nHostTable END\n\nVendorTable BEGIN\nVendorTable END\n\n"
        f"AETable BEGIN\nDCMQRSCP {store} RW (200, 1024mb) ANY\nAETable END\n"
    )
    copies = [Path(shutil.copy(path, store / path.name)) for path in files]
    run(["dcmqridx", str(store), *map(str, copies)])
    with running(["dcmqrscp", "-c", str(configuration)], port, folder / "dcmqrscp.log"):
        yield port
