"""Taking instances in: check, keep, promise; then, apart from the sender, into archive and index.

`accept` is the one way in for C-STORE, C-GET, STOW-RS and import.  `replay` moves on what the journal holds; any
process may call it at any time, one does it at a time.
"""

import fcntl
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3
from pydicom.dataset import Dataset
from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, SQLAlchemyError

from dicom_gateway import aside, journal
from dicom_gateway.archive import Archive, StoredObject
from dicom_gateway.attributes import read_header, read_identity, text
from dicom_gateway.errors import CannotUnderstand, DataSetMismatch, IngestError, OutOfResources
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
    """Where an instance came from.  `retrieval`: the task whose own association (C-GET) brought it."""

    peer: str = ""
    calling_ae_title: str = ""
    address: str = ""
    retrieval: str | None = None


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


def check(instance: Incoming) -> Receipt:
    """See that the data set is what was announced and says where it belongs.  PS3.4 B.2.3

    Raises DataSetMismatch, CannotUnderstand.
    """
    ds = read_identity(instance.data_set, instance.transfer_syntax_uid)
    uids = [text(ds, keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    for name, uid in zip(("Study", "Series", "SOP"), uids, strict=True):
        if not 0 < len(uid) <= UID_BYTES:
            raise CannotUnderstand(f"the {name} Instance UID is missing")
    if uids[2] != instance.sop_instance_uid:
        raise DataSetMismatch("the data set has another SOP Instance UID")
    if text(ds, "SOPClassUID") != instance.sop_class_uid:
        raise DataSetMismatch("the data set has another SOP Class UID")
    return Receipt(*uids)


class Ingest:
    """The way in of one process: its journal writer, and the replay into archive and index."""

    def __init__(self, settings: Settings, engine: Engine, archive: Archive) -> None:
        self._settings = settings
        self._engine = engine
        self._archive = archive
        self._folder = settings.data_dir / "journal"
        self._writer = journal.JournalWriter(self._folder)
        self._thread_lock = threading.Lock()

    def accept(self, instance: Incoming) -> Receipt:
        """Keep one instance durably; on return it survives a power cut and the sender may be told so.  PS3.4 B.2.2

        Raises OutOfResources, and DataSetMismatch, CannotUnderstand for what is set aside when a peer sent it.
        """
        source = instance.source
        try:
            receipt = check(instance)
        except (DataSetMismatch, CannotUnderstand) as error:
            if source.peer:
                self._set_aside(instance, error)
            raise
        header = {
            "sop_class_uid": instance.sop_class_uid,
            "sop_instance_uid": instance.sop_instance_uid,
            "transfer_syntax_uid": instance.transfer_syntax_uid,
            "offset": len(instance.meta),
            "content_hash": blake3(instance.data_set).hexdigest(),
            "peer": source.peer,
            "calling_ae_title": source.calling_ae_title,
            "retrieval": source.retrieval,
            "received_at": time.time(),
        }
        try:
            self._writer.append(header, (instance.meta, instance.data_set))
        except OSError as error:
            raise OutOfResources("the instance could not be written") from error
        return receipt

    def _set_aside(self, instance: Incoming, error: IngestError) -> None:
        """Keep what cannot be read, for a person to look at; failing that, the peer's own error is what counts."""
        try:
            stored = self._archive.put((instance.meta, instance.data_set))
            aside.keep(self._engine, stored, instance.source.peer, instance.source.retrieval, error)
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

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        with self._thread_lock, (self._folder / "replay.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _replay_segment(self, path: Path) -> int:
        position = self._position(path.name)
        taken = 0

        def take(records: Iterator[journal.Record]) -> None:
            nonlocal position, taken
            batch: list[Arrival] = []
            for record in records:
                batch.append(self._to_archive(record))
                position = record.end
                if len(batch) >= BATCH:
                    taken += self._to_index(path.name, batch, position)
                    batch = []
            if batch:
                taken += self._to_index(path.name, batch, position)

        journal.read_segment(path, position, take)
        if journal.retire(path, position):
            with self._engine.begin() as connection:
                connection.execute(delete(models.journal).where(models.journal.c.segment == path.name))
        return taken

    def _position(self, segment: str) -> int:
        query = select(models.journal.c.position).where(models.journal.c.segment == segment)
        with reader(self._engine).connect() as connection:
            return connection.execute(query).scalar() or 0

    def _to_archive(self, record: journal.Record) -> Arrival:
        return Arrival(self._archive.put((record.data,)), **record.header)

    def _to_index(self, segment: str, batch: list[Arrival], position: int) -> int:
        """Index a batch in one transaction, together with how far its segment has been taken in.

        A value that the database refuses fails its whole transaction: then each arrival has one of its own.
        """
        try:
            self._write(segment, batch, position)
        except DataError:
            for arrival in batch:
                try:
                    self._write(segment, [arrival], None)
                except DataError as error:
                    with self._engine.begin() as connection:
                        _keep_aside(connection, arrival.stored, type(error).__name__)
            self._write(segment, [], position)
        return len(batch)

    def _write(self, segment: str, batch: list[Arrival], position: int | None) -> None:
        with self._engine.begin() as connection:
            lock_transaction(connection, "dicom index")
            indexer = Indexer(connection, self._settings.mode, self._settings.late_arrival_seconds)
            indexer.expect(batch)
            for arrival in batch:
                try:
                    indexer.record(arrival, self._header(arrival))
                except CannotUnderstand as error:
                    _keep_aside(connection, arrival.stored, type(error).__name__)
            indexer.finish()
            if position is not None:
                insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(models.journal)
                row = {"segment": segment, "position": position}
                connection.execute(insert.values(row).on_conflict_do_update(index_elements=["segment"], set_=row))

    def _header(self, arrival: Arrival) -> Dataset:
        with self._archive.open(arrival.stored.key) as file:
            file.seek(arrival.offset)
            return read_header(file, arrival.transfer_syntax_uid)


def _keep_aside(connection: Connection, stored: StoredObject, reason: str) -> None:
    logger.warning("object %s cannot be indexed: %s", stored.key, reason)
    insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(models.unindexed)
    row = {"object_key": stored.key, "reason": reason, "created_at": time.time()}
    connection.execute(insert.values(row).on_conflict_do_nothing())
