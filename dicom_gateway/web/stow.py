"""STOW-RS: store instances sent over HTTP.  PS3.18 10.5

Each part is taken in by the way of every other instance (`ingest.accept`): kept as it is, durable before the answer.
Memory holds a few megabytes of one instance at a time.  An archive opens to its token; in gateway mode each instance
has to be admitted (`web/admission.py`).
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, Protocol, cast

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway.access import TokenRefused
from dicom_gateway.errors import CannotUnderstand, IngestError
from dicom_gateway.ingest import Source
from dicom_gateway.web.admission import Admission, admission
from dicom_gateway.web.doors import Doors
from dicom_gateway.web.errors import Unauthenticated, WebError
from dicom_gateway.web.media import accepted, parse_media_type
from dicom_gateway.web.multipart import Reader
from dicom_gateway.web.stow_metadata import JSON, Described
from dicom_gateway.web.stow_parts import FilePart
from dicom_gateway.web.wado import DICOM, accepts_json

PEER = "stow"
REFERENCED_SOP, FAILED_SOP = "00081199", "00081198"
FAILURE_REASON, RETRIEVE_URL = "00081197", "00081190"


class Parts(Protocol):
    """What takes the parts of a body."""

    def open_part(self, headers: dict[str, str]) -> BinaryIO:
        """A place for the next part."""
        ...

    def close_part(self, part: BinaryIO) -> None:
        """The part has ended."""
        ...

    def end(self) -> None:
        """The body has ended."""
        ...

    def close(self) -> None:
        """Leave nothing behind."""
        ...


@dataclass
class Stored:
    """What became of the parts so far: references to what is kept, and failures with their reasons."""

    who: Admission
    study: str | None
    kept: list[dict[str, object]] = field(default_factory=list)
    failed: list[dict[str, object]] = field(default_factory=list)

    def take(self, part: FilePart) -> None:
        """Keep one instance, or note why not.  PS3.18 Table I.2-2  Raises Unauthenticated."""
        doors = self.who.doors
        with closing(part):
            try:
                receipt = part.accept(self.study)
            except TokenRefused as error:
                raise Unauthenticated from error
            except IngestError as error:
                self.fail(part.uids[:2], error)
                return
        path = f"/studies/{receipt.study_instance_uid}/series/{receipt.series_instance_uid}"
        url = f"{doors.root}{path}/instances/{receipt.sop_instance_uid}"
        self.kept.append(reference(*part.uids[:2]) | {RETRIEVE_URL: {"vr": "UR", "Value": [url]}})

    def fail(self, uids: tuple[str, ...], error: IngestError) -> None:
        """Note an instance that was not kept."""
        self.failed.append(reference(*uids) | {FAILURE_REASON: {"vr": "US", "Value": [error.status]}})

    def part(self) -> FilePart:
        """A place for one instance."""
        return FilePart(self.who.doors.gateway.ingest, self.who, Source(PEER))

    @property
    def status(self) -> Literal[200, 202, 409]:
        """All, some, none.  PS3.18 Table 10.5.3-1"""
        if not self.failed:
            return 200
        return 202 if self.kept else 409


@dataclass
class Files:
    """A body of DICOM files: each is taken in when it ends."""

    stored: Stored

    def open_part(self, headers: dict[str, str]) -> BinaryIO:
        """A place for the next file.  Raises WebError 415 for a part that is none."""
        if parse_media_type(headers.get("content-type", DICOM))[0] != DICOM:
            raise WebError(415, "Parts are application/dicom.")
        return cast(BinaryIO, self.stored.part())

    def close_part(self, part: BinaryIO) -> None:
        """Take a whole file in."""
        self.stored.take(cast(FilePart, part))

    def end(self) -> None:
        """Everything has been taken in."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class Metadata(Described):
    """A body of metadata and bulk data: taken in when all of it is here."""

    stored: Stored = field(kw_only=True)

    def close_part(self, part: BinaryIO) -> None:
        """Wait for the others."""

    def end(self) -> None:
        """Make files of what came and take them in."""
        for model in self.models():
            part = self.stored.part()
            try:
                part.write(self.file(model))
            except CannotUnderstand as error:
                self.stored.fail(uids_of(model), error)
                continue
            self.stored.take(part)


def uids_of(model: object) -> tuple[str, str]:
    """SOP Class and Instance UID of metadata that is no data set, as far as they are there."""
    found = [model.get(tag) if isinstance(model, dict) else None for tag in ("00080016", "00080018")]
    values = [each.get("Value") if isinstance(each, dict) else None for each in found]
    first, second = (str(each[0]) if isinstance(each, list) and each else "" for each in values)
    return first, second


def reference(sop_class_uid: str, sop_instance_uid: str) -> dict[str, object]:
    """The UIDs of one instance, as an item of the answer."""
    pairs = (("00081150", sop_class_uid), ("00081155", sop_instance_uid))
    return {tag: {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"} for tag, uid in pairs}


BODIES = {DICOM: Files, JSON: Metadata}


async def store(doors: Doors, request: Request) -> Response:
    """Store the parts of the body.  PS3.18 10.5.1

    Raises WebError 400 for a body that is no multipart, 406, 415; Unauthenticated, Forbidden, NotFound.
    """
    who = await run_in_threadpool(admission, doors, request)
    if not any(accepts_json(media) for media in accepted([], request.headers.getlist("accept"))):
        raise WebError(406, "The answer is application/dicom+json.")
    kind, parameters = parse_media_type(request.headers.get("content-type", ""))
    body = BODIES.get(parameters.get("type", DICOM).lower())
    if kind != "multipart/related" or body is None:
        raise WebError(415, 'The body is multipart/related of type="application/dicom" or "application/dicom+json".')
    if not parameters.get("boundary"):
        raise WebError(400, "The body names no boundary.")
    stored = Stored(who, request.path_params.get("study"))
    await receive(request, parameters["boundary"].encode(), body(stored=stored))
    if not stored.kept and not stored.failed:
        raise WebError(400, "The body holds no instance.")
    await run_in_threadpool(doors.gateway.ingest.replay)
    return Response(orjson.dumps(summary(stored)), stored.status, media_type="application/dicom+json")


async def receive(request: Request, boundary: bytes, parts: Parts) -> None:
    """Cut the body into its parts while it comes.  Raises WebError 400."""
    parser = Reader(boundary, parts.open_part, parts.close_part)
    try:
        async for piece in request.stream():
            await run_in_threadpool(parser.feed, piece)
        parser.finish()
        await run_in_threadpool(parts.end)
    finally:
        parser.close()
        parts.close()


def summary(stored: Stored) -> dict[str, object]:
    """The Store Instances Response; an empty FailedSOPSequence is left out.  PS3.18 I.2"""
    found = dict(sequences(stored))
    study_url = f"{stored.who.doors.root}/studies/{stored.study}" if stored.study else None
    return ({RETRIEVE_URL: {"vr": "UR", "Value": [study_url]}} if study_url else {}) | found


def sequences(stored: Stored) -> Iterator[tuple[str, object]]:
    """What failed and what is kept, each only if there is any."""
    for tag, items in ((FAILED_SOP, stored.failed), (REFERENCED_SOP, stored.kept)):
        if items:
            yield tag, {"vr": "SQ", "Value": items}


def routes(doors: Doors) -> list[Route]:
    """STOW-RS, to the study that the data sets name or to that of the address."""
    return [Route(path, doors.bind_async(store), methods=["POST"]) for path in ("/studies", "/studies/{study}")]
