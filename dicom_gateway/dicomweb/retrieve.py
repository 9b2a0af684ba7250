"""WADO-RS as a user agent: DICOM files as they come, each in the syntax it is stored in.  PS3.18 10.4"""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import BinaryIO, Final

import httpx

from dicom_gateway.dicomweb.query import PLACES
from dicom_gateway.dicomweb.server import ABSENT, Server
from dicom_gateway.dimse.suboperations import Follow, Outcome
from dicom_gateway.errors import PeerError
from dicom_gateway.status import OUT_OF_RESOURCES_SUBOPERATIONS, SUCCESS, WARNING_SUBOPERATIONS, Cause
from dicom_gateway.web.errors import WebError
from dicom_gateway.web.media import parse_media_type
from dicom_gateway.web.multipart import Reader

DICOM: Final = "application/dicom"
ACCEPT: Final = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
PIECE: Final = 1 << 18
PARTIAL: Final = 206
OF_ONE: Final = frozenset({Cause.QUERY_FAILED, Cause.ASSOCIATION_ABORTED})


@dataclass(frozen=True, slots=True)
class Taker:
    """Where files go: `begin` gives a place for the next, `keep` takes a whole one and says whether it was kept."""

    begin: Callable[[], BinaryIO]
    keep: Callable[[BinaryIO], bool]


@dataclass
class _Counts:
    kept: int = 0
    failed: int = 0
    absent: bool = False
    cancelled: bool = False

    def outcome(self) -> Outcome:
        """The counts in the words of a C-GET, which everything after it knows.  PS3.4 C.4.3.1.4"""
        if not self.failed and not self.absent:
            return Outcome(SUCCESS, self.kept, 0, cancelled=self.cancelled)
        status = WARNING_SUBOPERATIONS if self.kept else OUT_OF_RESOURCES_SUBOPERATIONS
        return Outcome(status, self.kept, max(self.failed, 1), cancelled=self.cancelled)


def retrieve(server: Server, keys: Mapping[str, str], taker: Taker, hooks: Follow) -> Outcome:
    """Fetch a series, or the instances that `SOPInstanceUID` names, one by one.  Raises PeerError.

    What came before an answer broke off is kept; an answer that breaks off, or an error of the server, is a failure of
    what was asked for, not the end of it all: it may have met one file that it cannot read.
    """
    counts = _Counts()
    named = [uid for uid in keys.get("SOPInstanceUID", "").split("\\") if uid]
    series = {name: keys[name] for name in ("StudyInstanceUID", "SeriesInstanceUID")}
    for uids in [{"SOPInstanceUID": uid} for uid in named] or [{}]:
        if hooks.stop():
            counts.cancelled = True
            break
        path = "".join(f"/{PLACES[name]}/{uid}" for name, uid in (series | uids).items())
        try:
            _one(server, path, taker, (hooks, counts))
        except PeerError as error:
            if error.cause not in OF_ONE:
                raise
            counts.failed += 1
    return counts.outcome()


def _one(server: Server, path: str, taker: Taker, told: tuple[Follow, _Counts]) -> None:
    hooks, counts = told
    with server.open(path, ACCEPT) as answer:
        if answer.status_code in ABSENT:
            counts.failed += 1
            counts.absent = True
            return
        counts.absent |= answer.status_code == PARTIAL

        def close_part(part: BinaryIO) -> None:
            with closing(part):
                kept = taker.keep(part)
            counts.kept += kept
            counts.failed += not kept
            hooks.progress()

        try:
            with closing(_reader(answer, taker, close_part)) as reader:
                for chunk in answer.iter_bytes(PIECE):
                    reader.feed(chunk)
                    hooks.progress()
                    if hooks.stop():
                        counts.cancelled = True
                        return
                reader.finish()
        except WebError as error:
            raise PeerError(Cause.ASSOCIATION_ABORTED, str(error)) from error


def _reader(answer: httpx.Response, taker: Taker, close_part: Callable[[BinaryIO], None]) -> "Reader | _Single":
    """What cuts the answer into files: many in a multipart body, or the one that it is.  Raises PeerError."""
    media, parameters = parse_media_type(answer.headers.get("content-type", ""))
    if media == "multipart/related" and parameters.get("boundary"):
        return Reader(parameters["boundary"].encode("latin-1"), lambda _: taker.begin(), close_part)
    if media == DICOM:
        return _Single(taker.begin(), close_part)
    raise PeerError(Cause.QUERY_FAILED, f"the answer is {media or 'of no type'}")


@dataclass
class _Single:
    """A body that is one file."""

    part: BinaryIO
    close_part: Callable[[BinaryIO], None]

    def feed(self, data: bytes) -> None:
        self.part.write(data)

    def finish(self) -> None:
        self.close_part(self.part)

    def close(self) -> None:
        with suppress(OSError):
            self.part.close()
