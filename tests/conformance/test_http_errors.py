"""https://hl7.org/fhir/R4/http.html#Status-Codes: every refusal is an OperationOutcome."""

import httpx
import pytest

from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/fhir+json"}
BAD_BODIES = {
    "no JSON": b"{",
    "empty": b"",
    "not an object": b"[1]",
    "no resourceType": b"{}",
    "another type": b'{"resourceType":"Practitioner"}',
    "unknown type": b'{"resourceType":"Nonsense"}',
    "unknown element": b'{"resourceType":"Patient","nonsense":1}',
    "array for one": b'{"resourceType":"Patient","gender":["male"]}',
    "one for array": b'{"resourceType":"Patient","name":{"family":"x"}}',
    "empty array": b'{"resourceType":"Patient","name":[]}',
    "empty object": b'{"resourceType":"Patient","name":[{}]}',
    "empty string": b'{"resourceType":"Patient","gender":""}',
    "null": b'{"resourceType":"Patient","gender":null}',
    "wrong kind": b'{"resourceType":"Patient","active":"true"}',
    "string for object": b'{"resourceType":"Patient","maritalStatus":"M"}',
    "repeated property": b'{"resourceType":"Patient","gender":"male","gender":"female"}',
    "NaN": b'{"resourceType":"Patient","multipleBirthInteger":NaN}',
    "not UTF-8": b'{"resourceType":"Patient","gender":"\xff"}',
    "too deep": b'{"resourceType":"Patient","x":' + b"[" * 200 + b"]" * 200 + b"}",
    "far too deep": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.spec("R4 http.html#create")
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_malformed_body_is_400(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/Patient", content=body, headers=JSON)
    assert response.status_code == 400
    issue = response.json()["issue"][0]
    assert issue["severity"] == "error"
    assert issue["code"] in {"invalid", "structure"}
    assert issue["diagnostics"]


@pytest.mark.spec("R4 validation.html")
async def test_a_missing_required_element_is_named(client: httpx.AsyncClient) -> None:
    response = await client.post("/Observation", json={"resourceType": "Observation", "code": {"text": "x"}})
    assert response.status_code == 400
    assert response.json()["issue"][0]["diagnostics"] == "Observation.status is required."
    assert response.json()["issue"][0]["expression"] == ["Observation"]


@pytest.mark.spec("R4 http.html#mime-type")
async def test_formats(client: httpx.AsyncClient) -> None:
    for accept in (
        "application/fhir+json",
        "application/json;q=0.9",
        "text/html, */*;q=0.1",
        "application/fhir+json; fhirVersion=4.0",
    ):
        assert (await client.get("/Patient", headers={"Accept": accept})).status_code == 200
    for accept in ("text/turtle", "application/fhir+json; fhirVersion=3.0", "application/fhir+json;q=0"):
        assert (await client.get("/Patient", headers={"Accept": accept})).status_code == 406
    assert (await client.get("/Patient?_format=json", headers={"Accept": "text/turtle"})).status_code == 200
    assert (await client.get("/Patient?_format=application/fhir%2Bjson")).status_code == 200
    assert (await client.get("/Patient?_format=ttl")).status_code == 406
    wrong = await client.post("/Patient", content=b"[] a fhir:Patient.", headers={"Content-Type": "text/turtle"})
    assert wrong.status_code == 415
    assert wrong.json()["resourceType"] == "OperationOutcome"


@pytest.mark.spec("R4 http.html#Status-Codes")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Nonsense", 404),
        ("GET", "/Nonsense/1", 404),
        ("GET", "/Patient/1/2/3/4", 404),
        ("PUT", "", 405),
        ("POST", "/Patient/1", 405),
        ("DELETE", "/Patient/1/_history", 405),
        ("TRACE", "/Patient", 405),
    ],
)
async def test_addresses_that_are_none(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.json()["resourceType"] == "OperationOutcome"
    assert (status != 405) or response.headers["allow"]


@pytest.mark.spec("R4 http.html#security")
async def test_nothing_answers_without_a_token_but_metadata(server: Server) -> None:
    async with server.client() as client:
        del client.headers["Authorization"]
        for method, path in (
            ("GET", "/Patient"),
            ("GET", "/Patient/1"),
            ("POST", ""),
            ("GET", "/_history"),
            ("GET", "/x"),
        ):
            response = await client.request(method, path)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.json()["issue"][0]["code"] == "login"
        assert (await client.get("/metadata")).status_code == 200
        bad = await client.get("/Patient", headers={"Authorization": "Bearer nonsense"})
        assert bad.status_code == 401
        assert (await client.get("/Patient", headers={"Authorization": "Basic eDp5"})).status_code == 401


@pytest.mark.spec("R4 http.html#cors")
async def test_preflight_and_headers_for_other_origins(client: httpx.AsyncClient) -> None:
    answer = await client.options("/Patient", headers={"Origin": "https://app.test", "Authorization": ""})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "ETag" in (await client.get("/Patient")).headers["access-control-expose-headers"]


@pytest.mark.spec("R4 http.html#capabilities")
async def test_the_capability_statement_tells_what_there_is(client: httpx.AsyncClient) -> None:
    statement = (await client.get("/metadata")).json()
    assert statement["fhirVersion"] == "4.0.1"
    rest = statement["rest"][0]
    assert {entry["code"] for entry in rest["interaction"]} >= {
        "transaction",
        "batch",
        "history-system",
        "search-system",
    }
    resources = {entry["type"]: entry for entry in rest["resource"]}
    assert len(resources) == 146
    names = {entry["name"] for entry in resources["Task"]["searchParam"]}
    assert {"_id", "_lastUpdated", "business-status", "patient", "due", "task-input"} <= names
    for name in sorted(names):
        wanted = {"date": "2020", "reference": "Patient/1"}
        kind = next(entry["type"] for entry in resources["Task"]["searchParam"] if entry["name"] == name)
        answer = await client.get("/Task", params={name: wanted.get(kind, "1")})
        assert answer.status_code == 200, answer.text
    assert resources["Task"]["conditionalCreate"] is True


async def test_too_large_a_body_is_413(server: Server) -> None:
    async with server.client() as client:
        limit = server.app.state.node.settings.max_body_bytes
        response = await client.post("/Patient", headers={**JSON, "Content-Length": str(limit + 1)})
        assert response.status_code == 413
        assert response.json()["issue"][0]["code"] == "too-long"


async def test_health(server: Server) -> None:
    async with server.client() as client:
        assert (await client.get("http://fhir.test/healthz")).json() == {"status": "ok"}
        assert "konsil_http_requests" in (await client.get("http://fhir.test/metrics")).text


HOSTILE = [
    '{"resourceType":"Patient","id":"%s","multipleBirthInteger":123456789012345678901234567890}',
    '{"resourceType":"Patient","id":"%s","name":[{"family":"\\u0000"}]}',
    '{"resourceType":"Patient","id":"%s","name":[{"family":"\\ud800"}]}',
    '{"resourceType":"Patient","id":"%s","implicitRules":"urn:' + "x" * 5000 + '"}',
    '{"resourceType":"Patient","id":"%s","name":[{"family":"' + "x" * 100_000 + '"}]}',
    '{"resourceType":"Patient","id":"%s","birthDate":"9999-99-99"}',
    '{"resourceType":"Patient","id":"%s","identifier":[{"value":"' + "9" * 9000 + '"}]}',
    '{"resourceType":"ValueSet","id":"%s","status":"draft","url":"urn:' + "x" * 9000 + '"}',
    '{"resourceType":"RiskAssessment","id":"%s","status":"final","subject":{"reference":"Patient/1"},'
    '"prediction":[{"probabilityDecimal":1e999}]}',
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_extreme_values_are_stored_or_refused(client: httpx.AsyncClient, unique: str, text: str) -> None:
    resource_type = text.partition('":"')[2].partition('"')[0]
    response = await client.put(f"/{resource_type}/{unique}", content=text.replace("%s", unique), headers=JSON)
    assert response.status_code in {201, 400}
    if response.status_code == 201:
        assert (await client.get(f"/{resource_type}/{unique}")).content == response.content


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/Patient?name=%00", 400),
        ("/Patient?name=%ED%A0%80", 200),
        ("/Patient/%00", 404),
        ("/Patient/a%2Fb", 404),
        ("/Patient/x/_history/%00", 404),
        ("/Patient?identifier=" + "1," * 5000 + "1", 400),
        ("/Patient?_id=" + ",".join("x" * 60 for _ in range(500)), 200),
        ("/Observation?value-quantity=1e400", 200),
        ("/Observation?date=9999-12-31", 200),
        ("/Observation?date=0001-01-01", 200),
        ("/ValueSet?url=urn:" + "x" * 9000, 200),
        ("/Patient?_count=99999999999999999999", 200),
    ],
)
async def test_extreme_searches_are_answered_or_refused(client: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await client.get(path)).status_code == status
