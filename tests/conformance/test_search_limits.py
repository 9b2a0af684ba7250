"""Searches of a thousand values are answered from the indexes; absurd ones are refused before any database is asked."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from sqlalchemy import text

from fhir_server.context import Node
from fhir_server.store.explained import Explained
from fhir_server.store.grants import Grants
from fhir_server.store.repository import Repository
from tests.conformance.chart import UCUM, found, put
from tests.fhir_server.node import ADMINISTRATOR, Server

pytestmark = pytest.mark.anyio
THOUSAND = range(1000)


def listed(*parts: str) -> str:
    """A thousand values, of which the last is this one."""
    return quote(",".join([f"{parts[0]}{n}" for n in THOUSAND] + list(parts[1:])), safe=",|")


@pytest.mark.spec("R4 search.html#combining")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("Patient?identifier=" + listed("urn:mrn|n", "urn:mrn|A1"), ["anna"]),
        ("Patient?identifier=" + listed("n", "A1"), ["anna"]),
        ("Patient?_id=" + listed("n", "anna"), ["anna"]),
        ("Patient?family=" + listed("zz", "mull"), ["anna"]),
        ("Patient?family:contains=" + listed("zz", "uller"), ["anna"]),
        ("Patient?organization=" + listed("Organization/n", "clinic"), ["anna"]),
        ("Patient?_profile=" + listed("urn:p:", "http://profile.test/patient"), ["anna"]),
        ("Patient?general-practitioner=" + listed("n", "gp"), ["anna"]),
        ("Patient?birthdate=" + ",".join(f"sa{3000 + n}" for n in THOUSAND) + ",1970-05-17", ["anna"]),
        ("Observation?code=" + listed("n", "2160-0"), ["o3", "o4"]),
        (f"Observation?value-quantity={listed('77777')},13.5|{UCUM}|mg", ["o1"]),
        ("Observation?code-value-quantity=" + listed("n$1", "718-7$13.5"), ["o1"]),
        ("Observation?patient.identifier=" + listed("n", "A1") + "&date=2020", ["o1"]),
        ("Patient?gender:not=" + listed("n", "female"), ["li", "nobody"]),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
async def test_a_thousand_values(chart: httpx.AsyncClient, query: str, ids: list[str]) -> None:
    resource_type, _, form = query.partition("?")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await chart.post(f"/{resource_type}/_search", content=form, headers=headers)
    assert answer.status_code == 200, answer.text[:300]
    assert sorted(entry["resource"]["id"] for entry in answer.json().get("entry", [])) == ids


ABSURD = [
    "Patient?_count=" + "9" * 5000,
    "Patient?_count=-1",
    "Patient?_count=1e9",
    "Patient?identifier=" + ",".join("x" * 6000),
    "Provenance?target.target.target.target.target.name=x",
    "Observation?subject." + "partof." * 40 + "name=x",
    "Patient?" + "_has:Observation:patient:" * 30 + "code=x",
    "AuditEvent?entity.entity.entity.entity._id=1",
    "Observation?value-quantity=" + "1" * 100_000,
    "Observation?value-quantity=1e999999999",
    "Observation?date=" + "2020-" * 10_000,
    "Patient?birthdate=99999-01-01",
    "Observation?code-value-quantity=" + "$" * 10_000,
    "Patient?identifier=" + "|" * 10_000,
    "Patient?_include=" + "Patient:" * 5000,
    "Patient?" + "x" * 50_000 + "=1",
    "?_type=" + ",".join(["Patient"] * 3000) + ",Nonsense",
]


@pytest.mark.parametrize("query", ABSURD, ids=lambda query: query[:40])
async def test_absurd_searches_are_refused_at_once(server: Server, query: str) -> None:
    node: Node = server.app.state.node
    path, _, rest = query.partition("?")
    name, _, value = rest.partition("=")
    node.parser.registry.shared(tuple(sorted(node.definitions.resource_types)))
    spent = time.process_time()
    async with server.client() as client:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post(f"/{path}/_search".replace("//", "/"), content=f"{name}={value}", headers=form)
    assert time.process_time() - spent < 1
    if name == "_count" and value.isdigit():
        assert answer.status_code == 200
    else:
        assert answer.status_code == 400, answer.text[:200]
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert len(answer.content) < 2000


@pytest.mark.parametrize("value", ["(a+)+$", ".*" * 500, "%" * 500, "_" * 500, "[a-z]{1,9}" * 50, "\\" * 999, "*?[!]"])
@pytest.mark.parametrize("name", ["family", "family:contains", "family:exact", "identifier", "address", "phonetic"])
async def test_patterns_are_text(chart: httpx.AsyncClient, name: str, value: str) -> None:
    spent = time.process_time()
    answer = await chart.get("/Patient", params={name: value})
    assert answer.status_code == 200, answer.text
    assert "entry" not in answer.json()
    assert time.process_time() - spent < 1


@pytest.mark.spec("R4 search.html#chaining")
async def test_a_chain_of_sixteen_links(server: Server) -> None:
    async with server.client() as client:
        names = [f"level{n}" for n in range(17)]
        groups = [
            {"resourceType": "Organization", "id": name, "name": name, "partOf": {"reference": f"Organization/{upper}"}}
            for name, upper in zip(names, names[1:], strict=False)
        ]
        await put(client, [*groups, {"resourceType": "Organization", "id": names[-1], "name": "the top of all"}])
        assert await found(client, f"Organization?{'partof.' * 16}name=the top") == ["level0"]
        assert await found(client, f"Organization?{'_has:Organization:partof:' * 16}_id=level0") == ["level16"]


async def test_dozens_of_conditions_are_planned_at_once(chart: httpx.AsyncClient) -> None:
    started = time.monotonic()
    assert await found(chart, "Patient?" + "&".join(["name=maria", "family=mull", "given=anna"] * 15)) == ["anna"]
    assert await found(chart, "Patient?" + "&".join(["gender:not=male"] * 40) + "&_id=anna") == ["anna"]
    assert time.monotonic() - started < 20


@pytest.fixture(scope="module")
async def many(server: Server) -> AsyncIterator[Server]:
    """Enough rows that a database prefers an index, with what it has counted of them."""
    async with server.client() as client:
        for start in range(0, 1000, 500):
            people = [_person(n) for n in range(start, start + 500)]
            await put(client, people)
    node: Node = server.app.state.node
    async with node.database.transaction() as transaction:
        await transaction.execute(text("ANALYZE"))
    yield server


def _person(n: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"many{n}",
        "status": "final",
        "identifier": [{"system": "urn:many", "value": str(n), "type": {"coding": [{"system": "t", "code": "X"}]}}],
        "code": {"coding": [{"system": "urn:c", "code": f"c{n % 300}", "display": f"Display {n}"}]},
        "subject": {"reference": f"Patient/many{n % 200}"},
        "encounter": {"reference": f"Encounter/many{n}"},
        "effectiveDateTime": f"20{n % 90 + 10}-01-0{n % 9 + 1}",
        "valueQuantity": {"value": n, "system": UCUM, "code": "g", "unit": "g"},
    }


SELECTIVE = [
    "Observation?code-value-quantity=c7$307|http://unitsofmeasure.org|g",
    "Observation?value-quantity=0.307|http://unitsofmeasure.org|kg",
    "Observation?identifier:of-type=t|X|307",
    "Observation?code:text=display 307",
    "Observation?identifier=urn:many|307,urn:many|308",
    "Observation?_has:Observation:subject:_id=many3",
    "?_type=Observation,Condition&patient=many7",
    "?_type=Observation,Condition,Procedure&identifier=urn:many|307",
    "Patient/many7/Observation",
    "Encounter/many7/*",
    "Observation?_list=none",
    "Observation?identifier=" + ",".join(f"urn:many|{n}" for n in THOUSAND if n > 990),
]


@pytest.mark.parametrize("query", SELECTIVE, ids=lambda query: query[:50])
async def test_selective_searches_read_no_whole_table(many: Server, query: str) -> None:
    node: Node = many.app.state.node
    assert await _read_whole(node, query) == []


async def _read_whole(node: Node, query: str) -> list[str]:
    """The tables that the database would read from end to end for the first page."""
    address, _, rest = query.partition("?")
    parts = address.split("/")
    pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in rest.split("&") if pair)]
    held = (parts[0], parts[1]) if len(parts) == 3 else None
    name = parts[-1] if parts[-1] not in {"", "*"} else None
    parsed = node.parser.parse(name, pairs, compartment=held)
    store = Repository(node.database, Grants(ADMINISTRATOR, node.numbers), node.registry, node.numbers)
    rows = await node.database.fetch(Explained(store.page_of(parsed)))
    if node.database.dialect == "postgresql":
        return list(_sequential(orjson.loads(rows[0]["QUERY PLAN"])[0]["Plan"]))
    scans = (str(row["detail"]) for row in rows if str(row["detail"]).startswith("SCAN "))
    return [scan for scan in scans if scan.split()[1].startswith(("resource", "index_"))]


def _sequential(plan: dict[str, Any]) -> Iterator[str]:
    if plan["Node Type"] == "Seq Scan":
        yield f"{plan['Relation Name']}: {plan.get('Filter')}"
    for part in plan.get("Plans", ()):
        yield from _sequential(part)
