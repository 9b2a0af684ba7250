"""What the tests ask a DICOMweb server with, and how they read its multipart answers."""

import email
import email.policy
import io
from dataclasses import dataclass
from email.message import EmailMessage

import httpx
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

BOUNDARY = "the-boundary-of-these-tests"
STORE = {
    "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
    "Accept": "application/dicom+json",
}
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
JSON = {"Accept": "application/dicom+json"}


def body(*files: bytes, kind: str = "application/dicom") -> bytes:
    """A multipart body to store.  PS3.18 8.6.1.2.1"""
    parts = [f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Server:
    """The server under test, by its DICOMweb root."""

    http: httpx.Client

    def get(self, path: str, header: str | None = None, **parameters: str | int) -> httpx.Response:
        """Ask for a resource below the root, or for a whole address that the server gave."""
        headers = {"Accept": header} if header else {}
        return self.http.get(path, params=parameters or None, headers=headers)

    def post(self, path: str, *files: bytes) -> httpx.Response:
        """Store files as they are."""
        return self.http.post(path, content=body(*files), headers=STORE)

    def store(self, *files: bytes) -> list[Dataset]:
        """Store files that the server has to take; gives their headers."""
        answer = self.post("/studies", *files)
        assert answer.status_code == 200, answer.text
        return [dcmread(io.BytesIO(file), stop_before_pixels=True) for file in files]

    def found(self, path: str, **parameters: str | int) -> list[dict[str, dict[str, object]]]:
        """The answers of a search; none for 204."""
        answer = self.get(path, "application/dicom+json", **parameters)
        if answer.status_code == 204:
            return []
        assert answer.status_code == 200, answer.text
        found: list[dict[str, dict[str, object]]] = answer.json()
        return found

    def metadata(self, head: Dataset) -> dict[str, dict[str, object]]:
        """The metadata of one instance."""
        (model,) = self.found(path_of(head) + "/metadata")
        return model

    def data_set(self, head: Dataset) -> Dataset:
        """One instance, as stored."""
        (part,) = parts(self.get(path_of(head), AS_STORED))
        return dcmread(io.BytesIO(payload(part)))


def path_of(ds: Dataset) -> str:
    """The path of an instance below the root."""
    return f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


def parts(answer: httpx.Response) -> list[EmailMessage]:
    """The parts of a multipart answer, by the standard library's own parser."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("multipart/related"), answer.headers["content-type"]
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP)
    assert isinstance(message, EmailMessage)
    return list(message.iter_parts())  # type: ignore[arg-type]


def payload(part: EmailMessage) -> bytes:
    """The bytes of a part."""
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def values(hits: list[dict[str, dict[str, object]]], tag: str) -> list[object]:
    """The first value of an attribute in each answer."""
    return [item[tag]["Value"][0] for item in hits]  # type: ignore[index]
