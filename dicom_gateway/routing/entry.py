"""A routing rule as it is written down, and whether a study meets it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pydicom.valuerep import validate_value
from sqlalchemy import Connection

from dicom_gateway import hours
from dicom_gateway.index.matching import supported
from dicom_gateway.index.query import Place, Query, count, locate
from dicom_gateway.publish.codes import reference_of
from dicom_gateway.publish.fhir import Resource

WRITABLE: Final[Mapping[str, str]] = {
    "ImplicitVRLittleEndian": str(ImplicitVRLittleEndian),
    "ExplicitVRLittleEndian": str(ExplicitVRLittleEndian),
    "RLELossless": str(RLELossless),
    "JPEGLSLossless": str(JPEGLSLossless),
    "JPEG2000Lossless": str(JPEG2000Lossless),
}
TEXTS = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"])
IDENTITY = frozenset({"PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex"})
STRUCTURE = frozenset({"SpecificCharacterSet", "Modality", "PhotometricInterpretation", "NumberOfFrames"})
ASSIGNED = frozenset({"accepted", "in-progress"})
Event = Literal["released", "assigned"]
CaseMember = Literal["owner", "requester", "priority"]


class Rule(BaseModel):
    """One rule.  All conditions that it names have to hold; one that names none holds for every released study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="short name used in records and commands")
    title: str = Field(default="", max_length=200, description="what it is for")
    position: int = Field(default=100, ge=0, le=1_000_000, description="the lowest counts where two name one peer")
    when: Event = Field(
        default="released", description="when studies are released, or when their case is assigned to a reader"
    )
    match: dict[str, str] = Field(
        default_factory=dict, description="keyword -> value as in a C-FIND: of patient, study, or one of its series"
    )
    sources: list[str] = Field(default_factory=list, description="peers that it came from, by name; empty: any")
    case: dict[CaseMember, list[str]] = Field(
        default_factory=dict, description="member of the case's Task -> values, one of which it has to have"
    )
    hours: list[str] = Field(default_factory=list, description="when it holds: 18:00-06:00, sat,sun 00:00-24:00")
    to: list[str] = Field(default_factory=list, description="peers to send to, by name")
    to_reader: bool = Field(default=False, description="send to the workstations of whom the case is assigned to")
    transfer_syntax: str = Field(default="", description=f"send in this one: {', '.join(WRITABLE)}; empty: as it is")
    coerce: dict[str, str] = Field(default_factory=dict, description="keyword -> text that the copies sent have")

    @field_validator("match")
    @classmethod
    def _matchable(cls, match: dict[str, str]) -> dict[str, str]:
        for keyword in match:
            if not supported("SERIES", keyword):
                raise ValueError(f"{keyword} cannot be matched")
        return match

    @field_validator("hours")
    @classmethod
    def _hours(cls, spans: list[str]) -> list[str]:
        return list(hours.checked(spans))

    @field_validator("transfer_syntax")
    @classmethod
    def _lossless(cls, name: str) -> str:
        if name and name not in WRITABLE:
            raise ValueError(f"one of {', '.join(WRITABLE)}")
        return name

    @field_validator("coerce")
    @classmethod
    def _coercible(cls, coerce: dict[str, str]) -> dict[str, str]:
        for keyword, value in coerce.items():
            if keyword in IDENTITY | STRUCTURE:
                raise ValueError(f"{keyword} is not for a rule to change")
            try:
                vr = dictionary_VR(keyword)
            except KeyError as error:
                raise ValueError(f"{keyword} is no keyword of PS3.6") from error
            if vr not in TEXTS:
                raise ValueError(f"{keyword} is no text")
            validate_value(vr, value, config.RAISE)
        return coerce

    @model_validator(mode="after")
    def _leads_somewhere(self) -> "Rule":
        if not self.to and not self.to_reader:
            raise ValueError("`to` names peers, or `to_reader` is true")
        return self

    @property
    def changes(self) -> bool:
        """Whether what is sent differs from what is kept."""
        return bool(self.transfer_syntax or self.coerce)


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules are asked about: a study, what happened, a case that names it (None: any), the site's time."""

    study_instance_uid: str
    event: Event
    case: Resource | None
    moment: datetime

    @property
    def reader(self) -> str:
        """Whom the case is assigned to, `Practitioner/id`; empty before somebody accepted it."""
        case = self.case or {}
        return reference_of(case.get("owner")) if case.get("status") in ASSIGNED else ""


def unmet(connection: Connection, rule: Rule, facts: Facts) -> list[str]:
    """The conditions that a study does not meet, by member; empty when it meets the rule.

    Only released instances exist for a rule: a study without any meets none.
    """
    released = locate(connection, Place(facts.study_instance_uid))
    wanted = Query("SERIES", rule.match | {"StudyInstanceUID": facts.study_instance_uid})
    reader = facts.reader
    judged: Sequence[tuple[str, bool]] = (
        ("released", bool(released)),
        ("when", rule.when == facts.event and (rule.when == "released" or bool(reader))),
        ("match", count(connection, wanted) > 0),
        ("sources", not rule.sources or any(item.source_peer in rule.sources for item in released)),
        ("case", all(_has(facts.case, member, values) for member, values in rule.case.items())),
        ("hours", hours.within(rule.hours, facts.moment)),
        ("to_reader", bool(rule.to or reader)),
    )
    return [name for name, met in judged if not met]


def _has(case: Resource | None, member: str, values: Sequence[str]) -> bool:
    """Whether a case has one of the values; a case that does not say has R4's default priority, routine."""
    found: Any = (case or {}).get(member)
    if member == "priority" and case is not None:
        return (found or "routine") in values
    return reference_of(found) in values
