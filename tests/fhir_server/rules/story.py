"""A case in memory and the people around it, for tests of the rules."""

import asyncio
import base64
import copy
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from joserfc.jwk import ECKey

from fhir_server.caller import Caller
from fhir_server.rules.case import Change, Store, enforce
from fhir_server.rules.change import Proofs, references
from smart_app.report import bundle
from smart_app.report.opinion import Finding, Opinion, Reviewed
from smart_app.report.signature import Proof, Signer

C = "https://konsil.example/fhir"
Resource = dict[str, Any]
KEY = ECKey.generate_key("P-384", {"kid": "signing-key"})
PATHS = {
    "focus": "focus",
    "target": "target",
    "part-of": "partOf",
    "practitioner": "practitioner",
    "participant": "participant",
}


def person(role: str, user: str | None = None, organization: str | None = "Organization/anna") -> Caller:
    scope = "system/*.cruds" if role in {"system", "interface-engine"} else "user/*.cruds"
    return Caller(
        subject=user or role,
        client_id="konsil-app",
        fhir_user=None if role in {"system", "interface-engine"} else f"Practitioner/{user or role}",
        roles=frozenset({role}),
        organization=organization if role in {"requester", "interface-engine"} else None,
        scopes=(scope,),
    )


REQUESTER = person("requester", "weber")
ENGINE = person("interface-engine")
COORDINATOR = person("coordinator", "okafor")
CONSULTANT = person("consultant", "ito")
HIM = person("him", "silva")
GATEWAY = person("system")


def coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def request(status: str = "active") -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "status": status,
        "intent": "order",
        "code": coded(f"{C}/CodeSystem/product", "written-opinion"),
        "subject": {"reference": "Patient/p1"},
        "requester": {"reference": "Practitioner/weber"},
        "supportingInfo": [{"reference": "Consent/basis"}, {"reference": "Condition/c1"}],
    }


def case(state: str = "submitted", status: str = "requested", owner: str | None = None) -> Resource:
    task = {
        "resourceType": "Task",
        "id": "t1",
        "status": status,
        "intent": "order",
        "code": coded("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
        "businessStatus": coded(f"{C}/CodeSystem/business-status", state),
        "focus": {"reference": "ServiceRequest/s1"},
        "for": {"reference": "Patient/p1"},
        "requester": {"reference": "Practitioner/weber"},
        "meta": {"versionId": "1"},
    }
    return task | ({"owner": {"reference": owner}} if owner else {})


def child(code: str, status: str = "requested", **more: Any) -> Resource:
    return {
        "resourceType": "Task",
        "id": code,
        "status": status,
        "intent": "order",
        "code": coded(f"{C}/CodeSystem/task-code", code),
        "partOf": [{"reference": "Task/t1"}],
        "for": {"reference": "Patient/p1"},
    } | more


def communication(sender: str, kind: str = "message", **elements: Any) -> Resource:
    return {
        "resourceType": "Communication",
        "id": "m1",
        "status": "completed",
        "basedOn": [{"reference": "Task/t1"}, {"reference": "ServiceRequest/s1"}],
        "category": [coded(f"{C}/CodeSystem/message", kind)],
        "subject": {"reference": "Patient/p1"},
        "sender": {"reference": sender},
        "payload": [{"contentString": "How wide is the canal?"}],
        **elements,
    }


def decision(value: str, reason: str | None = None) -> list[Resource]:
    outputs = [{"type": coded(f"{C}/CodeSystem/task-output", "decision"), "valueCode": value}]
    if reason:
        outputs.append({"type": coded(f"{C}/CodeSystem/task-output", "reason"), "valueString": reason})
    return outputs


CONSENT: Resource = {
    "resourceType": "Consent",
    "id": "basis",
    "status": "active",
    "category": [coded("http://loinc.org", "64292-6")],
    "patient": {"reference": "Patient/p1"},
}
TREATMENT: Resource = {
    "resourceType": "Provenance",
    "id": "treatment",
    "target": [{"reference": "ServiceRequest/s1"}],
    "reason": [coded("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT")],
    "policy": ["https://www.ecfr.gov/current/title-45/part-164/section-164.506"],
    "agent": [{"who": {"reference": "Practitioner/weber"}}],
}
LABEL = {"security": [{"system": f"{C}/CodeSystem/label", "code": "quarantined"}]}
RECORDS: list[Resource] = [
    CONSENT,
    {"resourceType": "Patient", "id": "p1"},
    {"resourceType": "Patient", "id": "p2"},
    {"resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}},
    {"resourceType": "Condition", "id": "c2", "subject": {"reference": "Patient/p2"}},
    {"resourceType": "ImagingStudy", "id": "ct", "subject": {"reference": "Patient/p1"}},
    {"resourceType": "ImagingStudy", "id": "waiting", "subject": {"reference": "Patient/p1"}, "meta": LABEL},
]


class Memory:
    """Resources by reference; `run` puts changes through the rules and keeps them if they hold."""

    proof: Proofs | None = None

    def __init__(self, *resources: Resource) -> None:
        self.resources = {f"{one['resourceType']}/{one['id']}": one for one in (*RECORDS, *resources)}

    def run(self, caller: Caller, *written: Resource, deleted: Sequence[str] = ()) -> list[Change]:
        changes = [self._change(copy.deepcopy(one)) for one in written]
        changes += [Change("delete", self.resources[one], None) for one in deleted]
        added = asyncio.run(enforce(changes, caller, Store(self.load, self.find, self.keys, self.proof)))
        for change in (*changes, *added):
            self.resources[change.reference] = change.new  # type: ignore[assignment]
        return added

    def _change(self, new: Resource) -> Change:
        old = self.resources.get(f"{new['resourceType']}/{new['id']}")
        return Change("update" if old else "create", old, new)

    async def load(self, reference: str) -> Resource | None:
        return self.resources.get(reference)

    async def find(self, resource_type: str, parameters: Mapping[str, str]) -> list[Resource]:
        ((parameter, target),) = parameters.items()
        found = (one for one in self.resources.values() if one["resourceType"] == resource_type)
        return [one for one in found if target in references(one.get(PATHS[parameter]))]

    async def keys(self, client_id: str) -> list[dict[str, Any]]:
        return [dict(KEY.as_dict(private=False))] if client_id == "konsil-app" else []


OPINION = Opinion(
    answer="Operate: the valve leaks severely.",
    concordance={
        "diagnosis": "refined",
        "treatment": "modified",
        "confidence": "high",
        "data-adequacy": "adequate",
        "first-subspecialty-review": "yes",
    },
    findings=(Finding("Severe regurgitation", (1,)),),
    recommendations=("Repair within three months",),
    patient_version="Your valve should be repaired.",
    reviewed=(Reviewed("ImagingStudy/ct", "CT of the heart"), Reviewed("Condition/c1", "Mitral regurgitation")),
)


def signed(
    memory: Memory, signer: str = "Practitioner/ito", key: ECKey = KEY, proof: Proof | None = None
) -> list[Resource]:
    """The resources of the transaction that the app sends when a consultant signs."""
    signing = bundle.Signing(
        task=memory.resources["Task/t1"],
        service_request=memory.resources["ServiceRequest/s1"],
        signer=signer,
        when=datetime(2026, 11, 20, 16, 40, tzinfo=UTC),
        instances=["1.2.3.1", "1.2.3.2"],
    )
    by = Signer(signer, signing.when, signing.instances, proof)
    transaction = bundle.signed(bundle.unsigned(OPINION, b"%PDF-1.7", signing), by, key)
    return [entry["resource"] for entry in transaction["entry"]]


def signature_data(compact: str) -> str:
    return base64.b64encode(compact.encode()).decode()
