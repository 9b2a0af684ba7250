"""Reading the index: one query for C-FIND and QIDO-RS, and where instances lie for C-MOVE, C-GET and WADO-RS.

Only instances in one of `states` exist for a query, and studies, series and patients only through them.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, distinct, func, select
from sqlalchemy.engine import RowMapping

from dicom_gateway.attributes import Attributes, tag_of
from dicom_gateway.index.matching import LEVELS, condition, supported
from dicom_gateway.index.models import instance, patient, series, study, version

RELEASED: Final = ("released",)
TABLES: Final = {"PATIENT": patient, "STUDY": study, "SERIES": series, "IMAGE": instance}
ORDER: Final[dict[str, tuple[ColumnElement[Any], ...]]] = {
    "PATIENT": (patient.c.patient_name, patient.c.id),
    "STUDY": (study.c.study_date.desc(), study.c.id),
    "SERIES": (study.c.study_date.desc(), study.c.id, series.c.series_number, series.c.id),
    "IMAGE": (study.c.study_date.desc(), study.c.id, series.c.id, instance.c.instance_number, instance.c.id),
}


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.  `match`: keyword -> DICOM matching text.  `studies`: the only studies that exist, if given."""

    level: str
    match: Mapping[str, str] = field(default_factory=dict)
    studies: Collection[str] | None = None
    states: tuple[str, ...] = RELEASED
    limit: int | None = None
    offset: int = 0


class Located(NamedTuple):
    """One instance in its current version, and where its bytes are; a study has thousands: a tuple is quickly made."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    object_key: str
    data_set_offset: int
    size: int
    version_id: int
    frames: int
    instance_number: int | None
    state: str
    flag: str
    retrieval: str | None
    source_peer: str


def find(connection: Connection, query: Query) -> list[Attributes]:
    """Search one level; each hit has the attributes of its level and of those above, and the counted ones.  PS3.4 C.6

    In a stable order.  Keys that cannot be matched are passed over: see `unsupported`.
    """
    depth = LEVELS.index(query.level) + 1
    tables = [TABLES[level] for level in LEVELS[:depth]]
    columns = [table.c.attributes.label(table.name) for table in tables]
    ids = [table.c.id.label(f"{table.name}_row") for table in tables]
    ordered = _selected(query, *columns, *ids).order_by(*ORDER[query.level]).limit(query.limit).offset(query.offset)
    rows = connection.execute(ordered).mappings().all()
    counted = {table.name: _counts(connection, table, rows, query.states) for table in tables[:3]}
    return [_merge(row, tables, counted) for row in rows]


def count(connection: Connection, query: Query) -> int:
    """Say how many hits a search has in all."""
    inner = _selected(query, TABLES[query.level].c.id).subquery()
    return connection.execute(select(func.count()).select_from(inner)).scalar_one()


def unsupported(query: Query) -> list[str]:
    """Name the keys of a search that cannot be matched at its level."""
    return [keyword for keyword in query.match if not supported(query.level, keyword)]


def _selected(query: Query, *columns: ColumnElement[Any]) -> Select[Any]:
    statement = select(*columns).select_from(patient.join(study, study.c.patient_id == patient.c.id))
    if query.level in {"SERIES", "IMAGE"}:
        statement = statement.join(series, series.c.study_id == study.c.id)
    if query.level == "IMAGE":
        statement = statement.join(instance, instance.c.series_id == series.c.id)
        statement = statement.where(instance.c.state.in_(query.states))
    else:
        seen = instance.alias("seen")
        of = seen.c.series_id == series.c.id if query.level == "SERIES" else seen.c.study_id == study.c.id
        statement = statement.where(select(seen.c.id).where(of, seen.c.state.in_(query.states)).exists())
    if query.studies is not None:
        statement = statement.where(study.c.study_instance_uid.in_(sorted(query.studies)))
    for keyword, value in query.match.items():
        if supported(query.level, keyword):
            statement = statement.where(condition(keyword, value, query.states))
    return statement.group_by(patient.c.id) if query.level == "PATIENT" else statement


def _counts(
    connection: Connection, table: Table, rows: Iterable[RowMapping], states: tuple[str, ...]
) -> dict[int, dict[str, Any]]:
    """The counted attributes of each patient, study or series among the hits."""
    ids = sorted({row[f"{table.name}_row"] for row in rows})
    found: dict[int, dict[str, Any]] = {row_id: {} for row_id in ids}
    for start in range(0, len(ids), 500):
        part = table.c.id.in_(ids[start : start + 500])
        joined = (
            patient.join(study, study.c.patient_id == patient.c.id)
            .join(series)
            .join(instance, instance.c.series_id == series.c.id)
        )
        numbers = select(
            table.c.id,
            func.count(distinct(study.c.id)).label("studies"),
            func.count(distinct(series.c.id)).label("series"),
            func.count(instance.c.id).label("instances"),
        )
        for row in connection.execute(
            numbers.select_from(joined).where(part, instance.c.state.in_(states)).group_by(table.c.id)
        ).mappings():
            found[row["id"]].update(row)
        if table is study:
            for name, column in (("modalities", series.c.modality), ("classes", instance.c.sop_class_uid)):
                values = select(study.c.id, column).select_from(joined).where(part, instance.c.state.in_(states))
                for row_id, value in connection.execute(values.distinct().order_by(study.c.id, column)):
                    found[row_id].setdefault(name, []).append(value)
    return found


def _merge(row: RowMapping, tables: list[Table], counted: dict[str, dict[int, dict[str, Any]]]) -> Attributes:
    merged: Attributes = {}
    for table in tables:
        merged |= json.loads(row[table.name])
        merged |= _counted_attributes(table.name, counted.get(table.name, {}).get(row[f"{table.name}_row"], {}))
    return merged


def _counted_attributes(level: str, values: Mapping[str, Any]) -> Attributes:
    """Number of Related ... and the lists of a study.  PS3.4 C.3.4"""
    related = {
        "patient": (
            ("NumberOfPatientRelatedStudies", "studies"),
            ("NumberOfPatientRelatedSeries", "series"),
            ("NumberOfPatientRelatedInstances", "instances"),
        ),
        "study": (("NumberOfStudyRelatedSeries", "series"), ("NumberOfStudyRelatedInstances", "instances")),
        "series": (("NumberOfSeriesRelatedInstances", "instances"),),
    }
    found: Attributes = {
        tag_of(keyword): {"vr": "IS", "Value": [values[key]]}
        for keyword, key in related.get(level, ())
        if key in values
    }
    for keyword, vr, key in (("ModalitiesInStudy", "CS", "modalities"), ("SOPClassesInStudy", "UI", "classes")):
        if key in values:
            found[tag_of(keyword)] = {"vr": vr, "Value": values[key]}
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Which instances: all that agree with whatever is given; a backslash separates alternatives, as in DICOM."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    patient_id: str | None = None
    retrieval: str | None = None


def locate(connection: Connection, place: Place, states: tuple[str, ...] = RELEASED) -> list[Located]:
    """Find instances in their current version, in the order of series and instance number."""
    joined = (
        instance.join(series, instance.c.series_id == series.c.id)
        .join(study, instance.c.study_id == study.c.id)
        .join(patient, study.c.patient_id == patient.c.id)
        .join(version, instance.c.version_id == version.c.id)
    )
    names: dict[str, Table] = {
        "study_instance_uid": study,
        "series_instance_uid": series,
        "sop_instance_uid": instance,
        "patient_id": patient,
        "retrieval": instance,
    }
    columns = (  # in the order of the fields of Located
        *(study.c.study_instance_uid, series.c.series_instance_uid, instance.c.sop_instance_uid),
        *(instance.c.sop_class_uid, version.c.transfer_syntax_uid, version.c.object_key, version.c.data_set_offset),
        *(version.c.size, version.c.id.label("version_id"), instance.c.frames, instance.c.instance_number),
        *(instance.c.state, instance.c.flag, instance.c.retrieval, instance.c.source_peer),
    )
    statement = select(*columns).select_from(joined).where(instance.c.state.in_(states))
    for name, table in names.items():
        wanted = getattr(place, name)
        if wanted is not None:
            values = str(wanted).split("\\")
            statement = statement.where(table.c[name].in_(values))
    order = (study.c.id, series.c.series_number, series.c.id, instance.c.instance_number, instance.c.id)
    return [Located._make(row) for row in connection.execute(statement.order_by(*order)).all()]
