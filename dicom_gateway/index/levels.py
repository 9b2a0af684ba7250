"""Patient, study and series of the index: found or made from a data set."""

import json
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.engine import RowMapping

from dicom_gateway import attributes
from dicom_gateway.attributes import integer, name_groups, text
from dicom_gateway.index.models import instance, patient, series, study, version

# Made once: making a statement costs more than running it.
INSERTS = {table.name: insert(table).returning(table.c.id) for table in (patient, study, series, instance, version)}


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
        "attributes": level_json(ds, attributes.PATIENT),
    }
    return add(connection, patient, row)


def _another_person(held: RowMapping, groups: tuple[str, str, str], birth_date: str) -> bool:
    families = [group.split("^")[0] for group in (held["name_alphabetic"], groups[0])]
    other_name = all(families) and families[0] != families[1]
    other_date = bool(held["birth_date"]) and bool(birth_date) and held["birth_date"] != birth_date
    return bool(other_name and other_date)


def upsert_study(connection: Connection, ds: Dataset, owner: int) -> Mapping[str, Any]:
    """Find or make the study of a data set; `owner` is the patient row for a new one."""
    uid = text(ds, "StudyInstanceUID")
    held = _one(connection, study, study.c.study_instance_uid == uid)
    if held is not None:
        return dict(held)
    now = time.time()
    row = study_columns(ds) | {
        "study_instance_uid": uid,
        "patient_id": owner,
        "source_patient_id": owner,
        "created_at": now,
        "updated_at": now,
    }
    return {**row, "id": add(connection, study, row)}


def upsert_series(connection: Connection, ds: Dataset, study_id: int) -> int:
    """Find or make the series of a data set."""
    uid = text(ds, "SeriesInstanceUID")
    of_study = (series.c.study_id == study_id) & (series.c.series_instance_uid == uid)
    held = _one(connection, series, of_study)
    if held is not None:
        return int(held["id"])
    return add(connection, series, series_columns(ds) | {"study_id": study_id, "series_instance_uid": uid})


def study_columns(ds: Dataset) -> dict[str, Any]:
    """The columns of a study that a data set gives."""
    return {
        "study_date": text(ds, "StudyDate"),
        "study_time": text(ds, "StudyTime"),
        "accession_number": text(ds, "AccessionNumber"),
        "study_id": text(ds, "StudyID"),
        "description": text(ds, "StudyDescription"),
        "referring_physician": name_groups(text(ds, "ReferringPhysicianName"))[0],
        "attributes": level_json(ds, attributes.STUDY),
    }


def series_columns(ds: Dataset) -> dict[str, Any]:
    """The columns of a series that a data set gives."""
    return {
        "modality": text(ds, "Modality"),
        "series_number": integer(ds, "SeriesNumber"),
        "description": text(ds, "SeriesDescription"),
        "body_part": text(ds, "BodyPartExamined"),
        "step_start_date": text(ds, "PerformedProcedureStepStartDate"),
        "attributes": level_json(ds, attributes.SERIES),
    }


def level_json(ds: Dataset, keywords: list[str]) -> str:
    """The DICOM JSON model of some attributes, as it is kept."""
    return json.dumps(attributes.to_json(ds, keywords), separators=(",", ":"), ensure_ascii=False)


def _one(connection: Connection, table: Table, condition: Any) -> RowMapping | None:
    return connection.execute(select(table).where(condition)).mappings().one_or_none()


def add(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    """Insert one row and give its id."""
    return int(connection.execute(INSERTS[table.name], row).scalar_one())
