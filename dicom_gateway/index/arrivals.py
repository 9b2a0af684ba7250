"""Arrivals: what the archive has and the index does not know yet, a batch at a time, in one transaction."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import Connection, bindparam, insert, or_, select, update

from dicom_gateway import attributes
from dicom_gateway.archive import StoredObject
from dicom_gateway.attributes import integer, text
from dicom_gateway.index.levels import add, level_json, upsert_patient, upsert_series, upsert_study
from dicom_gateway.index.models import instance, outbox, patient, peer, retrieval, study, version
from dicom_gateway.index.upsert import State
from konsil.outbox import NewJob, enqueue

ADMITTED_KIND = "admitted"
OPEN = ("requested", "listing", "fetching", "verifying", "waiting")
SET_VERSION = (
    update(instance).where(instance.c.id == bindparam("of_instance")).values(version_id=bindparam("of_version"))
)
# Made once: making a statement costs more than running it.
INSERT_INSTANCES = insert(instance).returning(instance.c.id, instance.c.sop_instance_uid)
INSERT_VERSIONS = insert(version).returning(version.c.id, version.c.instance_id)
TOUCH = update(study).where(study.c.id == bindparam("of_study")).values(updated_at=bindparam("moment"))


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object in the archive that the index does not know yet, and the header that the journal kept with it.

    `association`: the one that brought it, empty for what came otherwise.  `admission`: see `ingest.Source`.
    """

    stored: StoredObject
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    content_hash: str
    peer: str
    calling_ae_title: str
    retrieval: str | None
    received_at: float
    address: str = ""
    association: str = ""
    admission: str = ""


@dataclass
class _Held:
    """An instance that the index knows, and its versions: content hash -> version id.  `id` is 0 before `_flush`."""

    id: int
    state: str
    retrieval: str | None
    version_id: int | None
    versions: dict[str, int]


class Indexer:
    """Records the arrivals of one transaction: `expect` them, `record` each, `finish`."""

    def __init__(self, connection: Connection, mode: str, late_arrival_seconds: float) -> None:
        self._connection = connection
        self._state: State = "released" if mode == "archive" else "quarantined"
        self._late = late_arrival_seconds
        self._issuers: dict[str, str] = {}
        self._retrievals: dict[tuple[str, str], str | None] = {}
        self._held: dict[str, _Held] = {}
        self._places: dict[tuple[str, ...], tuple[int, int, bool]] = {}
        self._current: dict[int, int] = {}
        self._admitted: dict[tuple[str, str], int] = {}
        self._new: dict[str, tuple[Arrival, dict[str, Any], str]] = {}

    def expect(self, arrivals: Iterable[Arrival]) -> None:
        """Look up at once what is known of the arrivals to come."""
        uids = sorted({arrival.sop_instance_uid for arrival in arrivals})
        query = select(
            instance.c.sop_instance_uid,
            *(instance.c.id, instance.c.state, instance.c.retrieval, instance.c.version_id),
            *(version.c.content_hash, version.c.id.label("of_version")),
        ).select_from(instance.join(version, version.c.instance_id == instance.c.id))
        for row in self._connection.execute(query.where(instance.c.sop_instance_uid.in_(uids))):
            new = _Held(row.id, row.state, row.retrieval, row.version_id, {})
            held = self._held.setdefault(row.sop_instance_uid, new)
            held.versions[row.content_hash] = row.of_version

    def record(self, arrival: Arrival, ds: Dataset) -> None:
        """Take one arrival into patient, study, series, instance and version; a second time changes nothing.

        Same UID, same bytes: known already.  Same UID, other content: kept beside as a conflicting version and flagged;
        but what was asked for takes the place of what nobody asked for.
        """
        if arrival.sop_instance_uid in self._new:
            self._flush()
        task = self._retrieval(arrival, text(ds, "StudyInstanceUID"))
        held = self._held.get(arrival.sop_instance_uid)
        if held is None:
            self._add(arrival, ds, task)
            return
        unasked = held.retrieval is None and held.state == "quarantined"
        same = held.versions.get(arrival.content_hash)
        if same is None:
            kind = "original" if unasked and task is not None else "conflicting"
            same = self._add_version(arrival, held, kind)
            self._set(held, flag="conflict")
        if unasked and task is not None and same != held.version_id:
            self._set(held, attributes=level_json(ds, attributes.IMAGE))
            self._current[held.id] = held.version_id = same
        if task is not None and (unasked or held.state == "rejected"):
            held.retrieval, held.state = task, self._state
            self._set(held, retrieval=task, state=self._state, source_peer=arrival.peer)

    def finish(self) -> None:
        """Write what is written for many arrivals at once."""
        self._flush()
        if self._current:
            pairs = [{"of_instance": key, "of_version": value} for key, value in self._current.items()]
            self._connection.execute(SET_VERSION, pairs)
        if self._places:
            studies = {study_id for study_id, _, _ in self._places.values()}
            now = time.time()
            self._connection.execute(TOUCH, [{"of_study": study_id, "moment": now} for study_id in sorted(studies)])
        for (uid, admission), newest in self._admitted.items():
            payload = {"study_instance_uid": uid, "admission": admission}
            job = NewJob(ADMITTED_KIND, payload, f"{ADMITTED_KIND}:{uid}:{newest}", f"{ADMITTED_KIND}:{uid}")
            self._connection.execute(enqueue(outbox, self._connection.dialect.name, job))

    def _add(self, arrival: Arrival, ds: Dataset, task: str | None) -> None:
        study_id, series_id, stranger = self._place(arrival, ds)
        row = {
            "series_id": series_id,
            "study_id": study_id,
            "sop_instance_uid": arrival.sop_instance_uid,
            "sop_class_uid": arrival.sop_class_uid,
            "instance_number": integer(ds, "InstanceNumber"),
            "frames": integer(ds, "NumberOfFrames") or 1,
            "state": "quarantined" if stranger else "released" if arrival.admission else self._state,
            "flag": "other-patient" if stranger else "",
            "source_peer": arrival.peer,
            "retrieval": task,
            "admission": arrival.admission,
            "attributes": level_json(ds, attributes.IMAGE),
            "received_at": arrival.received_at,
        }
        self._held[arrival.sop_instance_uid] = _Held(0, str(row["state"]), task, None, {})
        self._new[arrival.sop_instance_uid] = arrival, row, text(ds, "StudyInstanceUID")

    def _flush(self) -> None:
        """Insert the new instances, then their versions, a statement each."""
        if not self._new:
            return
        new, self._new = self._new, {}
        for row in self._connection.execute(INSERT_INSTANCES, [row for _, row, _ in new.values()]):
            self._held[row.sop_instance_uid].id = row.id
        of_instance = {self._held[uid].id: (self._held[uid], arrival) for uid, (arrival, _, _) in new.items()}
        versions = [_version(arrival, held.id, "original") for held, arrival in of_instance.values()]
        for row in self._connection.execute(INSERT_VERSIONS, versions):
            held, arrival = of_instance[row.instance_id]
            self._current[held.id] = held.version_id = held.versions[arrival.content_hash] = row.id
        for arrival, _, study_instance_uid in new.values():
            if arrival.admission:
                self._admitted[study_instance_uid, arrival.admission] = self._held[arrival.sop_instance_uid].id

    def _place(self, arrival: Arrival, ds: Dataset) -> tuple[int, int, bool]:
        """Study row, series row, and whether the data set names another patient than its study."""
        names = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "PatientBirthDate")
        key = (arrival.peer, attributes.issuer(ds), *(text(ds, name) for name in names))
        if key not in self._places:
            admitted = bool(arrival.admission)
            default = self._issuer_of(text(ds, "StudyInstanceUID")) if admitted else self._issuer(arrival.peer)
            owner = upsert_patient(self._connection, ds, default)
            place = upsert_study(self._connection, ds, owner)
            stranger = place["source_patient_id"] != owner and place["patient_id"] != owner
            series_id = upsert_series(self._connection, ds, place["id"])
            self._places[key] = (int(place["id"]), series_id, stranger)
        return self._places[key]

    def _add_version(self, arrival: Arrival, held: _Held, kind: str) -> int:
        added = add(self._connection, version, _version(arrival, held.id, kind))
        held.versions[arrival.content_hash] = added
        return added

    def _set(self, held: _Held, **values: Any) -> None:
        self._connection.execute(update(instance).where(instance.c.id == held.id).values(**values))

    def _issuer(self, name: str) -> str:
        """The issuer that this peer means when it names none; in the index only, never in bytes."""
        if name not in self._issuers:
            found = self._connection.execute(select(peer.c.issuer).where(peer.c.name == name)).scalar()
            self._issuers[name] = found or ""
        return self._issuers[name]

    def _issuer_of(self, study_instance_uid: str) -> str:
        """The issuer of the patient whose study this is."""
        joined = select(patient.c.issuer).join(study, study.c.patient_id == patient.c.id)
        return self._connection.execute(joined.where(study.c.study_instance_uid == study_instance_uid)).scalar() or ""

    def _retrieval(self, arrival: Arrival, study_instance_uid: str) -> str | None:
        """The retrieval an arrival belongs to: its own, else an open or just ended one of that peer and study."""
        if arrival.retrieval is not None:
            return arrival.retrieval
        key = (arrival.peer, study_instance_uid)
        if key not in self._retrievals:
            recent = or_(retrieval.c.state.in_(OPEN), retrieval.c.finished_at >= arrival.received_at - self._late)
            query = select(retrieval.c.task_id).where(
                retrieval.c.peer == arrival.peer, retrieval.c.study_instance_uid == study_instance_uid, recent
            )
            self._retrievals[key] = self._connection.execute(query.order_by(retrieval.c.created_at.desc())).scalar()
        return self._retrievals[key]


def _version(arrival: Arrival, instance_id: int, kind: str) -> dict[str, Any]:
    """The row of a version."""
    return {
        "instance_id": instance_id,
        "kind": kind,
        "object_key": arrival.stored.key,
        "content_hash": arrival.content_hash,
        "size": arrival.stored.size,
        "data_set_offset": arrival.offset,
        "transfer_syntax_uid": arrival.transfer_syntax_uid,
        "source_peer": arrival.peer,
        "calling_ae_title": arrival.calling_ae_title,
        "created_at": arrival.received_at,
    }
