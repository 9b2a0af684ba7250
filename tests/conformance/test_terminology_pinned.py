"""Expansions as of a date and with versions of code systems that the caller names."""

from typing import Any

import httpx
import pytest

from tests.fhir_server.packages import code_system

SPEC = "R4 valueset-operation-expand.html"
GENDER = "http://hl7.org/fhir/ValueSet/administrative-gender"

pytestmark = pytest.mark.anyio


@pytest.fixture
async def colours(client: httpx.AsyncClient, unique: str) -> str:
    """The URL of a code system of colours that has two versions: the second, of 2022, has green too."""
    url = f"http://example.org/CodeSystem/{unique}"
    first = code_system(url, "1.0.0", id=f"{unique}1", date="2020-05-01", concept=[{"code": "red"}])
    second = first | {"id": f"{unique}2", "version": "2.0.0", "date": "2022-05-01"}
    second |= {"concept": [{"code": "red"}, {"code": "green"}]}
    for each in (first, second):
        assert (await client.put(f"/CodeSystem/{each['id']}", json=each)).status_code == 201
    return url


async def expanded(client: httpx.AsyncClient, url: str, version: str | None, **pins: str) -> httpx.Response:
    """The expansion of all colours, by a value set that names a version or none."""
    include = {"system": url} | ({"version": version} if version else {})
    value_set = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [include]}}
    pinned = [{"name": name.replace("_", "-"), "valueUri": value} for name, value in pins.items() if name != "date"]
    pinned += [{"name": "date", "valueDateTime": pins["date"]}] if "date" in pins else []
    parameters: list[dict[str, Any]] = [{"name": "valueSet", "resource": value_set}, *pinned]
    return await client.post("/ValueSet/$expand", json={"resourceType": "Parameters", "parameter": parameters})


ONE, TWO = ["red"], ["red", "green"]


@pytest.mark.spec(SPEC)
@pytest.mark.parametrize(
    ("version", "pin", "wanted", "codes"),
    [
        (None, None, None, TWO),
        ("1.0.0", None, None, ONE),
        (None, "system_version", "1.0.0", ONE),
        ("2.0.0", "system_version", "1.0.0", TWO),
        (None, "check_system_version", "1.0.0", ONE),
        ("1.0.0", "check_system_version", "1.0.0", ONE),
        ("2.0.0", "force_system_version", "1.0.0", ONE),
    ],
)
async def test_versions_that_the_caller_names(
    client: httpx.AsyncClient, colours: str, version: str | None, pin: str | None, wanted: str | None, codes: list[str]
) -> None:
    pins = {} if pin is None else {pin: f"{colours}|{wanted}"}
    expansion = (await expanded(client, colours, version, **pins)).json()["expansion"]
    assert [one["code"] for one in expansion["contains"]] == codes
    told = {(one["name"], one["valueUri"]) for one in expansion["parameter"]}
    assert {(name.replace("_", "-"), value) for name, value in pins.items()} <= told
    assert ("version", f"{colours}|{'1.0.0' if codes == ONE else '2.0.0'}") in told


@pytest.mark.spec(SPEC)
async def test_another_version_than_the_one_that_is_checked_is_an_error(
    client: httpx.AsyncClient, colours: str
) -> None:
    refused = await expanded(client, colours, "2.0.0", check_system_version=f"{colours}|1.0.0")
    assert refused.status_code == 422 and "1.0.0" in refused.text
    missing = await expanded(client, colours, None, force_system_version=f"{colours}|3.0.0")
    assert missing.status_code == 422 and f"{colours}|3.0.0" in missing.text


@pytest.mark.spec(SPEC)
async def test_definitions_as_they_were_on_a_date(client: httpx.AsyncClient, colours: str) -> None:
    for date, codes in (("2021-01-01", ONE), ("2022", TWO), ("2022-04-30", ONE), ("2022-05-01T12:00:00Z", TWO)):
        expansion = (await expanded(client, colours, None, date=date)).json()["expansion"]
        assert [one["code"] for one in expansion["contains"]] == codes
        assert {"name": "date", "valueDateTime": date} in expansion["parameter"]
    assert (await expanded(client, colours, None, date="2019")).status_code == 422
    assert (await expanded(client, colours, "2.0.0", date="2021")).status_code == 422
    r4 = await client.get("/ValueSet/$expand", params={"url": GENDER, "date": "2020", "excludePostCoordinated": "true"})
    assert len(r4.json()["expansion"]["contains"]) == 4


@pytest.mark.spec("R4 valueset-operation-validate-code.html")
async def test_a_code_on_a_date(client: httpx.AsyncClient, colours: str) -> None:
    for date, result in (("2021", False), ("2023", True)):
        for address in ("CodeSystem/$validate-code", "CodeSystem/$lookup"):
            name = "system" if "lookup" in address else "url"
            answer = await client.get(f"/{address}", params={name: colours, "code": "green", "date": date})
            if name == "system":
                assert answer.status_code == (200 if result else 404)
            else:
                assert {"name": "result", "valueBoolean": result} in answer.json()["parameter"]
