"""Fetching the series of a study: by WADO-RS or C-GET where the peer can, else C-MOVE; failures are narrowed down.

Whatever a call brings is in the journal before the peer hears success; so any call may be killed and made again.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from pydicom.dataset import Dataset
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway.dicomweb.retrieve import Taker, retrieve
from dicom_gateway.dicomweb.server import connected
from dicom_gateway.dimse.find import identifier
from dicom_gateway.dimse.get import GetRequest, Message, get
from dicom_gateway.dimse.move import MoveRequest, move
from dicom_gateway.dimse.suboperations import Follow, Outcome
from dicom_gateway.errors import IngestError, OutOfResources, PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.peers import Peer, note
from dicom_gateway.retrieval import judge, state
from dicom_gateway.retrieval.pace import Pace
from dicom_gateway.retrieval.state import Expected, Retrieval
from dicom_gateway.status import SUCCESS, WARNING_SUBOPERATIONS, Cause
from dicom_gateway.web.stow_parts import FilePart
from konsil.database import reader
from konsil.outbox import LeaseLost

logger = logging.getLogger(__name__)

LIST_AT_MOST = 100
LIST_WHEN_SLOW = 10
"""C-MOVE cannot be slowed down, only asked for less at a time."""
TICK_SECONDS = 0.9
ANY_IMAGE = (  # SOP classes proposed when the peer does not list any
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.6.1",
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.7",
)


class Stopped(Exception):
    """The retrieval was cancelled while it ran."""


@dataclass
class Ticker:
    """Tells the world once a second how far a retrieval is, keeps its lease, and notices when it is to stop."""

    gateway: Gateway
    row: Retrieval
    renew: Callable[[], None]
    cancelled: bool = False
    lost: LeaseLost | None = None
    _last: float = field(default_factory=time.monotonic)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def progress(self) -> None:
        """Called with every sign of life and each second of silence; never raises, whoever calls could not help it."""
        if time.monotonic() - self._last < TICK_SECONDS or self.lost is not None:
            return
        if self._busy.acquire(blocking=False):
            try:
                self._tick()
            finally:
                self._busy.release()

    def _tick(self) -> None:
        try:
            self.renew()
            self.update()
        except LeaseLost as error:
            self.lost = error
        except (OSError, SQLAlchemyError):
            logger.exception("progress of a retrieval could not be written")
        self._last = time.monotonic()

    def update(self) -> None:
        """Take in what came, and write how much that makes."""
        self.gateway.ingest.replay()
        with self.gateway.engine.begin() as connection:
            row = state.load(connection, self.row.task_id)
            received = state.count_received(connection, row)
            if received != row.received:
                state.change(connection, row.task_id, received=received)
        self.cancelled = row.cancel_requested

    def stop(self) -> bool:
        """Whether the peer should be told to stop."""
        return self.cancelled or self.lost is not None

    def check(self) -> None:
        """Raise what stopped us: LeaseLost, Stopped."""
        if self.lost is not None:
            raise self.lost
        if self.cancelled:
            raise Stopped


@dataclass
class Fetch:
    """The fetching of one retrieval from one peer."""

    gateway: Gateway
    peer: Peer
    row: Retrieval
    ticker: Ticker
    cause: Cause | None = None
    counters: bool | None = None
    storage_full: bool = False
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """As fast as the peer's entry says."""
        self.pace = Pace(self.peer.kilobytes_per_second)

    @property
    def method(self) -> str:
        """WADO-RS where the peer has DICOMweb, else C-GET where it offers it and has not refused it, else C-MOVE.

        Raises PeerError.
        """
        if self.peer.dicomweb is not None:
            return "wado"
        if "get" in self.peer.can and not self.peer.capabilities.get("get_refused"):
            return "get"
        if "move" in self.peer.can:
            return "move"
        raise PeerError(Cause.CONTEXTS_REFUSED, "neither C-GET nor C-MOVE")

    def series(self, uid: str) -> None:
        """Bring one series: what is not here yet, whole at first.  Raises PeerError, LeaseLost, Stopped."""
        wanted = self._missing(uid)
        announced = self.row.listing == "instances"
        if announced and not wanted:
            return
        slowly = announced and bool(self.peer.kilobytes_per_second) and self.method == "move"
        partly = announced and self._held_of(uid) > 0
        if partly or slowly:
            self._lists(uid, wanted)
            return
        self._call("SERIES", {"SeriesInstanceUID": uid}, wanted)
        if announced and (left := self._missing(uid)):
            self._lists(uid, left)

    def _lists(self, series_uid: str, wanted: Sequence[Expected]) -> None:
        if self.method == "wado":  # one by one already
            uids = "\\".join(item.sop_instance_uid for item in wanted)
            self._call("IMAGE", {"SeriesInstanceUID": series_uid, "SOPInstanceUID": uids}, wanted)
            return
        size = LIST_WHEN_SLOW if self.peer.kilobytes_per_second else LIST_AT_MOST
        for start in range(0, len(wanted), size):
            self._narrow(series_uid, wanted[start : start + size])

    def _narrow(self, series_uid: str, wanted: Sequence[Expected]) -> None:
        """Ask for instances by UID; as long as some fail and none come, ask for each half on its own."""
        uids = "\\".join(item.sop_instance_uid for item in wanted)
        self._call("IMAGE", {"SeriesInstanceUID": series_uid, "SOPInstanceUID": uids}, wanted)
        asked = {item.sop_instance_uid for item in wanted}
        left = [item for item in self._missing(series_uid) if item.sop_instance_uid in asked]
        if not left or len(wanted) == 1:
            return
        if len(left) < len(wanted):
            self._narrow(series_uid, left)
            return
        half = len(left) // 2
        self._narrow(series_uid, left[:half])
        self._narrow(series_uid, left[half:])

    def _call(self, level: str, keys: dict[str, str], wanted: Sequence[Expected]) -> None:
        """Make one C-GET or C-MOVE and take in what it brought."""
        self.ticker.renew()
        keys = {"StudyInstanceUID": self.row.study_instance_uid, **keys}
        hooks = Follow(self.ticker.stop, self.ticker.progress)
        self.pace.begin()
        if self.method == "wado":
            outcome = self._wado(keys, hooks)
        else:
            query = identifier(level, keys, self.peer.charset)
            outcome = self._get(query, wanted, hooks) if self.method == "get" else self._move(query, wanted, hooks)
        self.ticker.update()
        self.ticker.check()
        self.pace.settle(self._alive)
        if self.storage_full:
            raise PeerError(Cause.STORAGE_FULL)
        proven = outcome.status in {SUCCESS, WARNING_SUBOPERATIONS} and outcome.completed is not None
        self.counters = proven and not outcome.failed and self.counters is not False

    def _alive(self) -> None:
        """Keep the lease while nothing is fetched.  Raises LeaseLost, Stopped."""
        self.ticker.renew()
        self.ticker.update()
        self.ticker.check()

    def _wado(self, keys: dict[str, str], hooks: Follow) -> Outcome:
        """Fetch by HTTP; each file is kept, durably, before the next is read."""

        def begin() -> BinaryIO:
            return cast(BinaryIO, FilePart(self.gateway.ingest, None, self._source()))

        def keep(part: BinaryIO) -> bool:
            try:
                cast(FilePart, part).accept(self.row.study_instance_uid)
            except OutOfResources:
                self.storage_full = True
                return False
            except IngestError as error:
                logger.warning("WADO-RS brought what cannot be kept: %s", error, extra={"peer": self.peer.name})
                return False
            self.pace.took(cast(FilePart, part).size)
            self.pace.hold()
            return True

        with connected(self.peer, self._silence) as server:
            outcome = retrieve(server, keys, Taker(begin, keep), hooks)
        if outcome.status != SUCCESS:
            self.cause = Cause.INSTANCES_FAILED
        return outcome

    def _source(self) -> Source:
        return Source(self.peer.name, self.peer.ae_title, self.peer.host, self.row.task_id)

    def _get(self, query: Dataset, wanted: Sequence[Expected], hooks: Follow) -> Outcome:
        classes = sorted({item.sop_class_uid for item in wanted if item.sop_class_uid}) or list(ANY_IMAGE)
        request = GetRequest(query, classes, self._keep, self._silence)
        try:
            outcome = get(self.peer, request, hooks)
        except PeerError as error:
            if error.cause != Cause.CONTEXTS_REFUSED or "move" not in self.peer.can:
                raise
            note(self.gateway.engine, self.peer.name, True, get_refused=True)
            self.peer.capabilities["get_refused"] = True
            return self._move(query, wanted, hooks)
        if outcome.status != SUCCESS:
            self.cause = judge.cause_of_get(outcome)
        return outcome

    def _move(self, query: Dataset, wanted: Sequence[Expected], hooks: Follow) -> Outcome:
        before, moment = self._arrived(), time.time()
        outcome = self._move_once(query, wanted, hooks)
        if self._arrived() > before:
            if outcome.status != SUCCESS:
                self.cause = Cause.INSTANCES_FAILED
            return outcome
        self.cause = judge.cause_of_move(outcome, self._associations(moment))
        if self.cause == Cause.UNKNOWN_DESTINATION and (before or self._one_arrives(wanted, hooks)):
            self.cause = Cause.INSTANCES_FAILED
        if self.cause in {Cause.UNKNOWN_DESTINATION, Cause.WE_REJECTED}:
            raise PeerError(self.cause, outcome.comment)
        return outcome

    def _one_arrives(self, wanted: Sequence[Expected], hooks: Follow) -> bool:
        """Try the first and the last instance alone: a peer may stop at one that it cannot read, before it connects."""
        for item in (wanted[0], wanted[-1]) if len(wanted) > 1 else ():
            keys = {
                "StudyInstanceUID": self.row.study_instance_uid,
                "SeriesInstanceUID": item.series_instance_uid,
                "SOPInstanceUID": item.sop_instance_uid,
            }
            self._move_once(identifier("IMAGE", keys, self.peer.charset), [item], hooks)
            if self._arrived():
                return True
        return False

    def _move_once(self, query: Dataset, wanted: Sequence[Expected], hooks: Follow) -> Outcome:
        before, held = self._arrived(), self._bytes()
        outcome = move(self.peer, MoveRequest(query, self._seen, self._silence), hooks)
        if not outcome.cancelled:
            self._settle(wanted, outcome, before)
        self.pace.took(self._bytes() - held)
        return outcome

    def _settle(self, wanted: Sequence[Expected], outcome: Outcome, before: int) -> None:
        """Wait for what the peer says it has sent, but may still be on its way on other associations."""
        end = time.monotonic() + self.gateway.settings.settle_seconds
        target = min(len(wanted) or (outcome.completed or 0), outcome.completed or 0)
        while self._arrived() - before < target and time.monotonic() < end:
            time.sleep(0.1)

    def _keep(self, message: Message) -> int:
        """Keep what a C-GET brings.  PS3.4 B.2.2"""
        uids = (message.sop_class_uid, message.sop_instance_uid, message.transfer_syntax_uid)
        try:
            self.gateway.ingest.accept(Incoming.from_message(uids, message.data_set, self._source()))
        except OutOfResources as error:
            self.storage_full = True
            return error.status
        except IngestError as error:
            logger.warning("C-GET brought what cannot be kept: %s", error, extra={"peer": self.peer.name})
            return error.status
        self.pace.took(len(message.data_set))
        self.pace.hold()
        return SUCCESS

    @property
    def _silence(self) -> float:
        return self.gateway.settings.move_watchdog_seconds

    def _arrived(self) -> int:
        self.gateway.ingest.replay()
        with self._read() as connection:
            return state.count_received(connection, self.row)

    def _bytes(self) -> int:
        """How much has come for this retrieval; not looked for where it does not matter."""
        if not self.peer.kilobytes_per_second:
            return 0
        with self._read() as connection:
            return state.bytes_received(connection, self.row.task_id)

    def _seen(self) -> int:
        """The same for the watchdog, which must not end because the database was busy."""
        try:
            return self._arrived()
        except (OSError, SQLAlchemyError):
            return -1

    def _missing(self, series_uid: str) -> list[Expected]:
        with self._read() as connection:
            return state.missing(connection, self.row.task_id, series_uid)

    def _held_of(self, series_uid: str) -> int:
        with self._read() as connection:
            return state.count_series(connection, self.row.study_instance_uid).get(series_uid, 0)

    def _associations(self, moment: float) -> set[str]:
        try:
            addresses = {str(found[4][0]) for found in socket.getaddrinfo(self.peer.host, None)}
        except OSError:
            addresses = set()
        with self._read() as connection:
            return state.associations_since(connection, (addresses, self.peer.name), moment)

    def _read(self) -> Connection:
        return reader(self.gateway.engine).connect()
