"""https://hl7.org/fhir/R4/search.html#string"""

from urllib.parse import urlencode

import httpx
import pytest

from tests.conformance.chart import found

pytestmark = pytest.mark.anyio

STRING = {
    "family=muller": ["anna"],
    "family=MÜLLER-s": ["anna"],
    "family=ller": [],
    "family:contains=SLIWA": ["anna"],
    "family:exact=Müller-Śliwa": ["anna"],
    "family:exact=müller-śliwa": [],
    "name=maria": ["anna"],
    "name=李": ["li"],
    "family=li": ["li"],
    "family=黎": [],
    "given=XiaoLong": ["li"],
    "name=xiao long": ["li"],
    "given=Анна": ["anna"],
    "given:contains=ΆΝΝ": ["anna"],
    "given:exact=xiaolong": [],
    "address-city=Кёльн": [],
    "address-city=КОЛН": ["anna"],
    "name=小": ["li"],
    "given=an,小": ["anna", "li"],
    "address=koln": ["anna"],
    "address-city=köln": ["anna"],
    "address=dom": ["anna"],
    "name:missing=true": ["nobody"],
}


@pytest.mark.spec("R4 search.html#string")
@pytest.mark.parametrize("query", STRING)
async def test_string(chart: httpx.AsyncClient, query: str) -> None:
    assert sorted(await found(chart, f"Patient?{query}")) == sorted(STRING[query])


@pytest.mark.spec("R4 search.html#string")
@pytest.mark.parametrize(("text", "hits"), [("100% _", ["v1"]), ("1000 x", []), ("% _", ["v1"]), ("__", [])])
async def test_wildcards_of_sql_mean_themselves(chart: httpx.AsyncClient, text: str, hits: list[str]) -> None:
    assert await found(chart, "ValueSet?" + urlencode({"title:contains": text})) == hits


@pytest.mark.spec("R4 search.html#string")
async def test_exact_compares_the_whole_of_a_long_text(client: httpx.AsyncClient, unique: str) -> None:
    long = unique + " Klinik" * 60
    made = await client.post("/Organization", json={"resourceType": "Organization", "name": long + "A"})
    assert made.status_code == 201
    hits = [len(await found(client, f"Organization?name:exact={long}{end}")) for end in ("A", "B", "")]
    assert hits == [1, 0, 0]
