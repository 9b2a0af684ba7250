"""Attribute matching as SQL.  PS3.4 C.2.2.2

The value of a key is the text that a C-FIND identifier or a QIDO query carries: single value, list of UIDs, wild card,
range; empty or `*` matches everything.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydicom.datadict import dictionary_VR, tag_for_keyword
from sqlalchemy import Boolean, Column, ColumnElement, Integer, and_, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement

from dicom_gateway.attributes import fold, name_groups
from dicom_gateway.index.models import BYTEWISE, instance, patient, series, study

NAMES: Final = (patient.c.name_alphabetic, patient.c.name_ideographic, patient.c.name_phonetic)

# keyword -> the columns any of which may match
COLUMNS: Final[Mapping[str, tuple[Column[Any], ...]]] = {
    "PatientID": (patient.c.patient_id,),
    "IssuerOfPatientID": (patient.c.issuer,),
    "PatientName": NAMES,
    "PatientBirthDate": (patient.c.birth_date,),
    "PatientSex": (patient.c.sex,),
    "StudyInstanceUID": (study.c.study_instance_uid,),
    "StudyDate": (study.c.study_date,),
    "StudyTime": (study.c.study_time,),
    "AccessionNumber": (study.c.accession_number,),
    "StudyID": (study.c.study_id,),
    "StudyDescription": (study.c.description,),
    "ReferringPhysicianName": (study.c.referring_physician,),
    "SeriesInstanceUID": (series.c.series_instance_uid,),
    "Modality": (series.c.modality,),
    "SeriesNumber": (series.c.series_number,),
    "SeriesDescription": (series.c.description,),
    "BodyPartExamined": (series.c.body_part,),
    "PerformedProcedureStepStartDate": (series.c.step_start_date,),
    "SOPInstanceUID": (instance.c.sop_instance_uid,),
    "SOPClassUID": (instance.c.sop_class_uid,),
    "InstanceNumber": (instance.c.instance_number,),
    "NumberOfFrames": (instance.c.frames,),
}
KEYS: Final = {
    "PATIENT": ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription"),
        *("ReferringPhysicianName", "ModalitiesInStudy", "SOPClassesInStudy"),
    ),
    "SERIES": (
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined"),
        "PerformedProcedureStepStartDate",
    ),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "NumberOfFrames"),
}
LEVELS: Final = tuple(KEYS)
LAST_CHARACTER: Final = "\U0010ffff"
OF_STUDY: Final = ("ModalitiesInStudy", "SOPClassesInStudy")


class WildCard(FunctionElement[bool]):
    """Case-sensitive wild card matching of a column against a pattern with `*` and `?`."""

    type = Boolean()
    inherit_cache = True
    name = "wild_card"


@compiles(WildCard, "sqlite")
def _glob(element: WildCard, compiler: SQLCompiler, **kw: Any) -> str:
    column, pattern = element.clauses
    return f"{compiler.process(column, **kw)} GLOB replace({compiler.process(pattern, **kw)}, '[', '[[]')"


@compiles(WildCard)
def _like(element: WildCard, compiler: SQLCompiler, **kw: Any) -> str:
    column, pattern = element.clauses
    escaped = compiler.process(pattern, **kw)
    for character, meant in (("\\", "\\\\"), ("%", "\\%"), ("_", "\\_"), ("*", "%"), ("?", "_")):
        sql = ["'" + text.replace("%", "%%") + "'" for text in (character, meant)]
        escaped = f"replace({escaped}, {sql[0]}, {sql[1]})"
    return f"{compiler.process(column, **kw)} LIKE {escaped} ESCAPE '\\'"


def supported(level: str, keyword: str) -> bool:
    """Whether a key can be matched at a level: it belongs to that level or to one above."""
    return any(keyword in KEYS[above] for above in LEVELS[: LEVELS.index(level) + 1])


def condition(keyword: str, value: str, states: tuple[str, ...]) -> ColumnElement[bool]:
    """Make the condition that one key sets.  PS3.4 C.2.2.2.1 to C.2.2.2.6"""
    value = value.strip()
    if value in {"", "*"}:
        return true()
    if keyword in OF_STUDY:
        return _of_study(keyword, value, states)
    vr = dictionary_VR(_tag(keyword))
    if vr == "PN":
        return _person(keyword, value)
    if vr in {"DA", "TM", "DT"}:
        return _range(COLUMNS[keyword][0], value)
    column = COLUMNS[keyword][0]
    if isinstance(column.type, Integer):
        numbers = [int(part) for part in value.split("\\") if part.strip().lstrip("+-").isdigit()]
        return column.in_(numbers)
    return or_(*(_single(column, part.strip()) for part in value.split("\\")))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return int(tag)


def _single(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """Equal, or by wild card; where a column is ordered by bytes, what comes before the first one is said as a range
    too, which an index answers.
    """
    beginning = re.split(r"[*?]", value, maxsplit=1)[0]
    if beginning == value:
        return column == value
    if not beginning or column.type is not BYTEWISE:
        return WildCard(column, value)
    return and_(column >= beginning, column < beginning + LAST_CHARACTER, WildCard(column, value))


def _person(keyword: str, value: str) -> ColumnElement[bool]:
    """Names match without regard to case, in any component group; several groups match side by side."""
    columns = COLUMNS[keyword]
    groups = name_groups(value)
    if sum(map(bool, groups)) > 1:
        pairs = zip(columns, groups, strict=False)
        return and_(*(_single(column, group) for column, group in pairs if group))
    wanted = next((group for group in groups if group), fold(value))
    return or_(*(_single(column, wanted) for column in columns))


def _range(column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
    """A range includes its ends; an end of less precision includes all that begins with it.  PS3.4 C.2.2.2.5"""
    if "-" not in value:
        return and_(column >= value, column <= value + "~")
    low, high = (part.strip() for part in value.split("-", 1))
    parts = [column != ""]
    if low:
        parts.append(column >= low)
    if high:
        parts.append(column <= high + "~")
    return and_(*parts)


def _of_study(keyword: str, value: str, states: tuple[str, ...]) -> ColumnElement[bool]:
    inner_series, inner = series.alias(), instance.alias()
    column = inner_series.c.modality if keyword == "ModalitiesInStudy" else inner.c.sop_class_uid
    wanted = or_(*(_single(column, part.strip()) for part in value.split("\\")))
    seen = select(inner.c.id).join(inner_series, inner_series.c.id == inner.c.series_id)
    return seen.where(inner_series.c.study_id == study.c.id, inner.c.state.in_(states), wanted).exists()
