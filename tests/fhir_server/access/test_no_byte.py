"""No sequence of calls returns a byte of what the policy hides, nor lets anybody guess it."""

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fhir_server.access.conftest import SECRET, Hidden

pytestmark = pytest.mark.anyio
GUESS = SECRET[:5]
WITH = ("", "_include=*", "_revinclude=*", "_summary=count", "_summary=text", "_sort=-_lastUpdated", "_format=xml")
TYPES = ("Patient", "Observation", "Consent", "ServiceRequest", "Task", "Practitioner")
GUESSES = (
    f"Patient?family={GUESS}",
    f"Observation?patient.family={GUESS}",
    f"Observation?subject:Patient.family={GUESS}",
    f"Task?patient.family={GUESS}",
    f"ServiceRequest?subject:Patient.family={GUESS}",
    "Patient?_has:Observation:patient:status=final",
    "Task?focus:ServiceRequest.status=active",
    f"Patient?_filter={quote(f'family sw {GUESS}')}",
    "Consent?status=active,inactive",
    "Consent?recipient=Practitioner/ito",
    f"Practitioner?_has:Task:owner:patient.family={GUESS}",
)
WAYS = (
    "$export",
    "Patient/$export",
    "Patient/$export?patient=Patient/p0",
    "Patient/p0/$everything?_type=Observation,AuditEvent",
    "Observation/$lastn?patient=Patient/p0&max=10",
    "Provenance?target=Observation/named-0-0",
    "Provenance?target=Patient/p0,Consent/c0",
    "Patient?_revinclude=Provenance:target",
    "Patient?_revinclude=AuditEvent:patient&_has:AuditEvent:patient:subtype=create",
    "Patient/p0/AuditEvent",
    "ImagingStudy?patient=Patient/p0",
)
"""Operations, exports, made Provenance, events; the gateway's own question."""
HIDDEN = ("Patient/p0", "Consent/c0", "ServiceRequest/s0", "Observation/named-0-0", "Observation/named-0-7")
Request = tuple[str, str, Any]


def requests() -> st.SearchStrategy[Request]:
    one = st.sampled_from(HIDDEN)
    named = st.tuples(one, st.sampled_from(("", "/_history", "/_history/1", "/$everything", "/$meta")))
    typed = st.tuples(st.sampled_from(TYPES), st.sampled_from(WITH))
    gets = st.one_of(
        named.map("".join),
        typed.map(lambda each: f"{each[0]}?{each[1]}"),
        st.sampled_from(TYPES).map(lambda each: f"{each}/_history?_count=200"),
        st.sampled_from(("_history", "Patient/p0/*", "Patient/p0/Observation", "?_type=Observation,Patient")),
        st.sampled_from(GUESSES),
        st.sampled_from(WAYS),
        one.map(lambda each: f"{each.split('/')[0]}?_id={each.split('/')[1]}&_include=*&_revinclude=*"),
        one.map(lambda each: f"Task?_has:{each.split('/')[0]}:patient:_id={each.split('/')[1]}"),
    )
    put = one.map(lambda each: ("PUT", each, {"resourceType": each.split("/")[0], "id": each.split("/")[1]}))
    patch = one.map(lambda each: ("PATCH", each, [{"op": "test", "path": "/id", "value": "x"}]))
    batch = st.lists(gets, min_size=1, max_size=4).map(lambda urls: ("POST", "", bundle(urls)))
    return st.one_of(gets.map(lambda url: ("GET", url, None)), put, patch, batch)


def bundle(urls: list[str]) -> dict[str, Any]:
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


async def ask(hidden: Hidden, who: str, request: Request) -> None:
    method, path, body = request
    headers = {"Content-Type": "application/json-patch+json"} if method == "PATCH" else {}
    answer = await hidden.people[who].request(method, f"/{path}" if path else "", json=body, headers=headers)
    assert answer.status_code < 500
    assert SECRET not in answer.text, (who, request)
    if method in {"PUT", "PATCH"}:
        assert answer.status_code in {400, 403, 404, 422}, (who, request, answer.text)
    if path in GUESSES and answer.status_code == 200:
        assert answer.json()["total"] == 0, (who, path)


people = st.sampled_from(("ito", "brandt"))
settled = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@given(who=people, asked=st.lists(requests(), min_size=1, max_size=5))
@settings(settled, max_examples=12)
async def test_no_sequence_of_calls_shows_what_is_hidden(hidden: Hidden, who: str, asked: list[Request]) -> None:
    for request in asked:
        await ask(hidden, who, request)


@pytest.mark.full
@given(who=people, asked=st.lists(requests(), min_size=1, max_size=20))
@settings(settled, max_examples=1000)
async def test_no_long_sequence_of_calls_shows_it_either(hidden: Hidden, who: str, asked: list[Request]) -> None:
    for request in asked:
        await ask(hidden, who, request)


@pytest.mark.parametrize("who", ["ito", "brandt"])
async def test_operations_exports_and_what_is_made_on_the_way_show_nothing(hidden: Hidden, who: str) -> None:
    for way in WAYS:
        await ask(hidden, who, ("GET", way, None))


@pytest.mark.parametrize("who", ["ito", "brandt"])
async def test_every_guess_is_in_vain(hidden: Hidden, who: str) -> None:
    """And the writer of all of it is answered, so that the questions are none that always fail."""
    for guess in GUESSES:
        await ask(hidden, who, ("GET", guess, None))
    async with hidden.server.client(hidden.server.callers["weber"]) as weber:
        answered = [(await weber.get(f"/{guess}")).json().get("total", 0) for guess in GUESSES]
    assert sum(1 for each in answered if each) >= 7, answered


async def test_a_hospital_sees_a_department_while_it_is_part_of_it(hidden: Hidden) -> None:
    """From one request to the next; the department does not see the hospital."""
    brandt, department = hidden.people["brandt"], {"resourceType": "Organization", "id": "x", "name": "Radiology"}
    belonging = department | {"partOf": {"reference": "Organization/bert"}}
    async with hidden.server.client(hidden.server.callers["weber"]) as weber:
        hospital = {"resourceType": "Organization", "id": "bert", "name": "Bert"}
        for written, status, total in ((hospital, 404, 0), (belonging, 200, 1), (department, 404, 0)):
            answer = await weber.put(f"/Organization/{written['id']}", json=written)
            assert answer.status_code < 300, answer.text
            assert (await brandt.get("/Patient/p0")).status_code == status
            assert (await brandt.get("/Observation?_id=named-0-0")).json()["total"] == total
            assert (await brandt.get("/Observation?patient=p0&_id=named-0-0")).json()["total"] == total
