"""ImagingStudy, Endpoint and the outside Patient in FHIR R4, built from the index.
https://hl7.org/fhir/R4/imagingstudy.html
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from dicom_gateway.publish.codes import IDENTIFIER, QUARANTINED, study_identifier
from dicom_gateway.publish.fhir import Resource

DCM = "http://dicom.nema.org/resources/ontology/DCM"
ACCESSION_TYPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
CONNECTION = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
# Acquisition modalities (PS3.16 CID 29): what made pictures, not what was made of them.
MODALITIES = (
    "AR BDUS BI BMD CR CT CTPROTOCOL DG DX ECG EEG EMG EOG EPS ES GM HC HD IO IVOCT IVUS KER LEN LS MG MR NM OAM OCT "
    "OP OPM OPT OPTBSV OPTENF OPV OSS PA POS PT PX RF RG RESP RTIMAGE SM SRF TG US VA XA XAPROTOCOL XC"
)
ACQUISITION = frozenset(MODALITIES.split())
SEXES = {"M": "male", "F": "female", "O": "other"}
Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StudyContent:
    """A study as the index has it: its own attributes, and those of each series and instance."""

    study: Attributes
    series: list[Attributes]
    instances: list[Attributes]


def value(model: Attributes, tag: str) -> Any:
    """The first value of an attribute of the DICOM JSON model, None when it is empty."""
    found = model.get(tag, {}).get("Value") or [None]
    return found[0]


def text(model: Attributes, tag: str) -> str:
    """The first value as text, empty when there is none."""
    found = value(model, tag)
    return "" if found is None else str(found).strip()


def imaging_study(content: StudyContent, zone: str) -> Resource:
    """The study without subject, endpoint and labels, which depend on where it stands."""
    study = content.study
    uid = text(study, "0020000D")
    modalities = [code for code in study.get("00080061", {}).get("Value", []) if code in ACQUISITION]
    resource = {
        "resourceType": "ImagingStudy",
        "identifier": [study_identifier(uid), *accession(study)],
        "status": "available",
        "modality": [{"system": DCM, "code": code} for code in modalities],
        "started": started(study, ("00080020", "00080030"), zone),
        "description": text(study, "00081030"),
        "numberOfSeries": len(content.series),
        "numberOfInstances": len(content.instances),
        "series": [series(item, content.instances, zone) for item in content.series],
    }
    return without_empty(resource)


def without_empty(resource: Resource) -> Resource:
    """Elements that have a value: FHIR allows no empty ones."""
    return {name: item for name, item in resource.items() if item not in ("", None, [], {})}


def series(model: Attributes, instances: Iterable[Attributes], zone: str) -> Resource:
    """One series with its instances."""
    uid = text(model, "0020000E")
    own = [item for item in instances if text(item, "0020000E") == uid]
    body_part = text(model, "00180015")
    return without_empty(
        {
            "uid": uid,
            "number": unsigned(value(model, "00200011")),
            "modality": {"system": DCM, "code": text(model, "00080060") or "OT"},
            "description": text(model, "0008103E"),
            "numberOfInstances": len(own),
            "bodySite": {"display": body_part} if body_part else None,
            "started": started(model, ("00080021", "00080031"), zone),
            "instance": [instance(item) for item in own],
        }
    )


def instance(model: Attributes) -> Resource:
    """One instance."""
    return without_empty(
        {
            "uid": text(model, "00080018"),
            "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{text(model, '00080016')}"},
            "number": unsigned(value(model, "00200013")),
        }
    )


def unsigned(number: Any) -> int | None:
    """An unsignedInt, None for anything else."""
    try:
        found = int(number)
    except (TypeError, ValueError):
        return None
    return found if found >= 0 else None


def accession(study: Attributes) -> list[Resource]:
    """The accession number, with its issuer's system where the issuer has a universal id.  PS3.3 C.7.2.1"""
    number = text(study, "00080050")
    if not number:
        return []
    issuer = value(study, "00080051") or {}
    universal = text(issuer, "00400032")
    known = {"system": f"urn:oid:{universal}"} if text(issuer, "00400033") == "ISO" and universal else {}
    return [{"type": ACCESSION_TYPE, **known, "value": number}]


def started(model: Attributes, tags: tuple[str, str], zone: str) -> str | None:
    """When it began, as a FHIR dateTime: with a time the offset is required, without one the date stands alone.

    The offset is that of (0008,0201), else of the site's zone on that day. Dates that are none are left out.
    """
    date, time = text(model, tags[0]), text(model, tags[1])
    day = parsed(date, ("%Y%m%d", "%Y.%m.%d"))
    if day is None:
        return None
    clock = time.partition(".")[0].replace(":", "")
    form = {6: "%H%M%S", 4: "%H%M", 2: "%H"}.get(len(clock))
    moment = parsed(f"{day:%Y%m%d}{clock}", (f"%Y%m%d{form}",)) if form else None
    if moment is None:
        return f"{day:%Y-%m-%d}"
    return moment.replace(tzinfo=offset_of(text(model, "00080201")) or ZoneInfo(zone)).isoformat()


def parsed(date: str, formats: Iterable[str]) -> datetime | None:
    """A moment in one of the formats, without zone."""
    for form in formats:
        try:
            return datetime.strptime(date, form)  # noqa: DTZ007 - the zone is another attribute's
        except ValueError:
            continue
    return None


def offset_of(text_: str) -> timezone | None:
    """The offset `+HHMM` of Timezone Offset From UTC.  PS3.3 C.12.1.1"""
    if len(text_) != 5 or text_[0] not in "+-" or not text_[1:].isdecimal():
        return None
    minutes = int(text_[1:3]) * 60 + int(text_[3:])
    return timezone(timedelta(minutes=-minutes if text_[0] == "-" else minutes)) if minutes < 24 * 60 else None


def endpoint(base_url: str) -> Resource:
    """Where the studies of this gateway are retrieved.  https://hl7.org/fhir/R4/endpoint.html"""
    address = f"{base_url.rstrip('/')}/dicom-web"
    return {
        "resourceType": "Endpoint",
        "identifier": [{"system": f"{IDENTIFIER}/endpoint", "value": address}],
        "status": "active",
        "connectionType": {"system": CONNECTION, "code": "dicom-wado-rs"},
        "name": "DICOMweb of the gateway",
        "payloadType": [{"text": "DICOM WADO-RS"}],
        "payloadMimeType": ["application/dicom", "application/octet-stream", "application/dicom+json"],
        "address": address,
    }


def outside_patient(model: Attributes, study_instance_uid: str) -> Resource:
    """The patient as the outside record names them: quarantined, and nobody of ours."""
    issuer = text(model, "00100021")
    number = text(model, "00100020")
    day = parsed(text(model, "00100030"), ("%Y%m%d",))
    own = {"system": f"{IDENTIFIER}/quarantine", "value": study_instance_uid}
    outside = {"value": number, **({"assigner": {"display": issuer}} if issuer else {})}
    return without_empty(
        {
            "resourceType": "Patient",
            "meta": {"security": [QUARANTINED]},
            "identifier": [own, outside] if number else [own],
            "active": False,
            "name": names(value(model, "00100010") or {}),
            "gender": SEXES.get(text(model, "00100040"), "unknown" if text(model, "00100040") else None),
            "birthDate": f"{day:%Y-%m-%d}" if day else None,
        }
    )


def names(groups: Mapping[str, str]) -> list[Resource]:
    """The component groups of a name as HumanNames, marked by the representation they are.  PS3.5 6.2.1"""
    url = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
    kinds = {"Alphabetic": "ABC", "Ideographic": "IDE", "Phonetic": "SYL"}
    found = []
    for group, kind in kinds.items():
        family, given, middle, prefix, suffix = ((groups.get(group) or "").split("^") + [""] * 5)[:5]
        extension = [{"url": url, "valueCode": kind}] if len(groups) > 1 else []
        name = {
            "extension": extension,
            "family": family,
            "given": [part for part in (given, middle) if part],
            "prefix": [prefix] if prefix else [],
            "suffix": [suffix] if suffix else [],
        }
        if any((family, given, middle)):
            found.append(without_empty(name))
    return found
