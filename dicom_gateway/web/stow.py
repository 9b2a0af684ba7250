"""STOW-RS: store instances sent over HTTP.  PS3.18 10.5

Each part is taken in by the way of every other instance (`ingest.accept`): kept as it is, durable before the answer.
A part lies in a temporary file while it arrives, so that memory holds one instance at a time.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, cast

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway.errors import DataSetMismatch, IngestError
from dicom_gateway.ingest import Incoming, Source, check
from dicom_gateway.part10 import read_meta
from dicom_gateway.web.doors import Doors, static_grant
from dicom_gateway.web.errors import WebError
from dicom_gateway.web.media import accepted, parse_media_type
from dicom_gateway.web.multipart import Reader
from dicom_gateway.web.wado import accepts_json

MEMORY_BYTES = 1 << 20
REFERENCED_SOP, FAILED_SOP = "00081199", "00081198"
FAILURE_REASON, RETRIEVE_URL = "00081197", "00081190"


@dataclass
class Stored:
    """What became of the parts so far: references to what is kept, and failures with their reasons."""

    doors: Doors
    study: str | None
    kept: list[dict[str, object]] = field(default_factory=list)
    failed: list[dict[str, object]] = field(default_factory=list)

    def open_part(self, headers: dict[str, str]) -> BinaryIO:
        """A place for the next part.  Raises WebError 415 for one that is no DICOM."""
        kind = parse_media_type(headers.get("content-type", "application/dicom"))[0]
        if kind != "application/dicom":
            raise WebError(415, "Parts are application/dicom.")
        return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES))

    def close_part(self, part: BinaryIO) -> None:
        """Take a whole part in."""
        with part:
            part.seek(0)
            self.take(part.read())

    def take(self, file: bytes) -> None:
        """Keep one instance, or note why not.  PS3.18 Table I.2-2"""
        uids = ("", "")
        try:
            meta = read_meta(file)
            uids = (meta.sop_class_uid, meta.sop_instance_uid)
            incoming = Incoming.from_file(file, Source(peer="stow"))
            if self.study is not None:
                self.check_study(incoming)
            receipt = self.doors.gateway.ingest.accept(incoming)
        except IngestError as error:
            self.failed.append(reference(*uids) | {FAILURE_REASON: {"vr": "US", "Value": [error.status]}})
            return
        path = f"/studies/{receipt.study_instance_uid}/series/{receipt.series_instance_uid}"
        url = f"{self.doors.root}{path}/instances/{receipt.sop_instance_uid}"
        self.kept.append(reference(*uids) | {RETRIEVE_URL: {"vr": "UR", "Value": [url]}})

    def check_study(self, incoming: Incoming) -> None:
        """An instance of another study than the address names is refused.  PS3.18 10.5.1.1.1"""
        if check(incoming).study_instance_uid != self.study:
            raise DataSetMismatch("the instance is of another study")

    @property
    def status(self) -> Literal[200, 202, 409]:
        """All, some, none.  PS3.18 Table 10.5.3-1"""
        if not self.failed:
            return 200
        return 202 if self.kept else 409


def reference(sop_class_uid: str, sop_instance_uid: str) -> dict[str, object]:
    """The UIDs of one instance, as an item of the answer."""
    pairs = (("00081150", sop_class_uid), ("00081155", sop_instance_uid))
    return {tag: {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"} for tag, uid in pairs}


async def store(doors: Doors, request: Request) -> Response:
    """Store the parts of the body.  PS3.18 10.5.1

    Raises WebError 400 for a body that is no multipart, 406, 415; Unauthenticated.
    """
    static_grant(doors, request)
    if not any(accepts_json(media) for media in accepted([], request.headers.getlist("accept"))):
        raise WebError(406, "The answer is application/dicom+json.")
    kind, parameters = parse_media_type(request.headers.get("content-type", ""))
    if kind != "multipart/related" or parameters.get("type", "application/dicom").lower() != "application/dicom":
        raise WebError(415, 'The body is multipart/related; type="application/dicom".')
    if not parameters.get("boundary"):
        raise WebError(400, "The body names no boundary.")
    stored = Stored(doors, request.path_params.get("study"))
    parser = Reader(parameters["boundary"].encode(), stored.open_part, stored.close_part)
    try:
        async for piece in request.stream():
            await run_in_threadpool(parser.feed, piece)
        parser.finish()
    finally:
        parser.close()
    if not stored.kept and not stored.failed:
        raise WebError(400, "The body holds no instance.")
    await run_in_threadpool(doors.gateway.ingest.replay)
    return Response(orjson.dumps(summary(stored)), stored.status, media_type="application/dicom+json")


def summary(stored: Stored) -> dict[str, object]:
    """The Store Instances Response; an empty FailedSOPSequence is left out.  PS3.18 I.2"""
    found = dict(sequences(stored))
    study_url = f"{stored.doors.root}/studies/{stored.study}" if stored.study else None
    return ({RETRIEVE_URL: {"vr": "UR", "Value": [study_url]}} if study_url else {}) | found


def sequences(stored: Stored) -> Iterator[tuple[str, object]]:
    """What failed and what is kept, each only if there is any."""
    for tag, items in ((FAILED_SOP, stored.failed), (REFERENCED_SOP, stored.kept)):
        if items:
            yield tag, {"vr": "SQ", "Value": items}


def routes(doors: Doors) -> list[Route]:
    """STOW-RS for an archive; a gateway takes instances for cases only, which is another door's work."""
    if doors.access is not None:
        return []
    return [Route(path, doors.bind_async(store), methods=["POST"]) for path in ("/studies", "/studies/{study}")]
