"""Writing the index: what arrived, which version of it counts, and who may see it.

All of this runs in the caller's transaction, under the lock `dicom index`.
"""

import json
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from pydicom.dataset import Dataset
from sqlalchemy import Connection, Table, insert, or_, select, update
from sqlalchemy.engine import RowMapping

from dicom_gateway import attributes
from dicom_gateway.archive import StoredObject
from dicom_gateway.attributes import integer, name_groups, text
from dicom_gateway.index.models import instance, patient, peer, retrieval, series, study, version

State = Literal["quarantined", "released", "rejected"]
OPEN = ("requested", "listing", "fetching", "verifying", "waiting")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One object in the archive that the index does not know yet, and the header that the journal kept with it."""

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


class Indexer:
    """Records arrivals of one transaction."""

    def __init__(self, connection: Connection, mode: str, late_arrival_seconds: float) -> None:
        self._connection = connection
        self._state: State = "released" if mode == "archive" else "quarantined"
        self._late = late_arrival_seconds
        self._issuers: dict[str, str] = {}
        self._retrievals: dict[tuple[str, str], str | None] = {}

    def record(self, arrival: Arrival, ds: Dataset) -> None:
        """Take one arrival into patient, study, series, instance and version; a second time changes nothing.

        Same UID, same bytes: known already.  Same UID, other content: kept beside as a conflicting version and flagged;
        but what was asked for takes the place of what nobody asked for.
        """
        task = self._retrieval(arrival, text(ds, "StudyInstanceUID"))
        held = _one(self._connection, instance, instance.c.sop_instance_uid == arrival.sop_instance_uid)
        if held is None:
            self._add(arrival, ds, task)
            return
        known = select(version.c.id).where(
            version.c.instance_id == held["id"], version.c.content_hash == arrival.content_hash
        )
        same = self._connection.execute(known).scalar()
        unasked = held["retrieval"] is None and held["state"] == "quarantined"
        if same is not None:
            replaces = unasked and task is not None and same != held["version_id"]
        else:
            replaces = unasked and task is not None
            same = self._add_version(arrival, held["id"], "original" if replaces else "conflicting")
            self._set(held["id"], flag="conflict")
        if replaces:
            self._set(held["id"], version_id=same, attributes=_json(ds, attributes.IMAGE))
        if task is not None and (unasked or held["state"] == "rejected"):
            self._set(held["id"], retrieval=task, state=self._state, source_peer=arrival.peer)

    def _add(self, arrival: Arrival, ds: Dataset, task: str | None) -> None:
        owner = self._patient(ds, self._issuer(arrival.peer))
        place = upsert_study(self._connection, ds, owner)
        stranger = place["source_patient_id"] != owner and place["patient_id"] != owner
        row = {
            "series_id": upsert_series(self._connection, ds, place["id"]),
            "study_id": place["id"],
            "sop_instance_uid": arrival.sop_instance_uid,
            "sop_class_uid": arrival.sop_class_uid,
            "instance_number": integer(ds, "InstanceNumber"),
            "frames": integer(ds, "NumberOfFrames") or 1,
            "state": "quarantined" if stranger else self._state,
            "flag": "other-patient" if stranger else "",
            "source_peer": arrival.peer,
            "retrieval": task,
            "attributes": _json(ds, attributes.IMAGE),
            "received_at": arrival.received_at,
        }
        instance_id = _insert(self._connection, instance, row)
        self._set(instance_id, version_id=self._add_version(arrival, instance_id, "original"))

    def _add_version(self, arrival: Arrival, instance_id: int, kind: str) -> int:
        row = {
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
        return _insert(self._connection, version, row)

    def _set(self, instance_id: int, **values: Any) -> None:
        self._connection.execute(update(instance).where(instance.c.id == instance_id).values(**values))

    def _patient(self, ds: Dataset, default_issuer: str) -> int:
        return upsert_patient(self._connection, ds, default_issuer)

    def _issuer(self, name: str) -> str:
        """The issuer that this peer means when it names none; in the index only, never in bytes."""
        if name not in self._issuers:
            found = self._connection.execute(select(peer.c.issuer).where(peer.c.name == name)).scalar()
            self._issuers[name] = found or ""
        return self._issuers[name]

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


def upsert_patient(connection: Connection, ds: Dataset, default_issuer: str) -> int:
    """Find or make the patient that a data set names: by PatientID with issuer.

    Another family name together with another birth date under one id is another patient: kept apart and marked.
    Without a PatientID each study has a patient of its own.
    """
    identifier, issuer = text(ds, "PatientID"), attributes.issuer(ds) or default_issuer
    name, birth_date = text(ds, "PatientName"), text(ds, "PatientBirthDate")
    groups = name_groups(name)
    key = f"{identifier}\x1f{issuer}" if identifier else f"\x1f{issuer}\x1f{text(ds, 'StudyInstanceUID')}"
    held = _one(connection, patient, patient.c.patient_key == key)
    conflict = held is not None and _another_person(held, groups, birth_date)
    if conflict:
        key += "\x1f" + sha256(f"{groups}{birth_date}".encode()).hexdigest()[:16]
        held = _one(connection, patient, patient.c.patient_key == key)
    if held is not None:
        return int(held["id"])
    row = {
        "patient_key": key,
        "patient_id": identifier,
        "issuer": issuer,
        "patient_name": name,
        "name_alphabetic": groups[0],
        "name_ideographic": groups[1],
        "name_phonetic": groups[2],
        "birth_date": birth_date,
        "sex": text(ds, "PatientSex"),
        "conflict": conflict,
        "attributes": _json(ds, attributes.PATIENT),
    }
    return _insert(connection, patient, row)


def _another_person(held: RowMapping, groups: tuple[str, str, str], birth_date: str) -> bool:
    families = [group.split("^")[0] for group in (held["name_alphabetic"], groups[0])]
    other_name = all(families) and families[0] != families[1]
    other_date = bool(held["birth_date"]) and bool(birth_date) and held["birth_date"] != birth_date
    return bool(other_name and other_date)


def upsert_study(connection: Connection, ds: Dataset, owner: int) -> RowMapping:
    """Find or make the study of a data set; `owner` is the patient row for a new one."""
    uid = text(ds, "StudyInstanceUID")
    held = _one(connection, study, study.c.study_instance_uid == uid)
    now = time.time()
    if held is not None:
        connection.execute(update(study).where(study.c.id == held["id"]).values(updated_at=now))
        return held
    row = _study_columns(ds) | {
        "study_instance_uid": uid,
        "patient_id": owner,
        "source_patient_id": owner,
        "created_at": now,
        "updated_at": now,
    }
    study_id = _insert(connection, study, row)
    return connection.execute(select(study).where(study.c.id == study_id)).mappings().one()


def upsert_series(connection: Connection, ds: Dataset, study_id: int) -> int:
    """Find or make the series of a data set."""
    uid = text(ds, "SeriesInstanceUID")
    of_study = (series.c.study_id == study_id) & (series.c.series_instance_uid == uid)
    held = _one(connection, series, of_study)
    if held is not None:
        return int(held["id"])
    return _insert(connection, series, _series_columns(ds) | {"study_id": study_id, "series_instance_uid": uid})


def _study_columns(ds: Dataset) -> dict[str, Any]:
    return {
        "study_date": text(ds, "StudyDate"),
        "study_time": text(ds, "StudyTime"),
        "accession_number": text(ds, "AccessionNumber"),
        "study_id": text(ds, "StudyID"),
        "description": text(ds, "StudyDescription"),
        "referring_physician": name_groups(text(ds, "ReferringPhysicianName"))[0],
        "attributes": _json(ds, attributes.STUDY),
    }


def _series_columns(ds: Dataset) -> dict[str, Any]:
    return {
        "modality": text(ds, "Modality"),
        "series_number": integer(ds, "SeriesNumber"),
        "description": text(ds, "SeriesDescription"),
        "body_part": text(ds, "BodyPartExamined"),
        "step_start_date": text(ds, "PerformedProcedureStepStartDate"),
        "attributes": _json(ds, attributes.SERIES),
    }


@dataclass(frozen=True, slots=True)
class Coerced:
    """A rewritten instance that the archive holds: its header, where its data set begins, what decided on it."""

    stored: StoredObject
    content_hash: str
    offset: int
    transfer_syntax_uid: str
    decision: str


def add_coerced_version(connection: Connection, sop_instance_uid: str, coerced: Coerced, ds: Dataset) -> int:
    """Make a rewritten object the version that counts; the original stays and can be switched back to.

    `ds` is the coerced header: the instance's attributes and, for its study, patient, study and series follow it.
    Repeating it with equal bytes changes nothing.  Returns the version's id.
    """
    held = connection.execute(select(instance).where(instance.c.sop_instance_uid == sop_instance_uid)).mappings().one()
    known = select(version.c.id).where(
        version.c.instance_id == held["id"], version.c.content_hash == coerced.content_hash
    )
    version_id = connection.execute(known).scalar()
    if version_id is None:
        row = {
            "instance_id": held["id"],
            "kind": "coerced",
            "object_key": coerced.stored.key,
            "content_hash": coerced.content_hash,
            "size": coerced.stored.size,
            "data_set_offset": coerced.offset,
            "transfer_syntax_uid": coerced.transfer_syntax_uid,
            "decision": coerced.decision,
            "created_at": time.time(),
        }
        version_id = _insert(connection, version, row)
    switch_version(connection, held["id"], version_id, ds)
    return version_id


def switch_version(connection: Connection, instance_id: int, version_id: int, ds: Dataset) -> None:
    """Let another version of an instance count, with the attributes of its header `ds` at every level."""
    places = select(instance.c.study_id, instance.c.series_id).where(instance.c.id == instance_id)
    study_id, series_id = connection.execute(places).one()
    owner = upsert_patient(connection, ds, "")
    values = _study_columns(ds) | {"patient_id": owner, "updated_at": time.time()}
    connection.execute(update(study).where(study.c.id == study_id).values(values))
    connection.execute(update(series).where(series.c.id == series_id).values(_series_columns(ds)))
    changed = {"version_id": version_id, "attributes": _json(ds, attributes.IMAGE)}
    connection.execute(update(instance).where(instance.c.id == instance_id).values(changed))


def set_state(connection: Connection, sop_instance_uids: list[str], state: State) -> int:
    """Release, reject or quarantine instances; return how many there were."""
    changed = update(instance).where(instance.c.sop_instance_uid.in_(sop_instance_uids)).values(state=state)
    return connection.execute(changed).rowcount


def _json(ds: Dataset, keywords: list[str]) -> str:
    return json.dumps(attributes.to_json(ds, keywords), separators=(",", ":"), ensure_ascii=False)


def _one(connection: Connection, table: Table, condition: Any) -> RowMapping | None:
    return connection.execute(select(table).where(condition)).mappings().one_or_none()


def _insert(connection: Connection, table: Table, row: dict[str, Any]) -> int:
    inserted = connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one()
    return int(inserted)
