"""https://hl7.org/fhir/R4/search.html#modifiers: codes by value set, hierarchy, text and type of identifier"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.conformance.chart import LOINC, found, put
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio

BONES = "urn:test:bones"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def condition(id_: str, named: str, display: str, **more: Any) -> dict[str, Any]:
    coding = {"system": BONES, "code": named, "display": display}
    return {
        "resourceType": "Condition",
        "id": id_,
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [coding]},
    } | more


RESOURCES: list[dict[str, Any]] = [
    {
        "resourceType": "CodeSystem",
        "url": BONES,
        "id": "bones",
        "status": "active",
        "content": "complete",
        "hierarchyMeaning": "is-a",
        "concept": [
            {
                "code": "bone",
                "concept": [{"code": "arm", "concept": [{"code": "Ulna"}, {"code": "radius"}]}, {"code": "leg"}],
            }
        ],
    },
    {
        "resourceType": "ValueSet",
        "url": "urn:test:arms",
        "id": "arms",
        "status": "active",
        "compose": {"include": [{"system": BONES, "concept": [{"code": "arm"}, {"code": "Ulna"}]}]},
    },
    {
        "resourceType": "ValueSet",
        "url": "urn:test:loinc",
        "id": "loinc",
        "status": "active",
        "compose": {"include": [{"system": LOINC, "filter": [{"property": "x", "op": "=", "value": "y"}]}]},
    },
    {
        "resourceType": "Patient",
        "id": "p",
        "identifier": [
            {"type": {"coding": [{"system": TYPES, "code": "MR"}], "text": "Chart number"}, "value": "446053"},
            {"type": {"coding": [{"system": TYPES, "code": "SS"}]}, "value": "999"},
        ],
    },
    condition("ulna", "ulna", "Fracture of the ulna"),
    condition("leg", "leg", "Broken leg", subject={"reference": "Patient/p", "display": "Anna"}),
    condition("text", "other", "Bruise", code={"text": "Écchymosis of the arm"}),
]

FOUND = {
    "Condition?code:in=urn:test:arms": ["ulna"],
    "Condition?code:not-in=urn:test:arms": ["leg", "text"],
    f"Condition?code:below={BONES}|arm": ["ulna"],
    f"Condition?code:below={BONES}|bone": ["leg", "ulna"],
    f"Condition?code:above={BONES}|Ulna": ["ulna"],
    f"Condition?code:below={BONES}|radius,{BONES}|leg": ["leg"],
    "Patient?_has:Condition:patient:code:in=urn:test:arms": ["p"],
    "Condition?code:in=http://hl7.org/fhir/ValueSet/condition-clinical": [],
    "Condition?code:text=fracture": ["ulna"],
    "Condition?code:text=ecchymosis": ["text"],
    "Condition?code:text=arm": [],
    f"Patient?identifier:of-type={TYPES}|MR|446053": ["p"],
    f"Patient?identifier:of-type={TYPES}|SS|446053": [],
    f"Patient?identifier:of-type={TYPES}|MR|446053,{TYPES}|SS|1": ["p"],
    "Patient?identifier:text=chart": ["p"],
}


@pytest.fixture(scope="module")
async def coded(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        await put(client, RESOURCES)
        yield client


@pytest.mark.spec("R4 search.html#modifiers")
@pytest.mark.parametrize("query", FOUND)
async def test_codes_by_what_they_mean(coded: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(coded, query)) == FOUND[query]


@pytest.mark.spec("R4 search.html#modifiers")
@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("code:in=urn:test:unknown", "not known here"),
        ("code:in=urn:test:loinc", "loinc"),
        (f"code:below={LOINC}|1234-5", "not loaded"),
        ("code:below=1234-5", "system|code"),
        ("code:of-type=a|b|c", "for identifiers"),
        ("identifier:of-type=a|b", "system|code|value"),
    ],
)
async def test_what_cannot_be_answered_says_why(coded: httpx.AsyncClient, query: str, said: str) -> None:
    answer = await coded.get(f"/Condition?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["issue"][0]["diagnostics"]
