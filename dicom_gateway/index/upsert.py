"""Versions and states: which object of an instance counts, and who may see it.

All of this runs in the caller's transaction, under the lock `dicom index`.
"""

import time
from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset
from sqlalchemy import Connection, select, update

from dicom_gateway import attributes
from dicom_gateway.archive import StoredObject
from dicom_gateway.index.levels import add, level_json, series_columns, study_columns, upsert_patient
from dicom_gateway.index.models import instance, series, study, version

State = Literal["quarantined", "released", "rejected"]


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
        version_id = add(connection, version, row)
    switch_version(connection, held["id"], version_id, ds)
    return version_id


def switch_version(connection: Connection, instance_id: int, version_id: int, ds: Dataset) -> None:
    """Let another version of an instance count, with the attributes of its header `ds` at every level."""
    places = select(instance.c.study_id, instance.c.series_id).where(instance.c.id == instance_id)
    study_id, series_id = connection.execute(places).one()
    owner = upsert_patient(connection, ds, "")
    values = study_columns(ds) | {"patient_id": owner, "updated_at": time.time()}
    connection.execute(update(study).where(study.c.id == study_id).values(values))
    connection.execute(update(series).where(series.c.id == series_id).values(series_columns(ds)))
    changed = {"version_id": version_id, "attributes": level_json(ds, attributes.IMAGE)}
    connection.execute(update(instance).where(instance.c.id == instance_id).values(changed))


def set_state(connection: Connection, sop_instance_uids: list[str], state: State) -> int:
    """Release, reject or quarantine instances; return how many there were."""
    changed = update(instance).where(instance.c.sop_instance_uid.in_(sop_instance_uids)).values(state=state)
    return connection.execute(changed).rowcount
