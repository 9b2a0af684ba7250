"""Taking instances in: check, keep, promise; then, apart from the sender, into archive and index.

`accept` is the one way in for C-STORE, C-GET, STOW-RS and import.  `replay` moves on what the journal holds; any
process may call it at any time, one does it at a time.
"""

import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from blake3 import blake3
from pydicom.dataset import Dataset
from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, SQLAlchemyError

from dicom_gateway import aside, journal
from dicom_gateway.archive import Archive, StoredObject, Writing
from dicom_gateway.attributes import read_header, text
from dicom_gateway.audit.received import Came, count, is_told
from dicom_gateway.audit.received import came as came_of
from dicom_gateway.errors import CannotUnderstand, DataSetMismatch, IngestError, OutOfResources
from dicom_gateway.header import read_indexed
from dicom_gateway.identity import identify
from dicom_gateway.index import models
from dicom_gateway.index.arrivals import Arrival, Indexer
from dicom_gateway.part10 import read_meta, write_meta
from dicom_gateway.settings import Settings
from konsil.database import lock_transaction, reader

logger = logging.getLogger(__name__)

BATCH = 64
UID_BYTES = 64


@dataclass(frozen=True, slots=True)
class Source:
    """Where an instance came from.  `retrieval`: the task whose own association (C-GET) brought it.

    `association`: a name of our own for the association that a peer opened.  `admission`: for which case, or by whom, a
    door admitted it: such an instance is released with its study, without another decision.
    """

    peer: str = ""
    calling_ae_title: str = ""
    address: str = ""
    retrieval: str | None = None
    association: str = ""
    admission: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One SOP Instance as its sender delivered it: `meta` are the bytes before the data set in our file."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    meta: bytes | memoryview
    data_set: bytes | memoryview
    source: Source

    @classmethod
    def from_message(cls, uids: tuple[str, str, str], data_set: bytes | memoryview, source: Source) -> "Incoming":
        """Take one off an association: SOP Class, SOP Instance and transfer syntax UID, and the P-DATA bytes."""
        return cls(*uids, write_meta(*uids), data_set, source)

    @classmethod
    def from_file(cls, file: bytes | memoryview, source: Source) -> "Incoming":
        """Take a whole DICOM file, which is kept as it is.  Raises CannotUnderstand."""
        meta, view = read_meta(file), memoryview(file)
        uids = (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid)
        return cls(*uids, view[: meta.offset], view[meta.offset :], source)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender may be told: the instance is on disk.  PS3.4 B.2.2"""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


def check(instance: Incoming, written: BinaryIO | None = None) -> Receipt:
    """See that the data set is what was announced and says where it belongs.  PS3.4 B.2.3

    `written`: where the data set lies, when it is not in memory.  Raises DataSetMismatch, CannotUnderstand.
    """
    uids = identify(instance.data_set if written is None else written, instance.transfer_syntax_uid)
    places = (uids.study_instance_uid, uids.series_instance_uid, uids.sop_instance_uid)
    for name, uid in zip(("Study", "Series", "SOP"), places, strict=True):
        if not 0 < len(uid) <= UID_BYTES:
            raise CannotUnderstand(f"the {name} Instance UID is missing")
    if uids.sop_instance_uid != instance.sop_instance_uid:
        raise DataSetMismatch("the data set has another SOP Instance UID")
    if uids.sop_class_uid != instance.sop_class_uid:
        raise DataSetMismatch("the data set has another SOP Class UID")
    return Receipt(*places)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A record whose object is in the archive, and its header; None for one that does not decode."""

    arrival: Arrival
    header: Dataset | None


@dataclass
class _Taking:
    """How far a segment has been taken in, how many records that were this time, and what is not yet flushed of it.

    `whole`: all of it has been taken in by this process.
    """

    position: int
    whole: bool = True
    taken: int = 0
    unsettled: set[str] = field(default_factory=set)


class Ingest:
    """The way in of one process: its journal writer, and the replay into archive and index."""

    def __init__(self, settings: Settings, engine: Engine, archive: Archive) -> None:
        self._settings = settings
        self._engine = engine
        self._archive = archive
        self._folder = settings.data_dir / "journal"
        self._writer = journal.JournalWriter(self._folder)
        self._thread_lock = threading.Lock()
        self._open: dict[str, _Taking] = {}

    def accept(self, instance: Incoming) -> Receipt:
        """Keep one instance durably; on return it survives a power cut and the sender may be told so.  PS3.4 B.2.2

        Raises OutOfResources, and DataSetMismatch, CannotUnderstand for what is set aside when a peer sent it.
        """
        receipt = self._checked(instance, lambda: self._archive.put((instance.meta, instance.data_set)))
        header = _header_of(instance, blake3(instance.data_set).hexdigest())
        self._append(header, (instance.meta, instance.data_set))
        return receipt

    def begin(self) -> Writing:
        """Begin an instance that is too large to be held in memory.  Raises OSError."""
        return self._archive.begin()

    def accept_written(self, instance: Incoming, writing: Writing, content_hash: str) -> Receipt:
        """Keep one instance whose file has been written piece by piece; otherwise as `accept`.

        First the file is durable in the archive, then the journal's record that names it.
        """
        receipt = self._checked(instance, writing.finish, writing.reread(len(instance.meta)))
        try:
            stored = writing.finish()
        except OSError as error:
            raise OutOfResources("the instance could not be written") from error
        self._append(_header_of(instance, content_hash) | {"stored": [stored.key, stored.size]}, ())
        return receipt

    def _checked(
        self, instance: Incoming, keep: Callable[[], StoredObject], written: BinaryIO | None = None
    ) -> Receipt:
        try:
            return check(instance, written)
        except (DataSetMismatch, CannotUnderstand) as error:
            if instance.source.peer:
                self._set_aside(instance.source, keep, error)
            raise

    def _append(self, header: dict[str, Any], data: journal.Parts) -> None:
        try:
            self._writer.append(header, data)
        except OSError as error:
            raise OutOfResources("the instance could not be written") from error

    def _set_aside(self, source: Source, keep: Callable[[], StoredObject], error: IngestError) -> None:
        """Keep what cannot be read, for a person to look at; failing that, the peer's own error is what counts."""
        try:
            aside.keep(self._engine, keep(), source.peer, source.retrieval, error)
        except (OSError, SQLAlchemyError):
            logger.exception("an object that cannot be read could not be set aside")

    def replay(self) -> int:
        """Take everything that the journal holds into archive and index; return how many instances that were.

        Stopped at any point, the next call goes on and doubles nothing.  Raises OSError, SQLAlchemyError.
        """
        taken = 0
        with self._one_at_a_time():
            for path in journal.segments(self._folder):
                taken += self._replay_segment(path)
        return taken

    def close(self) -> None:
        """Close the journal of this process."""
        self._writer.close()

    def standing_still(self) -> AbstractContextManager[None]:
        """While this lasts nobody takes the journal in."""
        return self._one_at_a_time()

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with self._thread_lock, (self._folder / "replay.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replay_segment(self, path: Path) -> int:
        """Take in what is new in a segment; its objects are flushed before it goes, for until then it is their copy."""
        position = self._position(path.name)
        taking = self._open.pop(path.name, None)  # kept when all goes well: a flush that failed is not to be repeated
        if taking is None or taking.position != position:
            taking = _Taking(position, whole=position == 0)
        taking.taken = 0
        finished = journal.finished(path)
        journal.read_segment(path, taking.position, lambda records: self._take(path.name, records, taking))
        if finished:
            self._settle(path, taking)
            journal.retire(path, taking.position)
            self._forget(path.name)
        else:
            self._open[path.name] = taking
        return taking.taken

    def _settle(self, path: Path, taking: _Taking) -> None:
        """Make the objects of a segment durable.  What another process placed, before a power cut perhaps, is placed
        anew: nobody knows what of it has come to the disk.
        """
        if not taking.whole:
            journal.read_segment(path, 0, lambda records: self._place_again(records, taking))
        self._archive.settle(taking.unsettled)

    def _place_again(self, records: Iterator[journal.Record], taking: _Taking) -> None:
        """Place all objects of a segment but those that have been deleted since."""
        for record in records:
            if "stored" not in record.header and self._is_named(blake3(record.data).hexdigest()):
                taking.unsettled.add(self._archive.place(record.data).key)

    def _is_named(self, key: str) -> bool:
        tables = (models.version, models.unindexed)
        named = [select(table.c.object_key).where(table.c.object_key == key) for table in tables]
        with reader(self._engine).connect() as connection:
            return any(connection.execute(query.limit(1)).first() is not None for query in named)

    def take_in(self, segment: str, read: Callable[[Callable[[Iterator[journal.Record]], None]], None]) -> int:
        """Take in the records that `read` hands over, whatever was taken of them before; tells how many there were."""
        taking = _Taking(0)
        with self._one_at_a_time():
            read(lambda records: self._take(segment, records, taking))
            self._archive.settle(taking.unsettled)
            self._forget(segment)
        return taking.taken

    def _take(self, segment: str, records: Iterator[journal.Record], taking: _Taking) -> None:
        while batch := [self._place(record, taking) for record in islice(records, BATCH)]:
            taking.taken += self._to_index(segment, batch, taking.position)

    def _place(self, record: journal.Record, taking: _Taking) -> _Placed:
        """Put a record's object into the archive, unless it is there already, and read its header."""
        fields = dict(record.header)
        stored = StoredObject(*fields.pop("stored")) if "stored" in fields else None
        if stored is None:
            stored = self._archive.place(record.data)
            taking.unsettled.add(stored.key)
        taking.position = record.end
        arrival = Arrival(stored, **fields)
        try:
            return _Placed(arrival, self._header(arrival, record.data))
        except CannotUnderstand:
            return _Placed(arrival, None)

    def _forget(self, segment: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(models.journal).where(models.journal.c.segment == segment))

    def _position(self, segment: str) -> int:
        query = select(models.journal.c.position).where(models.journal.c.segment == segment)
        with reader(self._engine).connect() as connection:
            return connection.execute(query).scalar() or 0

    def _to_index(self, segment: str, batch: list[_Placed], position: int) -> int:
        """Index a batch in one transaction, together with how far its segment has been taken in.

        A value that the database refuses fails its whole transaction: then each arrival has one of its own.
        """
        try:
            self._write(segment, batch, position)
        except DataError:
            for each in batch:
                try:
                    self._write(segment, [each], None)
                except DataError as error:
                    with self._engine.begin() as connection:
                        _keep_aside(connection, each.arrival.stored, type(error).__name__)
            self._write(segment, [], position)
        return len(batch)

    def _write(self, segment: str, batch: list[_Placed], position: int | None) -> None:
        with self._engine.begin() as connection:
            lock_transaction(connection, "dicom index")
            indexer = Indexer(connection, self._settings.mode, self._settings.late_arrival_seconds)
            indexer.expect(each.arrival for each in batch)
            came: list[Came] = []
            for arrival, header in ((each.arrival, each.header) for each in batch):
                if header is None:
                    _keep_aside(connection, arrival.stored, CannotUnderstand.__name__)
                    continue
                indexer.record(arrival, header)
                came += [came_of(arrival, text(header, "StudyInstanceUID"))] if not arrival.admission else []
            indexer.finish()
            if is_told(self._settings):
                count(connection, came)
            if position is not None:
                insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(models.journal)
                row = {"segment": segment, "position": position}
                connection.execute(insert.values(row).on_conflict_do_update(index_elements=["segment"], set_=row))

    def _header(self, arrival: Arrival, file: memoryview) -> Dataset:
        """The header of an arrival; `file` is empty when it lies in the archive alone.  Raises CannotUnderstand."""
        if file:
            return read_indexed(file[arrival.offset :], arrival.transfer_syntax_uid)
        with self._archive.open(arrival.stored.key) as stored:
            stored.seek(arrival.offset)
            return read_header(stored, arrival.transfer_syntax_uid)


def _header_of(instance: Incoming, content_hash: str) -> dict[str, Any]:
    """What the journal says about an instance; the index is made from it."""
    return {
        "sop_class_uid": instance.sop_class_uid,
        "sop_instance_uid": instance.sop_instance_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "offset": len(instance.meta),
        "content_hash": content_hash,
        "peer": instance.source.peer,
        "calling_ae_title": instance.source.calling_ae_title,
        "retrieval": instance.source.retrieval,
        "address": instance.source.address,
        "association": instance.source.association,
        "admission": instance.source.admission,
        "received_at": time.time(),
    }


def _keep_aside(connection: Connection, stored: StoredObject, reason: str) -> None:
    logger.warning("object %s cannot be indexed: %s", stored.key, reason)
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(models.unindexed)
    row = {"object_key": stored.key, "reason": reason, "created_at": time.time()}
    connection.execute(insert.values(row).on_conflict_do_nothing())
