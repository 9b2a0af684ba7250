"""https://hl7.org/fhir/R4/search.html#combining"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from fhir_server.store.models import index_composite
from konsil.database import sync_engine
from tests.conformance.chart import LOINC, UCUM, found, observation, put
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio


def coded(code: str, system: str = LOINC) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "system": UCUM, "code": unit, "unit": unit}


PRESSURE = [
    {"code": coded("8480-6"), "valueQuantity": quantity(150, "mm[Hg]")},
    {"code": coded("8462-4"), "valueQuantity": quantity(95, "mm[Hg]")},
]


def valued(id_: str, code: str, **value: Any) -> dict[str, Any]:
    resource = observation(id_, code, "2020-01-01", 0, subject={"reference": "Patient/p"})
    del resource["valueQuantity"]
    return resource | value


RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "p"},
    valued("sugar", "15074-8", valueQuantity=quantity(6.3, "mmol/L")),
    valued("weight", "29463-7", valueQuantity=quantity(3500, "g")),
    valued("pressure", "85354-9", component=PRESSURE),
    valued("blood", "883-9", valueCodeableConcept=coded("112144000", "http://snomed.info/sct")),
    valued("note", "48767-8", valueString="Östradiol hoch"),
    valued("when", "11368-8", valueDateTime="2019-05-01"),
    {
        "resourceType": "DocumentReference",
        "id": "second",
        "status": "current",
        "content": [{"attachment": {"url": "http://doc.test/2"}}],
        "relatesTo": [
            {"code": "replaces", "target": {"reference": "DocumentReference/first"}},
            {"code": "signs", "target": {"reference": "DocumentReference/other"}},
        ],
    },
    {
        "resourceType": "Group",
        "id": "women",
        "type": "person",
        "actual": False,
        "characteristic": [
            {"code": coded("gender", "urn:c"), "valueCodeableConcept": coded("female", "urn:g"), "exclude": False},
            {"code": coded("other", "urn:c"), "valueCodeableConcept": coded("male", "urn:g"), "exclude": False},
        ],
    },
    {
        "resourceType": "MolecularSequence",
        "id": "brca",
        "coordinateSystem": 0,
        "referenceSeq": {"chromosome": coded("17", "urn:chromosome"), "windowStart": 100, "windowEnd": 200},
        "variant": [{"start": 120, "end": 121}, {"start": 150, "end": 160}],
    },
]

FOUND = {
    f"Observation?code-value-quantity={LOINC}|15074-8$gt5": ["sugar"],
    f"Observation?code-value-quantity=15074-8$6.3|{UCUM}|mmol/L": ["sugar"],
    f"Observation?code-value-quantity=15074-8$6300|{UCUM}|umol/L": ["sugar"],
    f"Observation?code-value-quantity=29463-7$3.5|{UCUM}|kg": ["weight"],
    f"Observation?code-value-quantity=29463-7$gt3.4|{UCUM}|kg,15074-8$6.3||mmol/L": ["sugar", "weight"],
    "Observation?code-value-quantity=29463-7$6.3": [],
    "Observation?component-code-value-quantity=8480-6$gt140": ["pressure"],
    "Observation?component-code-value-quantity=8462-4$gt140": [],
    f"Observation?component-code-value-quantity=8480-6$20.0|{UCUM}|kPa": ["pressure"],
    f"Observation?combo-code-value-quantity=8480-6$gt140&combo-code-value-quantity=8462-4$gt90|{UCUM}|mm[Hg]": [
        "pressure"
    ],
    "Observation?combo-code-value-quantity=15074-8$6.3": ["sugar"],
    "Observation?code-value-concept=883-9$http://snomed.info/sct|112144000": ["blood"],
    "Observation?code-value-concept=883-9$112144001": [],
    "Observation?code-value-string=48767-8$ostradiol": ["note"],
    "Observation?code-value-date=11368-8$2019-05": ["when"],
    "Observation?code-value-date=11368-8$gt2019-06": [],
    "Observation?code-value-quantity:missing=false": ["sugar", "weight"],
    "Patient?_has:Observation:patient:code-value-quantity=29463-7$gt3000": ["p"],
    "DocumentReference?relationship=DocumentReference/first$replaces": ["second"],
    "DocumentReference?relationship=DocumentReference/other$replaces": [],
    "Group?characteristic-value=gender$urn:g|female": ["women"],
    "Group?characteristic-value=gender$male": [],
    "MolecularSequence?chromosome-variant-coordinate=17$ge115$lt125": ["brca"],
    "MolecularSequence?chromosome-variant-coordinate=17$ge115$lt121": [],
    "MolecularSequence?chromosome-window-coordinate=17$100$200": ["brca"],
}


@pytest.fixture(scope="module")
async def grouped(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        await put(client, RESOURCES)
        yield client


@pytest.mark.spec("R4 search.html#combining")
@pytest.mark.parametrize("query", FOUND)
async def test_composite(grouped: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(grouped, query)) == FOUND[query]


@pytest.mark.spec("R4 search.html#combining")
@pytest.mark.parametrize(
    "query",
    ["code-value-quantity=15074-8", "code-value-quantity=1$2$3", "code-value-quantity=1$", "_sort=code-value-date"],
)
async def test_half_a_composite_is_400(grouped: httpx.AsyncClient, query: str) -> None:
    assert (await grouped.get(f"/Observation?{query}")).status_code == 400


@pytest.mark.spec("R4 search.html#quantity")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (f"3.5|{UCUM}|kg", ["weight"]),
        (f"lt4|{UCUM}|kg", ["weight"]),
        (f"le3.5|{UCUM}|kg", ["weight"]),
        (f"lt3.5|{UCUM}|kg", []),
        (f"ap3.4|{UCUM}|kg", ["weight"]),
        ("3.5||kg", []),
        ("3500||g", ["weight"]),
        (f"3.5|{UCUM}|m", []),
        ("3.5|urn:other|kg", []),
        (f"6.3e-3|{UCUM}|mol/L", ["sugar"]),
    ],
)
async def test_units_are_compared_in_base_units(grouped: httpx.AsyncClient, query: str, ids: list[str]) -> None:
    assert await found(grouped, f"Observation?value-quantity={query}") == ids


@pytest.mark.spec("R4 search.html#combining")
async def test_the_texts_decide_where_a_hash_is_shared(grouped: httpx.AsyncClient, module_database_url: str) -> None:
    """The index has hashes and numbers: a row that shares them with what is asked for is no match by them alone."""
    search = "Observation?code-value-quantity=15074-8$gt5"
    code = index_composite.c.code_1
    engine = sync_engine(module_database_url)
    for shown, hidden, ids in (("15074-8", "of the same hash", []), ("of the same hash", "15074-8", ["sugar"])):
        with engine.begin() as connection:
            connection.execute(update(index_composite).where(code == shown).values(code_1=hidden))
        assert await found(grouped, search) == ids
    engine.dispose()
