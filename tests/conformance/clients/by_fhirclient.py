"""A round trip by fhirclient (PyPI), SMART's own: `by_fhirclient.py BASE ASSERTION RUN` prints a report as JSON.

It signs in by itself: the token endpoint as the CapabilityStatement has it, then SMART Backend Services.
"""

import json
import sys

import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.observation import Observation
from fhirclient.models.operationoutcome import OperationOutcome
from fhirclient.models.patient import Patient

SYSTEM = "https://clients.example/run"
base, assertion, run = sys.argv[1:]


def code(kind: type[Exception], call, *arguments) -> str:
    """The issue code of a refusal, which must be of this kind."""
    try:
        call(*arguments)
    except kind as error:
        return OperationOutcome(error.response.json()).issue[0].code
    raise SystemExit(f"not refused: {call}")


def observation(patient: str, number: int) -> dict:
    resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "count"},
        "subject": {"reference": patient},
        "effectiveDateTime": f"2026-01-0{number}",
        "valueInteger": number,
    }
    return {"request": {"method": "POST", "url": "Observation"}, "resource": resource}


settings = {"app_id": "round-trip", "api_base": base, "jwt_token": assertion, "scope": "system/*.cruds"}
client = FHIRClient(settings=settings)
client.prepare()
client.server.authorize()
server = client.server

patient = Patient({"identifier": [{"system": SYSTEM, "value": run}], "name": [{"family": "Öberg", "given": ["Åsa"]}]})
created = Patient(patient.create(server))
report = {"created": created.meta.versionId}
server.session.headers["If-None-Exist"] = f"identifier={SYSTEM}|{run}"
report["once"] = Patient(patient.create(server)).id == created.id
del server.session.headers["If-None-Exist"]

found = Patient.read(created.id, server)
report["read"] = found.name[0].family
found.name[0].family = "Oberg"
server.session.headers["If-Match"] = 'W/"1"'
report["updated"] = found.update()["meta"]["versionId"]
report["stale"] = code(requests.HTTPError, found.update)
del server.session.headers["If-Match"]
report["first"] = Patient.read_from(f"Patient/{created.id}/_history/1", server).name[0].family
report["history"] = len(Bundle.read_from(f"Patient/{created.id}/_history", server).entry)

reference = f"Patient/{created.id}"
entries = [observation(reference, number) for number in range(1, 6)]
bundle = Bundle({"type": "transaction", "entry": entries})
answer = Bundle(bundle.create(server))
report["transaction"] = [entry.response.status[:3] for entry in answer.entry]

search = Observation.where({"patient": reference, "_sort": "-date", "_count": "2"})
report["found"] = [one.valueInteger for one in search.perform_resources_iter(server)]
report["page"] = len(next(iter(search.perform_iter(server))).entry)
report["total"] = Bundle.read_from(f"Observation?patient={reference}&_summary=count", server).total
everything = Bundle.read_from(f"Patient/{created.id}/$everything", server)
report["everything"] = sorted({entry.resource.resource_type for entry in everything.entry})
outcome = OperationOutcome(server.post_json("Patient/$validate", found.as_json()).json())
report["valid"] = not any(issue.severity in {"error", "fatal"} for issue in outcome.issue)
report["refused"] = code(requests.HTTPError, Patient.where({"nonsense": "1"}).perform_iter, server)

for one in list(search.perform_resources_iter(server)):
    server.delete_json(f"Observation/{one.id}")
found.delete()
report["gone"] = code(requests.HTTPError, Patient.read, created.id, server)

print(json.dumps(report))
