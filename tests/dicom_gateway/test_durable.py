"""What is promised is on disk before it is promised: seen from the kernel's side.  PS3.4 B.2.2"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dicom_gateway import reception
from tests.dicom_gateway.conftest import know, opened
from tests.dicom_gateway.objects import write_study
from tests.dicom_gateway.raw_peer import CT, RawPeer, command, pdu, pdv
from tests.memory import peak
from tests.peers import storescu, unused_port, wait_for_port

ROOT = Path(__file__).parents[2]
# The number of a DIMSE answer (PS3.8 9.3.5): a P-DATA-TF with a C-STORE-RSP, as strace prints it.
ANSWER = re.compile(r'sendto\(\d+<TCP:\[[^]]*\]>, "\\4\\0')
WRITE = re.compile(r"write\(\d+<(\S+?/(?:journal|incoming)/[^>]+)>")
SYNC = re.compile(r"(?:fdatasync|fsync)\(\d+<([^>]+)>")
SYNCED = re.compile(r"<\.\.\. f(?:data)?sync resumed")


@contextmanager
def listener(folder: Path, *before: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """`konsil dicom scp` as a process of its own, perhaps under another program; its port."""
    port = unused_port()
    with opened(folder, mode="archive") as gateway:
        know(gateway, name="sender", ae_title="SENDER")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KONSIL_DICOM_MODE": "archive",
        "KONSIL_DICOM_DATA_DIR": str(folder),
        "KONSIL_DICOM_DATABASE_URL": f"sqlite:///{folder}/index.db",
        "KONSIL_DICOM_DIMSE_PORT": str(port),
    }
    command = [*before, sys.executable, "-m", "konsil", "dicom", "scp"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.peer
@pytest.mark.spec("PS3.4 B.2.2")
def test_every_answer_comes_after_its_data_has_been_flushed(tmp_path: Path) -> None:
    """One association: between a write to the journal and the next answer there is a flush that has ended."""
    _, small = write_study(tmp_path / "small", [5])
    _, large = write_study(tmp_path / "large", [1], side=1600)
    assert large[0].stat().st_size > reception.LARGE_BYTES
    trace = tmp_path / "trace"
    calls = "--trace=write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync,link,linkat"
    strace = ("strace", "-D", "-f", "-y", "-yy", "-s", "8", "-o", str(trace), calls)
    with listener(tmp_path / "gateway", *strace) as (port, process):
        storescu(port, "KONSIL", [*small, *large], calling="SENDER")
    end = time.monotonic() + 20
    ended = re.compile(rf"^{process.pid} +\+\+\+ ", re.MULTILINE)  # strace fills a short number up with blanks
    while not ended.search(trace.read_text(encoding="utf-8", errors="replace")):
        assert time.monotonic() < end, "strace, no child of ours, writes the rest when the listener has ended"
        time.sleep(0.02)
    flushed, answers, unflushed = 0, 0, set[str]()
    for line in serving(trace):
        if written := WRITE.search(line):
            unflushed.add(written[1])
        elif (synced := SYNC.search(line)) and "= 0" in line:
            unflushed.discard(synced[1])
            flushed += 1
        elif ANSWER.search(line):
            answers += 1
            assert not unflushed, f"answer {answers} before its data was flushed"
    assert (answers, flushed >= 6 + 2) == (6, True)


def serving(trace: Path) -> list[str]:
    """The calls of the one thread that answers, each on a line of its own, in their order."""
    lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    threads = {line.split()[0] for line in lines if ANSWER.search(line)}
    assert len(threads) == 1
    begun, whole = "", []
    for line in (line for line in lines if line.split()[0] in threads):
        if "<unfinished ...>" in line:
            begun = line.split("<unfinished ...>")[0]
        elif "resumed>" in line:
            whole.append(begun + line.split("resumed>")[1])
        else:
            whole.append(line)
    return whole


@pytest.mark.full
@pytest.mark.timeout(900)
def test_four_gigabytes_pass_in_flat_memory(tmp_path: Path) -> None:
    _, (path,) = write_study(tmp_path / "study", [1], side=1024)
    file = path.read_bytes()
    head = file[file.index(b"\x08\x00\x16\x00") : file.index(b"\xe0\x7f\x10\x00")]
    uid = re.search(rb"\x08\x00\x18\x00UI..([0-9.]+)", head, re.DOTALL)
    assert uid is not None
    size = 4_000_000_000
    pixels = b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")
    with listener(tmp_path / "gateway") as (port, process), RawPeer(port, 300) as peer:
        before = peak(process.pid)
        peer.associate()
        asked = command(1, data=True, sop_class=CT, instance=uid[1].decode())
        peer.socket.sendall(pdu(4, pdv(3, 3, asked)) + pdu(4, pdv(3, 0, head + pixels)))
        chunk = pdu(4, pdv(3, 0, bytes(200_000)))
        for _ in range(size // 200_000):
            peer.socket.sendall(chunk)
        assert peer.status(pdu(4, pdv(3, 2, b""))) == (0, "")
        assert peak(process.pid) - before < 64_000_000
    with opened(tmp_path / "gateway", mode="archive") as gateway:
        gateway.ingest.replay()
        (kept,) = (gateway.archive.root / "objects").rglob("*.dcm")
        assert kept.stat().st_size > size
