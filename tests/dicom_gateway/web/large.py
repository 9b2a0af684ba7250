"""A multi-frame object of any size, made while it is sent, stored by STOW-RS and read back piece by piece."""

import hashlib
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import httpx
from pydicom.filereader import dcmread

from dicom_gateway.app import create_app
from dicom_gateway.gateway import open_gateway
from tests.conformance.dicomweb.client import AS_STORED, BOUNDARY, STORE, path_of
from tests.dicom_gateway.web.conftest import TOKEN, settings_for
from tests.dicom_gateway.web.data import part10, slices
from tests.dicom_gateway.web.serving import serving
from tests.memory import peak

ROWS = 512
FRAME = ROWS * ROWS * 2
PIECE = bytes(range(256)) * 4096


def head_of(size: int) -> bytes:
    """A file up to its pixels, which are to be as long as some whole number of frames."""
    ds = dcmread(io.BytesIO(slices(1)[0]))
    ds.Rows = ds.Columns = ROWS
    ds.NumberOfFrames = size // FRAME
    ds.PixelData = b""
    return part10(ds)[:-4] + (size // FRAME * FRAME).to_bytes(4, "little")


def pixels(size: int) -> Iterator[bytes]:
    """The pixels, piece by piece."""
    left = size // FRAME * FRAME
    while left:
        yield PIECE[: min(left, len(PIECE))]
        left -= min(left, len(PIECE))


def store_and_retrieve(folder: Path, size: int) -> int:
    """Store, read back, compare; gives the most memory that this process had, in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    gateway = open_gateway(settings_for(folder, mode="archive", web_token=TOKEN))
    head = head_of(size)
    sent, come = hashlib.sha256(), hashlib.sha256()

    def body() -> Iterator[bytes]:
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        for piece in chain([head], pixels(size)):
            sent.update(piece)
            yield piece
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    with serving(lambda base: create_app(gateway)) as base:
        client = httpx.Client(base_url=f"{base}/dicom-web", timeout=280, trust_env=False)
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        answer = client.post("/studies", content=body(), headers=STORE)
        assert answer.status_code == 200, answer.text
        path = path_of(dcmread(io.BytesIO(head), stop_before_pixels=True))
        single = AS_STORED.replace('multipart/related; type="application/dicom"', "application/dicom")
        with client.stream("GET", path, headers={"Accept": single}) as got:
            assert got.status_code == 200
            for piece in got.iter_bytes(1 << 20):
                come.update(piece)
        last = client.get(f"{path}/frames/{size // FRAME}", headers={"Accept": "application/octet-stream"})
        assert last.status_code == 200 and len(last.content) == FRAME
    assert sent.digest() == come.digest()
    gateway.ingest.close()
    return peak()
