"""`konsil dicom verify`: proves that archive, journal and index agree, byte by byte; mends, and deletes nothing.

The journal is taken in first.  Files of the archive are listed before the index is read, so nothing that comes
meanwhile counts as unknown; what was written in the last minutes is left to the next run.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blake3 import blake3
from pydicom.dataset import Dataset
from sqlalchemy import Connection, func, select, update
from sqlalchemy.engine import RowMapping

from dicom_gateway import attributes
from dicom_gateway.archive import StoredObject
from dicom_gateway.attributes import read_header, text
from dicom_gateway.errors import CannotUnderstand
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.arrivals import Arrival, Indexer
from dicom_gateway.index.keeping import keeping_trace
from dicom_gateway.index.levels import level_json, upsert_series, upsert_study
from dicom_gateway.index.models import instance, series, set_aside, study, unindexed, version
from dicom_gateway.keeping import torn
from dicom_gateway.keeping.findings import Finding, Kind
from dicom_gateway.part10 import read_meta
from konsil.database import lock_transaction, reader

FRESH_SECONDS = 300.0
HEAD_BYTES = 1 << 20
CHUNK_BYTES = 1 << 20
PAGE = 500
Step = Callable[[int], None]


@dataclass(frozen=True)
class Check:
    """One verification: `repair` mends, `step` is told of each object looked at, for a progress bar."""

    gateway: Gateway
    repair: bool = False
    step: Step = lambda number: None

    def run(self) -> Iterator[Finding]:
        """Journal, archive and index.  Raises OSError, SQLAlchemyError."""
        yield from self.journal()
        self.gateway.ingest.replay()
        files = self.files()
        for row in self.versions():
            yield from self.object_of(row)
            self.step(1)
        yield from self.unknown(files)
        yield from self.without_version()

    def total(self) -> int:
        """How many versions there are to look at."""
        with reader(self.gateway.engine).connect() as connection:
            return connection.execute(select(func.count()).select_from(version)).scalar_one()

    def journal(self) -> Iterator[Finding]:
        """Torn parts from which nothing was recovered."""
        for path in torn.torn(self.gateway):
            if self.repair:
                torn.recover(self.gateway, path)
            yield Finding(Kind.JOURNAL_TORN, path.name, self.repair)

    def files(self) -> list[StoredObject]:
        """What lies in the archive and is not just coming."""
        old, found = time.time() - FRESH_SECONDS, []
        for path in (self.gateway.archive.root / "objects").glob("*/*.dcm"):
            status = path.stat()
            if status.st_mtime < old:
                found.append(StoredObject(path.stem, status.st_size))
        return found

    def versions(self) -> Iterator[RowMapping]:
        """Every version with its instance, a page at a time."""
        last = 0
        columns = (*version.c, instance.c.version_id, instance.c.sop_instance_uid, instance.c.sop_class_uid)
        query = select(*columns, instance.c.attributes, series.c.series_instance_uid, study.c.study_instance_uid)
        tables = version.join(instance, version.c.instance_id == instance.c.id)
        tables = tables.join(series, instance.c.series_id == series.c.id).join(study, instance.c.study_id == study.c.id)
        query = query.select_from(tables).order_by(version.c.id).limit(PAGE)
        while True:
            with reader(self.gateway.engine).connect() as connection:
                rows = connection.execute(query.where(version.c.id > last)).mappings().all()
            if not rows:
                return
            yield from rows
            last = rows[-1]["id"]

    def object_of(self, row: RowMapping) -> Iterator[Finding]:
        """The object of a version: there, unchanged, and what the index says of it."""
        path = self.gateway.archive.path(row["object_key"])
        whole, data_set = blake3(), blake3()
        try:
            with path.open("rb") as file:
                head = file.read(row["data_set_offset"])
                whole.update(head)
                while chunk := file.read(CHUNK_BYTES):
                    whole.update(chunk)
                    data_set.update(chunk)
        except FileNotFoundError:
            yield Finding(Kind.OBJECT_MISSING, row["object_key"])
            return
        if whole.hexdigest() != row["object_key"] or data_set.hexdigest() != row["content_hash"]:
            yield Finding(Kind.OBJECT_CHANGED, row["object_key"])
        elif row["id"] == row["version_id"]:
            yield from self.described(row)

    def described(self, row: RowMapping) -> Iterator[Finding]:
        """The index says of an instance what the header of its version says."""
        with self.gateway.archive.open(row["object_key"]) as file:
            file.seek(row["data_set_offset"])
            ds = read_header(file, row["transfer_syntax_uid"])
        said = {name: text(ds, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
        held = [row["study_instance_uid"], row["series_instance_uid"], row["sop_instance_uid"]]
        fresh = level_json(ds, attributes.IMAGE)
        if list(said.values()) == held and fresh == row["attributes"]:
            return
        mendable = said["SOPInstanceUID"] == row["sop_instance_uid"]
        if self.repair and mendable:
            with self.gateway.engine.begin() as connection:
                lock_transaction(connection, "dicom index")
                owner = connection.execute(
                    select(study.c.patient_id).where(study.c.study_instance_uid == row["study_instance_uid"])
                ).scalar_one()
                study_id = int(upsert_study(connection, ds, owner)["id"])
                place = {"study_id": study_id, "series_id": upsert_series(connection, ds, study_id)}
                changed = update(instance).where(instance.c.id == row["instance_id"])
                connection.execute(changed.values(attributes=fresh, **place))
        yield Finding(Kind.INDEX_DIFFERS, row["sop_instance_uid"], self.repair and mendable)

    def unknown(self, files: list[StoredObject]) -> Iterator[Finding]:
        """Objects that nothing in the index names."""
        with reader(self.gateway.engine).connect() as connection:
            known = {
                key
                for table in (version, unindexed, set_aside)
                for key in connection.execute(select(table.c.object_key)).scalars()
            }
            known |= {str(each[3]) for each in removed(connection)}
        for stored in files:
            if stored.key not in known:
                yield Finding(Kind.OBJECT_UNKNOWN, stored.key, self.repair and self.index(stored))

    def index(self, stored: StoredObject) -> bool:
        """Index an object as if it had just come; False for one that is damaged or no instance."""
        path = self.gateway.archive.path(stored.key)
        try:
            with path.open("rb") as file:
                meta = read_meta(file.read(HEAD_BYTES))
                if blake3(max_threads=1).update_mmap(path).hexdigest() != stored.key:
                    return False
                file.seek(meta.offset)
                data_set = blake3()
                while chunk := file.read(CHUNK_BYTES):
                    data_set.update(chunk)
                file.seek(meta.offset)
                ds = read_header(file, meta.transfer_syntax_uid)
        except CannotUnderstand:
            return False
        uids = (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid)
        arrival = Arrival(stored, *uids, meta.offset, data_set.hexdigest(), "", "", None, time.time())
        with self.gateway.engine.begin() as connection:
            lock_transaction(connection, "dicom index")
            record(connection, self.gateway, arrival, ds)
        return True

    def without_version(self) -> Iterator[Finding]:
        """Instances of which no version of their own counts; repair takes the first original."""
        own = select(version.c.id).where(version.c.instance_id == instance.c.id, version.c.id == instance.c.version_id)
        first = select(func.min(version.c.id)).where(version.c.instance_id == instance.c.id).scalar_subquery()
        lost = select(instance.c.id, instance.c.sop_instance_uid, first.label("first")).where(~own.exists())
        with reader(self.gateway.engine).connect() as connection:
            rows = connection.execute(lost).all()
        for row in rows:
            if self.repair and row.first is not None:
                with self.gateway.engine.begin() as connection:
                    lock_transaction(connection, "dicom index")
                    connection.execute(update(instance).where(instance.c.id == row.id).values(version_id=row.first))
            yield Finding(Kind.INSTANCE_WITHOUT_VERSION, row.sop_instance_uid, self.repair and row.first is not None)


def removed(connection: Connection) -> Iterator[list[object]]:
    """What was deleted with a trace: its objects may still be on their way out."""
    query = select(keeping_trace.c.objects).where(keeping_trace.c.what == "delete")
    for objects in connection.execute(query).scalars():
        yield from json.loads(objects)


def record(connection: Connection, gateway: Gateway, arrival: Arrival, ds: Dataset) -> None:
    """One arrival into the index."""
    indexer = Indexer(connection, gateway.settings.mode, gateway.settings.late_arrival_seconds)
    indexer.expect([arrival])
    indexer.record(arrival, ds)
    indexer.finish()
