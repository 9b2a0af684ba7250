"""The signed opinion as one FHIR transaction: report, concordance, signature, case.  case-model, rule 4"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from joserfc.jwk import ECKey, RSAKey

from smart_app.report import signature, stored
from smart_app.report.opinion import QUESTIONS, VALUES, Opinion
from smart_app.report.signature import Signer

CANONICAL = "https://konsil.example/fhir"
SUPPORTING_INFO = "http://hl7.org/fhir/StructureDefinition/workflow-supportingInfo"
CONSULT_NOTE = {"system": "http://loinc.org", "code": "11488-4", "display": "Consult note"}
Resource = dict[str, Any]


@dataclass(frozen=True)
class Signing:
    """Who signs what: `task` and `service_request` as read, `signer` as `Practitioner/id`, `when` with its zone."""

    task: Resource
    service_request: Resource
    signer: str
    when: datetime
    instances: Sequence[str]
    first_report: str | None = None
    amends: str = ""


def unsigned(opinion: Opinion, pdf: bytes, signing: Signing) -> Resource:
    """The transaction Bundle that signs the case, but for the signature: `signed` puts it in.

    The Task goes in with If-Match, so that a second click fails.  The report and the Observation get ids here, because
    what is signed may not be rewritten by the server.
    """
    report_id, observation_id = str(uuid4()), str(uuid4())
    observation = concordance(opinion, signing, observation_id)
    report = diagnostic_report(opinion, pdf, signing, (report_id, observation_id))
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            put(observation),
            put(report),
            put(provenance(report_id, observation_id, signing)),
            put(completed(signing, report_id), if_match=f'W/"{signing.task["meta"]["versionId"]}"'),
        ],
    }


def the(resource_type: str, transaction: Resource) -> Resource:
    """The one resource of a type in a transaction Bundle."""
    found: Resource = next(
        entry["resource"] for entry in transaction["entry"] if entry["resource"]["resourceType"] == resource_type
    )
    return found


def signed(transaction: Resource, signer: Signer, key: ECKey | RSAKey) -> Resource:
    """The transaction with the signature on its report."""
    compact = signature.sign(the("DiagnosticReport", transaction), signer, key)
    vouched = the("Provenance", transaction)
    vouched["signature"] = [signature.as_fhir(compact, signer)]
    vouched["recorded"] = vouched["signature"][0]["when"]
    return transaction


def put(resource: Resource, if_match: str | None = None) -> Resource:
    """One PUT entry."""
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url} | ({"ifMatch": if_match} if if_match else {})
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource, "request": request}


def diagnostic_report(opinion: Opinion, pdf: bytes, signing: Signing, ids: tuple[str, str]) -> Resource:
    """The opinion: answer in `conclusion`, reviewed studies in `imagingStudy`, all else reviewed in the extension."""
    report_id, observation_id = ids
    studies = [{"reference": r.reference, "display": r.display} for r in opinion.reviewed if is_study(r.reference)]
    others = [
        {"url": SUPPORTING_INFO, "valueReference": {"reference": r.reference, "display": r.display}}
        for r in opinion.reviewed
        if not is_study(r.reference)
    ]
    when = signing.when.isoformat(timespec="seconds")
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "id": report_id,
        "extension": others,
        "basedOn": [{"reference": reference(signing.service_request)}],
        "status": "final",
        "code": {"coding": [CONSULT_NOTE], "text": "Second opinion"},
        "subject": signing.task["for"],
        "effectiveDateTime": when,
        "issued": when,
        "performer": [{"reference": signing.signer}],
        "resultsInterpreter": [{"reference": signing.signer}],
        "result": [{"reference": f"Observation/{observation_id}"}],
        "imagingStudy": studies,
        "conclusion": opinion.answer,
        "presentedForm": [
            {
                "contentType": "application/pdf",
                "language": "en",
                "data": base64.b64encode(pdf).decode(),
                "title": "Second opinion",
                "creation": when,
            },
            stored.attachment(opinion, when, signing.amends),
        ],
    }
    return {name: value for name, value in resource.items() if value != []}


def concordance(opinion: Opinion, signing: Signing, observation_id: str) -> Resource:
    """First and second opinion compared.  `focus` is the first report when one is known."""
    first = signing.first_report or reference(signing.service_request)
    return {
        "resourceType": "Observation",
        "id": observation_id,
        "status": "final",
        "code": coded("concordance", "concordance", "Concordance with the first opinion"),
        "subject": signing.task["for"],
        "focus": [{"reference": first}],
        "basedOn": [{"reference": reference(signing.service_request)}],
        "effectiveDateTime": signing.when.isoformat(timespec="seconds"),
        "performer": [{"reference": signing.signer}],
        "component": [
            {
                "code": coded("concordance", key, title),
                "valueCodeableConcept": coded("concordance-value", value, VALUES[value]),
            }
            for key, (title, _) in QUESTIONS.items()
            if (value := opinion.concordance.get(key))
        ],
    }


def provenance(report_id: str, observation_id: str, signing: Signing) -> Resource:
    """Who signs; the signature itself comes in by `signed`."""
    when = signing.when.isoformat(timespec="seconds")
    return {
        "resourceType": "Provenance",
        "id": str(uuid4()),
        "target": [{"reference": f"DiagnosticReport/{report_id}"}, {"reference": f"Observation/{observation_id}"}],
        "recorded": when,
        "activity": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation", "code": "CREATE"}]
        },
        "agent": [
            {
                "type": {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                            "code": "author",
                        }
                    ]
                },
                "who": {"reference": signing.signer},
            }
        ],
    }


def completed(signing: Signing, report_id: str) -> Resource:
    """The case after signing: completed, report-signed, its output the report."""
    output = {
        "type": coded("task-output", "report", "Report"),
        "valueReference": {"reference": f"DiagnosticReport/{report_id}"},
    }
    return signing.task | {
        "status": "completed",
        "lastModified": signing.when.isoformat(timespec="seconds"),
        "businessStatus": coded("business-status", "report-signed", "Report signed"),
        "output": [*signing.task.get("output", []), output],
    }


def coded(system: str, code: str, display: str) -> Resource:
    """A CodeableConcept of the project's own CodeSystem."""
    return {"coding": [{"system": f"{CANONICAL}/CodeSystem/{system}", "code": code, "display": display}]}


def reference(resource: Resource) -> str:
    """`Type/id` of a resource as read."""
    return f"{resource['resourceType']}/{resource['id']}"


def is_study(relative: str) -> bool:
    """Whether a reviewed record is imaging."""
    return relative.startswith("ImagingStudy/")
