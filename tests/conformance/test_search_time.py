"""A search that takes longer than the server allows ends with 422 `too-costly`."""

from typing import Any

import pytest

from tests.fhir_server.node import running

pytestmark = [pytest.mark.anyio, pytest.mark.full]
SECONDS = 0.25
PATIENTS, WORDS = 500, 4900  # three names of each compared with each word


def patients() -> dict[str, Any]:
    names = ({"family": f"Name{n}", "given": [f"Given{n}", "Middle", "Other"]} for n in range(PATIENTS))
    entries = [
        {"resource": {"resourceType": "Patient", "name": [name]}, "request": {"method": "POST", "url": "Patient"}}
        for name in names
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@pytest.mark.spec("R4 http.html#search")
async def test_what_takes_too_long_is_refused(database_url: str) -> None:
    async with running(database_url) as server, server.client() as client:
        assert (await client.post("", json=patients())).status_code == 200
    async with running(database_url, search_seconds=SECONDS) as server, server.client() as client:
        words = ",".join(f"q{n}q" for n in range(WORDS))
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        refused = await client.post("/Patient/_search", content=f"name:contains={words}", headers=form)
        assert refused.status_code == 422, refused.text[:300]
        assert refused.json()["issue"][0]["code"] == "too-costly"


@pytest.mark.spec("R4 http.html#search")
async def test_what_does_not_is_answered(database_url: str) -> None:
    async with running(database_url, search_seconds=5.0) as server, server.client() as client:
        assert (await client.get("/Patient?name:contains=q")).status_code == 200
