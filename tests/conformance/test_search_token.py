"""https://hl7.org/fhir/R4/search.html#token"""

import httpx
import pytest

from tests.conformance.chart import found

pytestmark = pytest.mark.anyio

TOKEN = {
    "identifier=A1": ["anna"],
    "identifier=urn:mrn|A1": ["anna"],
    "identifier=urn:mrn|a1": ["li"],
    "identifier=urn:other|A1": [],
    "identifier=|A1": [],
    "identifier=urn:other|": ["anna"],
    "identifier=urn:mrn|A1,urn:mrn|a1": ["anna", "li"],
    "identifier=A1&identifier=77": ["anna"],
    "gender=FEMALE": ["anna"],
    "gender=http://hl7.org/fhir/administrative-gender|female": ["anna"],
    "gender:not=female": ["li", "nobody"],
    "gender:missing=true": ["nobody"],
    "gender:missing=false": ["anna", "li"],
    "active=true": ["anna"],
    "deceased=true": ["li"],
    "phone=%2B49 30 1": ["anna"],
    "email=anna@test.example": ["anna"],
    "telecom=anna@test.example": ["anna"],
    "_id=anna,li": ["anna", "li"],
    "_id:not=anna": ["li", "nobody"],
    "_tag=urn:tag|vip": ["anna"],
    "_tag:not=urn:tag|vip": ["li", "nobody"],
    "_profile=http://profile.test/patient": ["anna"],
    "general-practitioner:identifier=urn:npi|9": ["anna"],
    "general-practitioner:identifier=urn:npi|8": [],
}


@pytest.mark.spec("R4 search.html#token")
@pytest.mark.parametrize("query", TOKEN)
async def test_token(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Patient?{query}")) == sorted(TOKEN[query])
