"""Operations as entries of a batch."""

from typing import Any

import httpx
import pytest

GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"

pytestmark = pytest.mark.anyio


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"request": {"method": method, "url": url}} | ({"resource": resource} if resource else {})


@pytest.mark.spec("R4 http.html#transaction")
async def test_a_batch_calls_operations(client: httpx.AsyncClient) -> None:
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "url", "valueUri": GENDER}]}
    entries = (
        entry("GET", f"ValueSet/$expand?url={GENDER}&count=2"),
        entry("POST", "ValueSet/$expand", parameters),
        entry("GET", "ValueSet/$nonsense"),
        entry("GET", "Patient/nobody/$meta"),
        entry("DELETE", "ValueSet/$expand"),
    )
    response = await client.post("", json=bundle("batch", *entries))
    assert response.status_code == 200, response.text
    found = response.json()["entry"]
    assert [one["response"]["status"][:3] for one in found] == ["200", "200", "404", "404", "405"]
    assert [len(one["resource"]["expansion"]["contains"]) for one in found[:2]] == [2, 4]


@pytest.mark.spec("R4 http.html#transaction")
async def test_a_transaction_does_not(client: httpx.AsyncClient) -> None:
    response = await client.post("", json=bundle("transaction", entry("GET", f"ValueSet/$expand?url={GENDER}")))
    assert response.status_code == 400 and "not in a transaction" in response.text


@pytest.mark.spec("R4 http.html#mime-type")
async def test_operations_speak_xml(client: httpx.AsyncClient) -> None:
    parameter = f'<parameter><name value="url"/><valueUri value="{GENDER}"/></parameter>'
    body = f'<Parameters xmlns="http://hl7.org/fhir">{parameter}</Parameters>'
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    response = await client.post("/ValueSet/$expand", content=body, headers=headers)
    assert response.status_code == 200 and '<code value="female"/>' in response.text
