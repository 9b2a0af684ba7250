"""https://hl7.org/fhir/R4/http.html#mime-type, #parameters, #cread, #ops: how an answer is asked for."""

import gzip
import json
import zlib
from email.utils import formatdate, parsedate_to_datetime

import httpx
import pytest

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/fhir+json"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


async def made(client: httpx.AsyncClient, **more: object) -> str:
    response = await client.post("/Patient", json={"resourceType": "Patient", **more})
    assert response.status_code == 201, response.text
    return f"/Patient/{response.json()['id']}"


@pytest.mark.spec("R4 http.html#mime-type")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/fhir+xml", "xml"),
        ("application/fhir+json, application/fhir+xml", "json"),
        ("application/fhir+json;q=0.5, application/fhir+xml", "xml"),
        ("application/fhir+json;fhirVersion=3.0, text/xml", "xml"),
        ("text/turtle, application/json;q=0.1", "json"),
        (BROWSER, "html"),
        ("application/json;q=nonsense, application/xml;q=0.1", "xml"),
    ],
)
async def test_the_highest_weight_wins(client: httpx.AsyncClient, accept: str, kind: str) -> None:
    response = await client.get("/Patient", headers={"Accept": accept})
    assert kind in response.headers["content-type"]


@pytest.mark.spec("R4 http.html#parameters")
async def test_format_and_pretty(client: httpx.AsyncClient) -> None:
    address = await made(client, active=True)
    for value in ("xml", "text/xml", "application/xml", "application/fhir+xml", "application/fhir%2Bxml"):
        assert (await client.get(f"{address}?_format={value}")).text.startswith("<?xml")
    for value in ("json", "text/json", "application/json", "application/fhir+json"):
        response = await client.get(f"{address}?_format={value}", headers={"Accept": "application/fhir+xml"})
        assert response.json()["active"] is True
    assert "\n" not in (await client.get(address)).text
    assert '\n  "active": true' in (await client.get(f"{address}?_pretty=true")).text
    assert '\n  <active value="true"/>' in (await client.get(f"{address}?_pretty=true&_format=xml")).text


@pytest.mark.spec("R4 search.html#summary")
async def test_summary_and_elements_of_a_read(client: httpx.AsyncClient) -> None:
    contact = [{"relationship": [{"text": "x"}]}]
    div = '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
    address = await made(client, active=True, contact=contact, text={"status": "generated", "div": div})
    summary = (await client.get(f"{address}?_summary=true")).json()
    assert summary["active"] is True
    assert "contact" not in summary and "text" not in summary
    assert summary["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert set((await client.get(f"{address}?_elements=contact")).json()) == {"resourceType", "id", "meta", "contact"}
    assert set((await client.get(f"{address}?_summary=text")).json()) == {"resourceType", "id", "meta", "text"}
    assert "text" not in (await client.get(f"{address}?_summary=data")).json()
    assert "tag" not in (await client.get(f"{address}?_summary=false")).json()["meta"]


@pytest.mark.spec("R4 search.html#summary")
async def test_a_summary_goes_into_backbone_elements(client: httpx.AsyncClient) -> None:
    component = [{"code": {"text": "c"}, "valueString": "v", "interpretation": [{"text": "i"}]}]
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "component": component}
    id_ = (await client.post("/Observation", json=body)).json()["id"]
    summary = (await client.get(f"/Observation/{id_}?_summary=true")).json()
    assert summary["component"] == [{"code": {"text": "c"}, "valueString": "v"}]


@pytest.mark.spec("R4 http.html#cread")
async def test_conditional_read_by_time_and_tag(client: httpx.AsyncClient) -> None:
    address = await made(client)
    first = await client.get(address)
    changed = parsedate_to_datetime(first.headers["last-modified"]).timestamp()
    for since, status in ((changed, 304), (changed + 60, 304), (changed - 60, 200)):
        answer = await client.get(address, headers={"If-Modified-Since": formatdate(since, usegmt=True)})
        assert answer.status_code == status
        assert answer.headers["etag"] == 'W/"1"'
        assert bool(answer.content) == (status == 200)
    for tag, status in (('W/"1"', 304), ('"1"', 304), ('W/"7", W/"1"', 304), ("*", 304), ('W/"2"', 200)):
        headers = {"If-None-Match": tag, "If-Modified-Since": formatdate(changed + 60, usegmt=True)}
        assert (await client.get(address, headers=headers)).status_code == status
    assert (await client.get(address, headers={"If-Modified-Since": "nonsense"})).status_code == 200


@pytest.mark.spec("R4 http.html#read")
async def test_head_says_what_get_would(client: httpx.AsyncClient) -> None:
    address = await made(client, active=True)
    for path in (address, f"{address}/_history/1", "/Patient?_count=1", "/metadata"):
        get, head = await client.get(path), await client.head(path)
        assert head.status_code == get.status_code
        assert head.content == b""
        if "?" not in path:
            assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.spec("R4 http.html#compression")
async def test_large_answers_are_packed_for_those_who_take_it(client: httpx.AsyncClient) -> None:
    address = await made(client, name=[{"text": "x" * 10_000}])
    packed = await client.get(address, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 1000
    assert "Accept-Encoding" in packed.headers["vary"]
    for encoding in ("identity", "gzip;q=0", "br"):
        plain = await client.get(address, headers={"Accept-Encoding": encoding})
        assert "content-encoding" not in plain.headers
        assert plain.content == packed.content
    assert (await client.get("/metadata", headers={"Accept-Encoding": "gzip"})).headers["content-encoding"] == "gzip"


@pytest.mark.spec("R4 http.html#compression")
async def test_packed_bodies_are_taken_and_bombs_refused(client: httpx.AsyncClient) -> None:
    body = json.dumps({"resourceType": "Patient", "active": True}).encode()
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert (await client.post("/Patient", content=gzip.compress(body), headers=headers)).status_code == 201
    for broken in (b"nonsense", gzip.compress(body)[:-9]):
        assert (await client.post("/Patient", content=broken, headers=headers)).status_code == 400
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(bytes(1_000_000)) for _ in range(60)) + squeeze.flush()
    assert len(bomb) < 100_000
    assert (await client.post("/Patient", content=bomb, headers=headers)).status_code == 413
    other = {**JSON, "Content-Encoding": "br"}
    assert (await client.post("/Patient", content=body, headers=other)).status_code == 415


@pytest.mark.spec("R4 http.html#mime-type")
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/fhir+json; charset=UTF-8", 201),
        ("application/json", 201),
        ("application/fhir+json; fhirVersion=4.0", 201),
        ("application/fhir+json; fhirVersion=3.0", 415),
        ("application/fhir+json; charset=latin-1", 415),
        ("text/plain", 415),
    ],
)
async def test_the_type_of_the_body(client: httpx.AsyncClient, content_type: str, status: int) -> None:
    body = b'{"resourceType":"Patient"}'
    assert (await client.post("/Patient", content=body, headers={"Content-Type": content_type})).status_code == status


@pytest.mark.spec("R4 http.html#ops")
async def test_a_preference_that_is_none_is_passed_over_and_the_first_of_several_counts(
    client: httpx.AsyncClient,
) -> None:
    async def status(address: str, preference: str) -> int:
        return (await client.get(address, headers={"Prefer": preference})).status_code

    assert await status("/Patient", "return=presentation") == 200  # SMART's own client sends it with each patch
    assert await status("/Patient?nonsense=1", "handling=rough") == 400
    assert await status("/Patient?nonsense=1", 'respond-async, Handling="lenient"; handling=strict') == 200


@pytest.mark.spec("R4 http.html#general")
async def test_a_browser_gets_a_page_without_script(client: httpx.AsyncClient) -> None:
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><b>bold</b><script>x</script><img src="http://192.0.2.1/"/></div>'
    organization = (
        await client.post("/Organization", json={"resourceType": "Organization", "name": "</script>"})
    ).json()
    reference = f"Organization/{organization['id']}"
    text = {"status": "generated", "div": div}
    address = await made(client, managingOrganization={"reference": reference}, text=text)
    page = await client.get(address, headers={"Accept": BROWSER})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert f'<a href="http://fhir.test/fhir/{reference}">{reference}</a>' in page.text
    assert "<b>bold</b>" in page.text
    assert "<script" not in page.text and "<img" not in page.text
    listed = await client.get("/Patient?_count=1", headers={"Accept": BROWSER})
    assert "<table>" in listed.text
    unknown = await client.get("/Patient/unknown", headers={"Accept": BROWSER})
    assert unknown.status_code == 404
    assert "is not known" in unknown.text
