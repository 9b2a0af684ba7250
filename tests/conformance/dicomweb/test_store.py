"""STOW-RS, clause by clause."""

import httpx
import pytest

from dicom_gateway.gateway import Gateway
from tests.dicom_gateway.web.data import put, slices

HEADERS = {
    "Content-Type": 'multipart/related; type="application/dicom"; boundary=XX',
    "Accept": "application/dicom+json",
}


def body(*files: bytes, kind: str = "application/dicom") -> bytes:
    parts = [f"--XX\r\nContent-Type: {kind}\r\n\r\n".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + b"--XX--\r\n"


@pytest.mark.spec("PS3.18 10.5.3, I.2.2")
def test_all_stored_is_200_and_they_are_there(archive: Gateway, client: httpx.Client) -> None:
    files = slices(3)
    answer = client.post("/studies", content=body(*files), headers=HEADERS)
    assert answer.status_code == 200
    kept = answer.json()["00081199"]["Value"]
    assert len(kept) == 3 and "00081198" not in answer.json()
    url = kept[0]["00081190"]["Value"][0]
    path = url.split("/dicom-web")[1]
    assert client.get(path, headers={"Accept": "application/dicom"}).content == files[0]


@pytest.mark.spec("PS3.18 10.5.3")
def test_some_stored_is_202_with_reasons(archive: Gateway, client: httpx.Client) -> None:
    answer = client.post("/studies", content=body(*slices(1), b"not DICOM at all"), headers=HEADERS)
    assert answer.status_code == 202
    assert len(answer.json()["00081199"]["Value"]) == 1
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xC000]


@pytest.mark.spec("PS3.18 10.5.1.1.1")
def test_another_study_than_the_address_names_is_409(archive: Gateway, client: httpx.Client) -> None:
    answer = client.post("/studies/1.2.3", content=body(*slices(1)), headers=HEADERS)
    assert answer.status_code == 409
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]
    assert "00081199" not in answer.json()


@pytest.mark.spec("PS3.18 10.5.3")
def test_bad_syntax_and_bad_media_types(archive: Gateway, client: httpx.Client) -> None:
    files = slices(1)
    cut = client.post("/studies", content=body(*files)[:-40], headers=HEADERS)
    assert cut.status_code == 400
    assert client.post("/studies", content=b"", headers=HEADERS).status_code == 400
    assert client.post("/studies", content=files[0], headers={"Content-Type": "application/dicom"}).status_code == 415
    assert client.post("/studies", content=body(*files, kind="text/plain"), headers=HEADERS).status_code == 415
    assert client.post("/studies", content=body(*files), headers={**HEADERS, "Accept": "text/html"}).status_code == 406
    anonymous = client.post("/studies", content=body(*files), headers={**HEADERS, "Authorization": ""})
    assert anonymous.status_code == 401


def test_storing_twice_changes_nothing(archive: Gateway, client: httpx.Client) -> None:
    files = slices(1)
    put(archive, *files)
    assert client.post("/studies", content=body(*files), headers=HEADERS).status_code == 200
    assert len(client.get("/instances").json()) == 1
