"""A signed report on its way into the hospital's record: a DocumentReference, written once, by our backend client.

The launch token is long dead by then.  Before writing, the patient is read again, and the document is searched by our
identifier, because hospitals' servers know no conditional create.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from smart_app.case.codes import WRITEBACK_IDENTIFIER
from smart_app.errors import AppError, Duplicate, FhirFailure, NotFound, Protected, Unavailable, Unreadable
from smart_app.fhir import FhirClient, Resource
from smart_app.tenants import Tenant, base_url
from smart_app.words import person_name

CONSULT_NOTE = {"system": "http://loinc.org", "code": "11488-4", "display": "Consult note"}
CLINICAL_NOTE = {
    "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
    "code": "clinical-note",
    "display": "Clinical Note",
}
TRY_AGAIN = frozenset({401, 409, 412, 423, 429, 500, 502, 503, 504})


class Refused(Exception):
    """It will not get better by itself; the sentence is for people."""


class Later(Exception):
    """The hospital's server is busy, away, or wants another moment: `after_seconds` when it said how long."""

    def __init__(self, reason: str, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


@dataclass(frozen=True)
class Material:
    """What is written, and for whom."""

    report: Resource
    patient: Resource
    requester: Resource  # a Reference: of our Practitioner, with the identifier at the hospital
    author: str


async def gather(fhir: FhirClient, case_id: str, report: str) -> Material:
    """Read report and patient from our server, with the system token."""
    try:
        task = await fhir.read(f"Task/{case_id}")
        found = await fhir.read(report)
        patient = await fhir.read(task["for"]["reference"])
        signer = await fhir.find(task.get("owner", {}).get("reference")) or {}
    except Unavailable as error:
        raise Later("our own server does not answer") from error
    except AppError as error:
        if error.status in TRY_AGAIN:
            raise Later(f"our own server answered {error.status}") from error
        raise Refused(f"The report could not be read: {error.sentence}") from error
    return Material(found, patient, task.get("requester", {}), _name(signer))


def tenant_of(patient: Resource, tenants: list[Tenant]) -> tuple[Tenant, str]:
    """The hospital the patient came from, and the patient's id there.  Raises Refused."""
    by_system = {f"{base_url(tenant.fhir_base)}/Patient": tenant for tenant in tenants}
    for identifier in patient.get("identifier", []):
        if tenant := by_system.get(identifier.get("system", "")):
            return tenant, identifier["value"]
    raise Refused("No connected hospital record holds this patient. Send the PDF by hand.")


async def file_report(ehr: FhirClient, tenant: Tenant, ehr_patient: str, material: Material) -> str:
    """Write the document unless it is there already; returns `DocumentReference/x`.  Raises Refused, Later."""
    try:
        await _check_patient(ehr, tenant, ehr_patient, material.patient)
        known = await _existing(ehr, ehr_patient, identifier_value(material.report))
        if known is None:
            earlier = await _earlier(ehr, ehr_patient, material.report)
            made = await _created(ehr, _replacing(document(tenant, ehr_patient, material), earlier))
            await _supersede(ehr, earlier)
            known = made or await _existing(ehr, ehr_patient, identifier_value(material.report)) or {"id": ""}
    except Unreadable as error:
        raise Later("the hospital's server gave an answer that cannot be read") from error
    except Unavailable as error:
        raise Later("the hospital's server does not answer") from error
    except Protected as failure:
        raise Refused(f"{failure.sentence} Open it there, give the reason, then send the report again.") from failure
    except FhirFailure as failure:
        if failure.status in TRY_AGAIN:
            raise Later(_again_because(failure.status), failure.after_seconds) from failure
        raise Refused(f"The hospital's server refused the document: {failure.sentence}") from failure
    return f"DocumentReference/{known['id']}"


async def _created(ehr: FhirClient, made: Resource) -> Resource | None:
    """The document as the hospital keeps it; None when it says that it has it already: another worker was first."""
    try:
        return await ehr.create(made)
    except Duplicate:
        return None


def _again_because(status: int) -> str:
    words = {
        401: "the hospital's server did not accept our sign-in",
        429: "the hospital's server asks for patience",
        503: "the hospital's server is down for the moment",
    }
    return words.get(status, f"the hospital's server answered {status}")


async def _check_patient(ehr: FhirClient, tenant: Tenant, ehr_patient: str, ours: Resource) -> None:
    """The patient must still be the one the request was for: not merged away, the same record number."""
    try:
        there = await ehr.read(f"Patient/{ehr_patient}")
    except NotFound as error:
        raise Refused("The hospital's record no longer knows this patient. Health information staff decide.") from error
    merged = any(link.get("type") == "replaced-by" for link in there.get("link", []))
    if merged or not there.get("active", True):
        raise Refused("The hospital has merged this patient's record. Health information staff decide.")
    numbers = _numbers(ours, tenant.patient_identifier_system)
    if numbers and not numbers & _numbers(there, tenant.patient_identifier_system):
        raise Refused("The record number at the hospital has changed. Health information staff decide.")


async def _earlier(ehr: FhirClient, ehr_patient: str, report: Resource) -> list[Resource]:
    """Documents of earlier versions of the same report: an amended one takes their place."""
    if str(report.get("meta", {}).get("versionId", "1")) == "1":
        return []
    found = await ehr.search("DocumentReference", {"patient": ehr_patient}, most=1000)
    return [
        each
        for each in found.matches
        if each.get("status") == "current"
        and any(value.startswith(f"{report['id']}/") for value in _numbers(each, WRITEBACK_IDENTIFIER))
    ]


def _replacing(made: Resource, earlier: list[Resource]) -> Resource:
    """The document with what it replaces.  documentreference.html#relatesTo"""
    replaced = [{"code": "replaces", "target": {"reference": f"DocumentReference/{each['id']}"}} for each in earlier]
    return {**made, "relatesTo": replaced} if replaced else made


async def _supersede(ehr: FhirClient, earlier: list[Resource]) -> None:
    """Mark what was replaced, where the hospital lets us; where it does not, the new document says it alone."""
    for each in earlier:
        try:
            await ehr.update({**each, "status": "superseded"})
        except FhirFailure as failure:
            if failure.status in TRY_AGAIN:
                raise


async def _existing(ehr: FhirClient, ehr_patient: str, value: str) -> Resource | None:
    """What an earlier attempt wrote; looked for among all the patient's documents where identifiers do not work."""
    criteria = {"patient": ehr_patient, "identifier": f"{WRITEBACK_IDENTIFIER}|{value}"}
    try:
        found = await ehr.search("DocumentReference", criteria, most=20)
    except FhirFailure as failure:
        if failure.status not in (400, 403, 422):
            raise
        found = await ehr.search("DocumentReference", {"patient": ehr_patient}, most=1000)
    return next((each for each in found.matches if value in _numbers(each, WRITEBACK_IDENTIFIER)), None)


def document(tenant: Tenant, ehr_patient: str, material: Material) -> Resource:
    """The DocumentReference: the signed PDF inline, final, identified as ours, in the hospital's dialect."""
    pdf = next((each for each in material.report.get("presentedForm", []) if each.get("data")), None)
    if pdf is None:
        raise Refused("The report holds no PDF.")
    issued = material.report.get("issued", "")
    made: Resource = {
        "resourceType": "DocumentReference",
        "identifier": [{"system": WRITEBACK_IDENTIFIER, "value": identifier_value(material.report)}],
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [CONSULT_NOTE], "text": "Second opinion"},
        "category": [{"coding": [CLINICAL_NOTE]}],
        "subject": {"reference": f"Patient/{ehr_patient}"},
        "date": issued,
        "author": [{"display": material.author}],
        "description": f"Second opinion by {material.author}",
        "content": [{"attachment": {**_only(pdf, "contentType", "data", "creation"), "title": "Second opinion"}}],
        "context": {"period": {"start": issued, "end": issued}},
    }
    return DIALECTS[tenant.style](made, material)


def identifier_value(report: Resource) -> str:
    """One document for each version of a report."""
    return f"{report['id']}/{report.get('meta', {}).get('versionId', '1')}"


def _epic(made: Resource, _: Material) -> Resource:
    return made


def _oracle(made: Resource, material: Material) -> Resource:
    """Oracle Health wants the authorised provider as author; the consultant is named in the title."""
    provider = _practitioner_there(material.requester)
    title = f"Second opinion by {material.author}"
    made["content"][0]["attachment"]["title"] = title
    return {**made, "author": [{"reference": provider}]} if provider else made


DIALECTS: dict[str, Callable[[Resource, Material], Resource]] = {"epic": _epic, "oracle": _oracle}


def _practitioner_there(requester: Resource) -> str:
    """The requester's id at the hospital, as the request keeps it beside the reference to our Practitioner."""
    identifier = requester.get("identifier", {})
    known = str(identifier.get("system", "")).endswith("/Practitioner")
    return f"Practitioner/{identifier['value']}" if known else ""


def _numbers(resource: Resource, system: str) -> set[str]:
    return {
        each["value"] for each in resource.get("identifier", []) if each.get("system") == system and "value" in each
    }


def _only(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value[name] for name in names if name in value}


def _name(practitioner: Resource) -> str:
    return person_name(practitioner) if practitioner else "the consultant"
