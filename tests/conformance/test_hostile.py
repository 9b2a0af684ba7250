"""Bad input is refused at once, with an OperationOutcome, in flat memory.  https://hl7.org/fhir/R4/security.html

Times are of the processor, with room for a slow machine; each body has ten megabytes.
"""

import time

import httpx
import pytest

from tests.memory import forget_peak, peak

pytestmark = pytest.mark.anyio

SIZE = 10_000_000
JSON = {"Content-Type": "application/fhir+json"}
XML = {"Content-Type": "application/fhir+xml"}
XMLNS = b'xmlns="http://hl7.org/fhir"'
BODIES: dict[str, tuple[dict[str, str], bytes]] = {
    "nested arrays": (JSON, b"[" * (SIZE // 2) + b"]" * (SIZE // 2)),
    "nested arrays in a resource": (
        JSON,
        b'{"resourceType":"Patient","name":' + b"[" * (SIZE // 2) + b"]" * (SIZE // 2) + b"}",
    ),
    "nested objects": (JSON, b'{"a":' * (SIZE // 6) + b"1" + b"}" * (SIZE // 6)),
    "nested extensions": (JSON, b'{"resourceType":"Patient","extension":[' + b'{"extension":[' * (SIZE // 14)),
    "many empty arrays": (JSON, b'{"resourceType":"Patient","name":[' + b"[]," * (SIZE // 3) + b"[]]}"),
    "a repeated property": (JSON, b'{"resourceType":"Patient",' + b'"a":1,' * (SIZE // 6) + b'"a":1}'),
    "a long number": (JSON, b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * SIZE + b"}"),
    "half surrogates": (JSON, b'{"resourceType":"Patient","language":"' + b"\\ud800" * (SIZE // 6) + b'"}'),
    "NUL": (JSON, b'{"resourceType":"Patient","language":"' + b"\\u0000" * (SIZE // 6) + b'"}'),
    "blanks": (JSON, b" " * SIZE),
    "nested elements": (XML, b"<Patient " + XMLNS + b">" + b"<contained><Patient>" * (SIZE // 20)),
    "an attribute": (XML, b"<Patient " + XMLNS + b' x="' + b"x" * SIZE + b'"/>'),
    "declarations": (XML, b"<!DOCTYPE a [" + b'<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">' * (SIZE // 34) + b"]><a/>"),
    "a comment that does not end": (XML, b"<!--" + b"x" * SIZE),
}


@pytest.mark.spec("R4 security.html#http")
@pytest.mark.parametrize(("headers", "body"), BODIES.values(), ids=BODIES.keys())
async def test_a_hostile_body_is_refused_at_once(
    client: httpx.AsyncClient, headers: dict[str, str], body: bytes
) -> None:
    held = forget_peak()
    started = time.process_time()
    response = await client.post("/Patient", content=body, headers=headers)
    assert time.process_time() - started < 1
    assert peak() - held < 100_000_000
    assert response.status_code == 400
    assert "issue" in response.text
    assert len(response.content) < 2000


async def test_a_body_may_be_nested_a_hundred_levels(client: httpx.AsyncClient) -> None:
    """An extension in an extension is two levels each; one more than the limit says so."""

    def nested(times: int) -> bytes:
        extension = b'{"extension":[' * times + b"]}" * times
        return b'{"resourceType":"Patient","extension":[' + extension + b"]}"

    for times, refused in ((48, False), (50, True)):
        response = await client.post("/Patient", content=nested(times), headers=JSON)
        assert ("nested deeper than 100 levels" in response.text) is refused, times


DEEP = ".".join(["subject:Patient.general-practitioner:Practitioner"] * 40)
SEARCHES = {
    "a count out of all reason": "/Patient?_count=" + "9" * 5000,
    "a count that is none": "/Patient?_count=1e9",
    "a deep chain": f"/Observation?{DEEP}.name=x",
    "a wide chain": "/Observation?" + "subject." * 50 + "name=x",
    "what looks like a regular expression": "/Patient?name=" + "(a%2B)%2B" * 300 + "$",
    "wildcards": "/Patient?name:contains=" + "%25_" * 1000,
    "a long address": "/Patient?" + "name=x&" * 5000,
    "a long date": "/Patient?birthdate=" + "2" * 10_000,
    "a long number": "/Observation?value-quantity=" + "9" * 10_000,
    "nested _has": "/Patient?" + "_has:Observation:patient:" * 50 + "code=x",
    "includes without end": "/Patient?" + "&".join(["_include:iterate=*"] * 500),
}


@pytest.mark.spec("R4 search.html#errors")
@pytest.mark.parametrize("address", SEARCHES.values(), ids=SEARCHES.keys())
async def test_a_hostile_search_is_answered_or_refused_at_once(client: httpx.AsyncClient, address: str) -> None:
    started = time.process_time()
    response = await client.get(address)
    assert time.process_time() - started < 1
    assert response.status_code in {200, 400, 403, 404, 422}
    assert response.json()["resourceType"] in {"Bundle", "OperationOutcome"}
