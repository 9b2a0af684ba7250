"""Observation/$lastn."""

from typing import Any

import httpx
import pytest

SPEC = "R4 observation-operation-lastn.html"

pytestmark = pytest.mark.anyio


def coding(*codes: str, text: str | None = None) -> dict[str, Any]:
    concept: dict[str, Any] = {"coding": [{"system": "http://example.org", "code": code} for code in codes]}
    return ({k: v for k, v in concept.items() if v}) | ({"text": text} if text else {})


@pytest.fixture
async def patient(client: httpx.AsyncClient, unique: str) -> str:
    await client.put(f"/Patient/{unique}", json={"resourceType": "Patient", "id": unique})
    return unique


async def observe(
    client: httpx.AsyncClient, patient: str, code: dict[str, Any], when: str, status: str = "final"
) -> str:
    observation = {
        "resourceType": "Observation",
        "status": status,
        "category": [coding("vital")],
        "code": code,
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": when,
    }
    response = await client.post("/Observation", json=observation)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def lastn(client: httpx.AsyncClient, patient: str, **parameters: str) -> list[str]:
    query = {"patient": f"Patient/{patient}", "category": "vital", **parameters}
    response = await client.get("/Observation/$lastn", params=query)
    assert response.status_code == 200, response.text
    bundle = response.json()
    assert bundle["type"] == "searchset" and bundle["total"] == len(bundle.get("entry", ()))
    return [entry["resource"]["id"] for entry in bundle.get("entry", ())]


@pytest.mark.spec(SPEC)
async def test_the_newest_of_each_code(client: httpx.AsyncClient, patient: str) -> None:
    weights = [await observe(client, patient, coding("weight"), f"2020-01-0{day}") for day in (1, 2, 3)]
    height = await observe(client, patient, coding("height"), "2019-01-01")
    assert await lastn(client, patient) == [weights[2], height]
    assert await lastn(client, patient, max="2") == [weights[2], weights[1], height]
    assert await lastn(client, patient, date="lt2020-01-03") == [weights[1], height]
    by_code = {"patient": patient, "code": "weight,height"}
    response = await client.get("/Observation/$lastn", params=by_code)
    assert [entry["resource"]["id"] for entry in response.json()["entry"]] == [weights[2], height]


@pytest.mark.spec(SPEC)
async def test_ties_and_errors_come_too(client: httpx.AsyncClient, patient: str) -> None:
    first = await observe(client, patient, coding("weight"), "2020-01-01")
    tied = {await observe(client, patient, coding("weight"), "2020-01-02", "entered-in-error") for _ in range(2)}
    assert set(await lastn(client, patient)) == tied
    assert set(await lastn(client, patient, max="3")) == tied | {first}
    assert await lastn(client, patient, **{"status:not": "entered-in-error"}) == [first]


@pytest.mark.spec(SPEC)
async def test_codes_that_are_translations_of_each_other_are_one(client: httpx.AsyncClient, patient: str) -> None:
    await observe(client, patient, coding("a"), "2020-01-01")
    b = await observe(client, patient, coding("b"), "2020-01-02")
    assert len(await lastn(client, patient)) == 2
    both = await observe(client, patient, coding("a", "b"), "2020-01-03")
    assert await lastn(client, patient) == [both]
    assert await lastn(client, patient, max="2") == [both, b]


@pytest.mark.spec(SPEC)
async def test_texts_are_grouped_as_they_are_written(client: httpx.AsyncClient, patient: str) -> None:
    for n, text in enumerate(("text", "Text", "t e x t", "Text")):
        await observe(client, patient, coding(text=text), f"2020-01-0{n + 1}")
    assert len(await lastn(client, patient)) == 3


@pytest.mark.spec(SPEC)
@pytest.mark.parametrize(
    "query", ["category=vital", "patient=x", "patient=x&category=vital&max=0", "patient=x&category=vital&_sort=date"]
)
async def test_a_search_about_everybody_or_everything_is_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/Observation/$lastn?{query}")).status_code == 400


@pytest.mark.spec(SPEC)
async def test_nothing_found_is_an_empty_searchset(client: httpx.AsyncClient, patient: str) -> None:
    assert await lastn(client, patient) == []
