"""A round trip by fhirpy (PyPI): `by_fhirpy.py BASE TOKEN RUN` prints a report as JSON."""

import json
import sys

from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import BaseFHIRError, MultipleResourcesFound, OperationOutcome, ResourceNotFound

SYSTEM = "https://clients.example/run"
base, token, run = sys.argv[1:]


def client(**headers: str) -> SyncFHIRClient:
    return SyncFHIRClient(base, authorization=f"Bearer {token}", extra_headers=headers)


def code(kind: type[BaseFHIRError], call, *arguments) -> str:
    """The issue code of a refusal, which must be of this kind."""
    try:
        call(*arguments)
    except kind as error:
        return json.loads(str(error))["issue"][0]["code"]
    raise SystemExit(f"not refused: {call}")


def observation(patient: str, number: int) -> dict:
    return {
        "fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{number}",
        "request": {"method": "POST", "url": "Observation"},
        "resource": {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "count"},
            "subject": {"reference": patient},
            "effectiveDateTime": f"2026-01-0{number}",
            "valueInteger": number,
        },
    }


here = client()
identifier = [{"system": SYSTEM, "value": run}]
name = [{"family": "Öberg", "given": ["Åsa"]}]
patient = here.resource("Patient", identifier=identifier, name=name, active=True)
patient.save()
report = {"created": patient.meta.versionId}
once = client(**{"If-None-Exist": f"identifier={SYSTEM}|{run}"})
report["once"] = once.resource("Patient", identifier=identifier).create().id == patient.id

found = client(**{"If-Match": 'W/"1"'}).reference("Patient", patient.id).to_resource()
report["read"] = found.get_by_path(["name", 0, "family"])
found["name"][0]["family"] = "Oberg"
report["updated"] = found.update().meta.versionId
report["stale"] = code(MultipleResourcesFound, found.update)
found = here.reference("Patient", patient.id).to_resource()
report["first"] = here.execute(f"Patient/{patient.id}/_history/1", method="get").name[0].family
report["history"] = len(here.execute(f"Patient/{patient.id}/_history", method="get").entry)

bundle = here.resource("Bundle", type="transaction", entry=[observation(patient.reference, n) for n in range(1, 6)])
answer = here.execute("", method="post", data=bundle.serialize())
report["transaction"] = [entry.response.status[:3] for entry in answer.entry]

search = here.resources("Observation").search(patient=patient.reference).sort("-date").limit(2)
report["found"] = [one.valueInteger for one in search]
report["page"] = len(search.fetch())
# Its count() asks with a parameter of one server's own, which others are told to pass over.
report["total"] = client(Prefer="handling=lenient").resources("Observation").search(patient=patient.reference).count()
everything = here.reference("Patient", patient.id).execute("$everything", method="get")
report["everything"] = sorted({entry.resource.resourceType for entry in everything.entry})
report["valid"] = found.is_valid()
report["refused"] = code(OperationOutcome, here.resources("Patient").search(nonsense="1").fetch)

for one in search.fetch_all():
    one.delete()
found.delete()
report["gone"] = code(ResourceNotFound, found.refresh)
print(json.dumps(report))
