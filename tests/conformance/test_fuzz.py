"""No request makes the server fail: whatever is sent is answered, refusals with an OperationOutcome.

Requests are made from the server's own OpenAPI document, with values and bodies of every kind.
https://hl7.org/fhir/R4/http.html#Status-Codes
"""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.caller import Caller
from tests.fhir_server.node import ADMINISTRATOR, Server

pytestmark = pytest.mark.anyio

TYPES = ["Patient", "Observation", "Task", "ServiceRequest", "Bundle", "Binary", "Parameters", "Provenance", "ValueSet"]
TYPES += ["SearchParameter", "StructureDefinition", "CodeSystem", "ConceptMap", "List", "Group", "Location", "Nonsense"]
SEGMENTS = ["_history", "_search", "$everything", "$expand", "$validate", "$validate-code", "$lookup", "$translate"]
SEGMENTS += [
    "$meta",
    "$meta-add",
    "$lastn",
    "$document",
    "$subsumes",
    "$nonsense",
    "*",
    "metadata",
    "1",
    "fuzz",
    "a" * 65,
]
NAMES = ["_id", "_count", "_sort", "_since", "_at", "_lastUpdated", "_elements", "_summary", "_include", "_revinclude"]
NAMES += [
    "_has:Observation:patient:code",
    "_total",
    "_type",
    "_format",
    "_pretty",
    "_cursor",
    "_list",
    "_text",
    "_filter",
]
NAMES += [
    "name",
    "code",
    "subject",
    "patient.name",
    "subject:Patient.name",
    "value-quantity",
    "code-value-quantity",
    "date",
]
NAMES += [
    "identifier:of-type",
    "code:in",
    "code:text",
    "code:below",
    "url:below",
    "near",
    "url",
    "system",
    "birthdate:missing",
]
ODD = [
    "",
    "-",
    "0",
    "-1",
    "1e999",
    "9" * 400,
    "true",
    "2020",
    "2020-13-45",
    "0000-00-00",
    "ge2020-02-30T25:61:61Z",
    "|",
    "||",
]
ODD += [
    "http://loinc.org|",
    "|x",
    ",,,",
    "\\",
    "\\,",
    "$",
    "a$b$c",
    "Patient/1",
    "Patient/",
    "urn:uuid:x",
    "*",
    "%",
    "_",
    "'",
    '"',
]
ODD += [
    "Observation:*",
    "Observation:subject:Patient",
    "Patient:iterate",
    "sa1",
    "ap5.40|http://unitsofmeasure.org|mg",
    "\U0001f600",
]
VALUES = st.one_of(st.sampled_from(ODD), st.text(max_size=20))
ACCEPTS = ["*/*", "application/fhir+xml", "text/html", "application/fhir+json;q=0", "nonsense", "image/png", ""]
BODY_TYPES = ["application/fhir+json", "application/fhir+xml", "application/json-patch+json", "text/plain", ""]
BODY_TYPES += ["application/x-www-form-urlencoded", "application/fhir+json; charset=utf-16"]
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(ACCEPTS),
        "Content-Type": st.sampled_from(BODY_TYPES),
        "If-Match": st.sampled_from(['W/"1"', "*", "nonsense", 'W/"99999999999"']),
        "If-None-Match": st.sampled_from(['W/"1"', "*", ",,"]),
        "If-None-Exist": st.sampled_from(["name=x", "", "?", "_id=1&_sort=x", "nonsense=1"]),
        "If-Modified-Since": st.sampled_from(
            ["nonsense", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 99 Jan 99999 00:00:00 GMT"]
        ),
        "Prefer": st.sampled_from(["return=minimal", "return=OperationOutcome", "handling=lenient", "return=x", ";;="]),
        "Content-Encoding": st.sampled_from(["gzip", "br"]),
        "Accept-Encoding": st.sampled_from(["gzip", "*;q=0"]),
    },
)
KEYS = [
    "resourceType",
    "id",
    "meta",
    "text",
    "name",
    "identifier",
    "code",
    "extension",
    "contained",
    "entry",
    "parameter",
]
KEYS += [
    "request",
    "resource",
    "url",
    "method",
    "value",
    "status",
    "type",
    "_birthDate",
    "birthDate",
    "data",
    "contentType",
    "part",
]
LEAVES = st.one_of(
    st.sampled_from(
        [*TYPES, "transaction", "batch", "POST", "PATCH", "GET", "Patient/1", "Patient?name=x", "add", "/name/0"]
    ),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    VALUES,
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)),
    max_leaves=12,
)
RESOURCES = st.builds(
    lambda name, tree: {**(tree if isinstance(tree, dict) else {"id": tree}), "resourceType": name},
    st.sampled_from(TYPES),
    TREES,
)
ENTRIES = st.fixed_dictionaries(
    {
        "request": st.fixed_dictionaries(
            {
                "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "X"]),
                "url": st.one_of(st.sampled_from(["Patient", "Patient/1", "Patient?name=x", ""]), VALUES),
            }
        )
    },
    optional={"resource": RESOURCES, "fullUrl": VALUES},
)
BUNDLES = st.builds(
    lambda kind, entries: {"resourceType": "Bundle", "type": kind, "entry": entries},
    st.sampled_from(["batch", "transaction", "document"]),
    st.lists(ENTRIES, max_size=3),
)
XMLS = st.builds(
    lambda name, inside: f'<{name} xmlns="http://hl7.org/fhir">{inside}</{name}>',
    st.sampled_from(TYPES),
    st.sampled_from(["", '<id value="1"/>', "<x/>", "text", '<name><given value="a"/></name>']),
)
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.builds(lambda tree: json.dumps(tree).encode(), st.one_of(RESOURCES, BUNDLES, TREES)),
    st.builds(str.encode, XMLS),
)
REQUESTS = st.tuples(
    st.sampled_from(["GET", "GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    st.tuples(st.sampled_from([*TYPES, *SEGMENTS, ""]), st.lists(st.sampled_from([*SEGMENTS, *TYPES]), max_size=3)),
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=3),
    HEADERS,
    BODIES,
)
FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None)
CONSULTANT = Caller(
    "fuzzer", "tests", "Practitioner/fuzz", frozenset({"consultant"}), "Organization/here", ("user/*.cruds",)
)


async def check(server: Server, caller: Caller, sent: tuple[Any, ...]) -> None:
    method, (first, more), query, headers, body = sent
    path = "/".join([first, *more])
    async with server.client(caller) as client:
        answer = await client.request(method, f"/{path}", params=query, headers=headers, content=body)
    assert answer.status_code < 500, (sent, answer.text)
    if answer.status_code >= 400 and method != "HEAD" and "json" in answer.headers.get("content-type", ""):
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.json()["issue"][0]["severity"] in {"error", "fatal"}


@pytest.mark.spec("R4 http.html#Status-Codes")
@settings(FUZZ, max_examples=120, derandomize=True)
@given(sent=REQUESTS)
async def test_nothing_fails(server: Server, sent: tuple[Any, ...]) -> None:
    await check(server, ADMINISTRATOR, sent)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.spec("R4 http.html#Status-Codes")
@pytest.mark.parametrize("caller", [ADMINISTRATOR, CONSULTANT], ids=lambda caller: caller.subject)
@settings(FUZZ, max_examples=3000)
@given(sent=REQUESTS)
async def test_nothing_fails_in_many_tries(server: Server, caller: Caller, sent: tuple[Any, ...]) -> None:
    await check(server, caller, sent)
