"""The one transaction that sends a request: request, case, records, consent, and a Task for each study to fetch.

Every entry can be sent twice without a second effect: records and Tasks are created conditionally on identifiers that
the draft fixed.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from smart_app.case import codes
from smart_app.case.codes import CANONICAL, CASE_IDENTIFIER, own_code
from smart_app.fhir import Resource
from smart_app.request.content import Content
from smart_app.request.copies import copy_of, criteria
from smart_app.request.priors import Study
from smart_app.words import Clock

CFR_TREATMENT = "https://www.ecfr.gov/current/title-45/section-164.506#p-164.506(c)"
ATTESTATION = (
    "The requesting physician attests that this disclosure is for the treatment of the patient by another provider "
    "(45 CFR 164.506(c))."
)


@dataclass(frozen=True)
class Sending:
    """Everything besides the draft that the transaction needs."""

    patient: str
    requester: Resource  # a Reference, with the identifier at the hospital beside it
    organization: str | None
    fhir_base: str
    service: Resource
    diagnosis: str
    now: str
    promised: str
    records: list[Resource] = field(default_factory=list)
    studies: list[Study] = field(default_factory=list)
    consent_file: bytes = b""
    peer_titles: dict[str, str] = field(default_factory=dict)


def transaction(content: Content, sending: Sending) -> Resource:
    """The Bundle, in the order in which it reads: request, case, basis, records, imaging to fetch."""
    urls = {f"{each['resourceType']}/{each['id']}": f"urn:uuid:{uuid4()}" for each in sending.records}
    request_url, case_url, basis_url = (f"urn:uuid:{uuid4()}" for _ in range(3))
    records = [
        _entry(
            urls[_name(each)],
            copy_of(each, sending.fhir_base, sending.patient, urls),
            criteria(each, sending.fhir_base),
        )
        for each in sending.records
    ]
    consent = content.basis == "consent"
    basis = _consent(content, sending) if consent else _treatment(request_url, sending)
    basis_rule = _once(content, "/consent") if consent else ""
    supporting = [url for name, url in urls.items() if not name.startswith("Condition/")] + [basis_url] * consent
    request = _service_request(content, sending, urls, supporting)
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            _entry(request_url, request, _once(content)),
            _entry(case_url, _case(content, sending, request_url), _once(content)),
            _entry(basis_url, basis, basis_rule),
            *records,
            *(_retrieval_entry(content, sending, study, (request_url, case_url)) for study in sending.studies),
        ],
    }


def _service_request(content: Content, sending: Sending, urls: dict[str, str], supporting: list[str]) -> Resource:
    """case-model.md: ServiceRequest.  The question stands in `note`, the diagnosis in words in `reasonCode.text`."""
    conditions = [url for name, url in urls.items() if name.startswith("Condition/")]
    first = urls.get(content.diagnosis)
    if first in conditions:
        conditions.remove(first)
        conditions.insert(0, first)
    made: Resource = {
        "resourceType": "ServiceRequest",
        "identifier": [_case_identifier(content)],
        "status": "active",
        "intent": "order",
        "priority": content.urgency,
        "category": [{"coding": [codes.EVALUATION_CATEGORY]}],
        "code": {
            "coding": [codes.PATIENT_REFERRAL, *_coding("product", content.product, codes.PRODUCTS)],
            "text": f"Second opinion: {codes.PRODUCTS[content.product].lower()}",
        },
        "subject": {"reference": sending.patient},
        "authoredOn": sending.now,
        "requester": sending.requester,
        "performerType": next(iter(sending.service.get("specialty", [])), None),
        "reasonCode": [
            {"coding": [codes.SECOND_OPINION], "text": sending.diagnosis},
            {"coding": _coding("reason", content.reason, codes.REASONS)},
        ],
        "reasonReference": [{"reference": url} for url in conditions],
        "supportingInfo": [{"reference": url} for url in supporting],
        "note": [{"text": text} for text in (content.question.strip(), content.story.strip()) if text],
    }
    return {name: value for name, value in made.items() if value not in (None, [])}


def _case(content: Content, sending: Sending, request_url: str) -> Resource:
    """case-model.md: Task, the case, in its first state."""
    made: Resource = {
        "resourceType": "Task",
        "identifier": [_case_identifier(content)],
        "status": "requested",
        "businessStatus": own_code("business-status", "submitted", "Sent"),
        "intent": "order",
        "priority": content.urgency,
        "code": {"coding": [codes.CASE_TASK]},
        "description": content.question.strip(),
        "focus": {"reference": request_url},
        "for": {"reference": sending.patient},
        "authoredOn": sending.now,
        "lastModified": sending.now,
        "requester": sending.requester,
        "performerType": sending.service.get("specialty", []),
        "restriction": {"period": {"start": sending.now, "end": sending.promised}},
    }
    return {name: value for name, value in made.items() if value != []}


def _retrieval_entry(content: Content, sending: Sending, study: Study, parents: tuple[str, str]) -> Resource:
    request_url, case_url = parents
    inputs = {
        "peer": study.peer,
        "study-instance-uid": study.study_instance_uid,
        "description": ", ".join(part for part in (study.title, Clock().day(study.day)) if part),
    }
    task = {
        "resourceType": "Task",
        "identifier": [_case_identifier(content, f"/imaging/{study.study_instance_uid}")],
        "partOf": [{"reference": case_url}],
        "status": "requested",
        "intent": "order",
        "priority": content.urgency,
        "code": own_code("task-code", "imaging-retrieval", "Imaging retrieval"),
        "description": f"Fetch {study.title} from {sending.peer_titles.get(study.peer, study.peer)}",
        "focus": {"reference": request_url},
        "for": {"reference": sending.patient},
        "authoredOn": sending.now,
        "lastModified": sending.now,
        "requester": sending.requester,
        "input": [{"type": own_code("task-input", name), "valueString": value} for name, value in inputs.items()],
    }
    return _entry(f"urn:uuid:{uuid4()}", task, _once(content, f"/imaging/{study.study_instance_uid}"))


def _consent(content: Content, sending: Sending) -> Resource:
    """case-model.md: Consent, the patient's signed paper attached with its SHA-1 (Attachment.hash)."""
    attachment = content.consent
    if attachment is None:
        raise ValueError("consent is the basis, and no file is attached")
    return {
        "resourceType": "Consent",
        "identifier": [_case_identifier(content, "/consent")],
        "status": "active",
        "scope": _hl7("consentscope", "patient-privacy", "Privacy Consent"),
        "category": [{"coding": [codes.RELEASE_OF_INFORMATION]}],
        "patient": {"reference": sending.patient},
        "dateTime": sending.now,
        "performer": [{"reference": sending.patient}],
        **({"organization": [{"reference": sending.organization}]} if sending.organization else {}),
        "sourceAttachment": {
            "contentType": attachment.content_type,
            "title": attachment.name,
            "data": base64.b64encode(sending.consent_file).decode(),
            "hash": _sha1(sending.consent_file),
            "creation": sending.now,
        },
        "policyRule": _hl7("consentpolicycodes", "hipaa-auth", "HIPAA Authorization"),
        "provision": {
            "type": "permit",
            "period": {"start": sending.now},
            "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}],
        },
    }


def _treatment(request_url: str, sending: Sending) -> Resource:
    """case-model.md: treatment basis, physician to physician: who attests, and the rule it rests on."""
    agent: Resource = {
        "type": _hl7("provenance-participant-type", "attester", "Attester"),
        "who": sending.requester,
    }
    if sending.organization:
        agent["onBehalfOf"] = {"reference": sending.organization}
    return {
        "resourceType": "Provenance",
        "target": [{"reference": request_url}],
        "recorded": sending.now,
        "policy": [CFR_TREATMENT],
        "reason": [_hl7("v3-ActReason", "TREAT", "treatment")],
        "activity": {"text": ATTESTATION},
        "agent": [agent],
    }


def _entry(full_url: str, resource: Resource, if_none_exist: str) -> Resource:
    request = {"method": "POST", "url": resource["resourceType"]}
    if if_none_exist:
        request["ifNoneExist"] = if_none_exist
    return {"fullUrl": full_url, "resource": resource, "request": request}


def _case_identifier(content: Content, suffix: str = "") -> dict[str, Any]:
    return {"type": {"coding": [codes.FILLER]}, "system": CASE_IDENTIFIER, "value": f"{content.case_number}{suffix}"}


def _once(content: Content, suffix: str = "") -> str:
    return f"identifier={quote(CASE_IDENTIFIER, safe='')}|{quote(content.case_number + suffix, safe='')}"


def _coding(system: str, code: str, titles: dict[str, str]) -> list[dict[str, str]]:
    return [{"system": f"{CANONICAL}/CodeSystem/{system}", "code": code, "display": titles[code]}] if code else []


def _hl7(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code, "display": display}]}


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _sha1(content: bytes) -> str:
    return base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()
