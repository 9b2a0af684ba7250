"""What the gateway publishes when an outside study has arrived."""

from typing import Any

from tests.fhir_server.case.town import C, Resource, Town, coded

LABEL = {"security": [{"system": f"{C}/CodeSystem/label", "code": "quarantined"}]}
OUTSIDE: Resource = {
    "resourceType": "Patient",
    "id": "outside-1",
    "meta": LABEL,
    "name": [{"family": "Lindquist", "given": ["Maria"]}],
    "birthDate": "1967-03-14",
}
STUDY: Resource = {
    "resourceType": "ImagingStudy",
    "id": "study-1",
    "meta": LABEL,
    "status": "available",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:2.25.1"}],
    "subject": {"reference": "Patient/outside-1"},
}
VOUCHER: Resource = {
    "resourceType": "Provenance",
    "id": "received-1",
    "target": [{"reference": "ImagingStudy/study-1"}],
    "recorded": "2026-11-21T10:00:00Z",
    "agent": [{"who": {"display": "konsil gateway"}}],
}
HIDDEN = {"Patient/outside-1", "ImagingStudy/study-1", "Provenance/received-1", "Task/check-1"}


def reconciliation(made: dict[str, list[str]]) -> Resource:
    """The Task by which HIM staff decide."""
    return {
        "resourceType": "Task",
        "id": "check-1",
        "status": "requested",
        "intent": "order",
        "code": coded("task-code", "reconciliation"),
        "partOf": [{"reference": made["Task"][0]}],
        "focus": {"reference": "ImagingStudy/study-1"},
        "for": {"reference": made["Patient"][0]},
        "input": [
            {"type": coded("task-input", "outside-patient"), "valueReference": {"reference": "Patient/outside-1"}}
        ],
    }


async def publish(town: Town, made: dict[str, list[str]]) -> None:
    """The gateway's transaction."""
    answer = await town.transaction("gateway", OUTSIDE, STUDY, VOUCHER, reconciliation(made))
    assert answer.status_code == 200, answer.text


async def decide(town: Town, decision: str, **more: Any) -> None:
    """HIM staff decide."""
    output = [{"type": coded("task-output", "decision"), "valueCode": decision}]
    answer = await town.change("silva", "Task/check-1", status="completed", output=output, **more)
    assert answer.status_code == 200, answer.text


async def release(town: Town, made: dict[str, list[str]]) -> None:
    """The gateway gives the study to the patient and to the case."""
    study = await town.read("gateway", "ImagingStudy/study-1")
    case = await town.read("gateway", made["Task"][0])
    taken = {"type": coded("task-input", "imaging-study"), "valueReference": {"reference": "ImagingStudy/study-1"}}
    study["subject"] = {"reference": made["Patient"][0]}
    del study["meta"]
    changed = case | {"input": [taken], "businessStatus": coded("business-status", "ready-for-triage")}
    answer = await town.transaction("gateway", study, changed)
    assert answer.status_code == 200, answer.text
