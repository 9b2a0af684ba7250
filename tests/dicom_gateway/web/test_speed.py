"""What a reader waits for: the metadata of a study of 300 slices."""

import time

import httpx

from dicom_gateway.gateway import Gateway
from tests.dicom_gateway.web.data import put, slices


def test_metadata_of_300_slices_comes_within_a_second(archive: Gateway, client: httpx.Client) -> None:
    """Also for the first reader: headers are read once, afterwards it is one SQL statement."""
    head = put(archive, *slices(300))[0]
    url = f"/studies/{head.StudyInstanceUID}/metadata"
    first = timed(client, url)
    again = min(timed(client, url) for _ in range(3))
    assert len(client.get(url).json()) == 300
    assert again < 1 and first < 5, f"{first:.2f} s, then {again:.2f} s"


def timed(client: httpx.Client, url: str) -> float:
    start = time.perf_counter()
    assert client.get(url).status_code == 200
    return time.perf_counter() - start
