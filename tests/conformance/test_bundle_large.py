"""https://hl7.org/fhir/R4/http.html#transaction: five thousand entries at once, all or nothing, in flat memory."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fhir_server.node import running

pytestmark = [pytest.mark.anyio, pytest.mark.full, pytest.mark.timeout(900)]

ENTRIES = 5000
JSON = {"Content-Type": "application/fhir+json"}


def entry(resource: dict[str, Any], full_url: str | None = None) -> dict[str, Any]:
    request = {"method": "POST", "url": resource["resourceType"]}
    return {"fullUrl": full_url or f"urn:uuid:{uuid4()}", "resource": resource, "request": request}


def bundle(family: str) -> dict[str, Any]:
    """A patient and what was measured, a kilobyte each."""
    patient = f"urn:uuid:{uuid4()}"
    entries = [entry({"resourceType": "Patient", "name": [{"family": family}]}, patient)]
    for n in range(ENTRIES - 1):
        observation = {
            "resourceType": "Observation",
            "status": "final",
            "subject": {"reference": patient},
            "effectiveDateTime": "2020-01-01T10:00:00Z",
            "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
            "valueQuantity": {"value": n, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
            "note": [{"text": "x" * 500}],
        }
        entries.append(entry(observation))
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def resident_megabytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 // 1_000_000


async def count(client: httpx.AsyncClient, family: str) -> int:
    found = await client.get("/Observation", params={"patient.name:exact": family, "_summary": "count"})
    total: int = found.json()["total"]
    return total


@pytest.mark.spec("R4 http.html#transaction")
async def test_five_thousand_entries_in_flat_memory(database_url: str, unique: str) -> None:
    async with running(database_url) as server, server.client() as client:
        sizes = []
        for n in range(3):
            done = await client.post("", content=json.dumps(bundle(f"{unique}{n}")), headers=JSON, timeout=600)
            assert done.status_code == 200, done.text[:500]
            statuses = {each["response"]["status"] for each in done.json()["entry"]}
            assert statuses == {"201 Created"}
            assert await count(client, f"{unique}{n}") == ENTRIES - 1
            del done
            sizes.append(resident_megabytes())
        assert sizes[2] - sizes[1] < 40


@pytest.mark.spec("R4 http.html#transaction")
async def test_the_last_of_five_thousand_undoes_all(database_url: str, unique: str) -> None:
    async with running(database_url) as server, server.client() as client:
        body = bundle(unique)
        body["entry"][-1]["resource"]["subject"]["reference"] = f"urn:uuid:{uuid4()}"
        assert (await client.post("", content=json.dumps(body), headers=JSON, timeout=600)).status_code == 400
        assert await count(client, unique) == 0
        body["entry"].append(body["entry"][0])
        assert (await client.post("", content=json.dumps(body), headers=JSON, timeout=600)).status_code == 400
