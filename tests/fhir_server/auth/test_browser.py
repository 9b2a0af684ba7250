"""A person who is signed in reads pages in the browser, as that person, and nothing else."""

import httpx
import pytest

from tests.fhir_server.auth.world import World

pytestmark = pytest.mark.anyio

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def page(world: World, path: str, **headers: str) -> httpx.Response:
    return await world.http.get(f"/fhir/{path}", headers={**BROWSER, **headers})


async def test_the_session_opens_pages_and_only_pages(world: World) -> None:
    outside = await page(world, "Patient")
    assert outside.status_code == 401
    assert "/login" in outside.text and "<h1>OperationOutcome</h1>" in outside.text
    await world.sign_in("meyer")
    inside = await page(world, "Patient")
    assert inside.status_code == 200
    assert "frame-ancestors 'none'" in inside.headers["content-security-policy"]
    for headers in (
        {"Accept": "application/fhir+json"},
        {"Accept": "application/fhir+xml"},
        {"Authorization": "Bearer x"},
    ):
        assert (await page(world, "Patient", **headers)).status_code == 401
    made = await world.http.post("/fhir/Patient", json={"resourceType": "Patient"}, headers=BROWSER)
    assert made.status_code == 401
    assert (await page(world, "Patient/unknown")).status_code == 404


async def test_a_page_shows_no_more_than_the_person_may_see(world: World) -> None:
    await world.sign_in("noor")
    assert (await page(world, "AuditEvent")).status_code in {200, 403}
    assert "<table>" not in (await page(world, "Patient")).text
