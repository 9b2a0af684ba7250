"""Composition/$document."""

from typing import Any

import httpx
import pytest

SPEC = "R4 composition-operation-document.html"

pytestmark = pytest.mark.anyio


@pytest.fixture
async def composition(client: httpx.AsyncClient, unique: str) -> str:
    """A stored composition with patient, author, and an observation whose performer is not named by itself."""
    subject = {"reference": f"Patient/{unique}"}
    observation = {"resourceType": "Observation", "id": unique, "status": "final", "code": {"text": "x"}}
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": unique},
        {"resourceType": "Practitioner", "id": unique},
        {"resourceType": "Organization", "id": unique},
        observation | {"subject": subject, "performer": [{"reference": f"Organization/{unique}"}]},
        {
            "resourceType": "Composition",
            "id": unique,
            "status": "final",
            "type": {"text": "letter"},
            "subject": subject,
            "date": "2020",
            "author": [{"reference": f"Practitioner/{unique}"}],
            "title": "Letter",
            "section": [{"entry": [{"reference": f"Observation/{unique}"}]}],
        },
    ]
    for one in resources:
        response = await client.put(f"/{one['resourceType']}/{unique}", json=one)
        assert response.status_code == 201, response.text
    return unique


@pytest.mark.spec(SPEC)
async def test_a_document_begins_with_its_composition_and_holds_what_it_refers_to(
    client: httpx.AsyncClient, composition: str
) -> None:
    document = (await client.get(f"/Composition/{composition}/$document")).json()
    assert document["type"] == "document" and document["identifier"]["value"].startswith("urn:uuid:")
    types = [entry["resource"]["resourceType"] for entry in document["entry"]]
    assert types[0] == "Composition" and sorted(types[1:]) == ["Observation", "Organization", "Patient", "Practitioner"]
    assert document["entry"][0]["fullUrl"] == f"http://fhir.test/fhir/Composition/{composition}"
    by_type = await client.get("/Composition/$document", params={"id": composition})
    assert [entry["fullUrl"] for entry in by_type.json()["entry"]] == [entry["fullUrl"] for entry in document["entry"]]


@pytest.mark.spec(SPEC)
async def test_a_document_can_be_kept(client: httpx.AsyncClient, composition: str) -> None:
    response = await client.get(f"/Composition/{composition}/$document", params={"persist": "true"})
    kept = (await client.get(response.headers["location"])).json()
    assert kept == response.json() and kept["id"]


@pytest.mark.spec(SPEC)
@pytest.mark.parametrize("reference", ["Practitioner/nobody", "http://elsewhere.example/fhir/Practitioner/1"])
async def test_a_document_with_holes_is_refused(client: httpx.AsyncClient, composition: str, reference: str) -> None:
    stored = (await client.get(f"/Composition/{composition}")).json()
    await client.put(f"/Composition/{composition}", json=stored | {"author": [{"reference": reference}]})
    response = await client.get(f"/Composition/{composition}/$document")
    assert response.status_code == 422 and response.json()["resourceType"] == "OperationOutcome"


@pytest.mark.spec(SPEC)
async def test_which_composition(client: httpx.AsyncClient, composition: str) -> None:
    assert (await client.get("/Composition/nobody/$document")).status_code == 404
    assert (await client.get("/Composition/$document")).status_code == 400
    assert (await client.get(f"/Composition/{composition}/$document?id={composition}")).status_code == 400


def graph(id_: str, *links: dict[str, Any], start: str = "Composition") -> dict[str, Any]:
    name = {"id": id_, "url": f"urn:graph:{id_}", "version": "1", "name": "Letter", "status": "active"}
    return {"resourceType": "GraphDefinition", "start": start, "link": list(links), **name}


@pytest.mark.spec(SPEC)
async def test_a_graph_says_what_a_document_holds(client: httpx.AsyncClient, composition: str) -> None:
    performers = {"path": "Observation.performer", "target": [{"type": "Organization"}]}
    entries = {"path": "Composition.section.entry", "target": [{"type": "Observation", "link": [performers]}]}
    letters = {"target": [{"type": "Composition", "params": "subject={ref}"}]}
    subject = {"path": "Composition.subject", "min": 1, "target": [{"type": "Patient", "link": [letters]}]}
    nurse = {"path": "Composition.author", "min": 1, "target": [{"type": "PractitionerRole"}]}
    graphs = [graph(f"{composition[:8]}-g", entries, subject), graph(f"{composition[:8]}-s", entries, start="Patient")]
    graphs += [graph(f"{composition[:8]}-m", nurse), graph(f"{composition[:8]}-p", {**subject, "path": "("})]
    for one in graphs:
        assert (await client.put(f"/GraphDefinition/{one['id']}", json=one)).status_code == 201

    async def answer(named: str) -> httpx.Response:
        return await client.get(f"/Composition/{composition}/$document", params={"graph": named})

    for named in (f"urn:graph:{graphs[0]['id']}|1", f"http://fhir.test/fhir/GraphDefinition/{graphs[0]['id']}"):
        held = [entry["resource"]["resourceType"] for entry in (await answer(named)).json()["entry"]]
        assert held == ["Composition", "Observation", "Organization", "Patient"]
    statuses = [(await answer(f"urn:graph:{one['id']}")).status_code for one in graphs[1:]]
    assert statuses == [422, 422, 400]
    assert (await answer("urn:graph:nobody")).status_code == 404
