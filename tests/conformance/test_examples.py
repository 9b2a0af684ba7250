"""Every example of the specification goes in and comes out the same, in JSON and through XML.

https://hl7.org/fhir/R4/json.html, https://hl7.org/fhir/R4/xml.html
"""

import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.setup.examples import package
from fhir_server import wire
from fhir_server.definitions import load
from fhir_server.settings import default_definitions
from fhir_server.xml.names import Shapes
from fhir_server.xml.reading import read_xml
from fhir_server.xml.writing import write_xml
from tests.fhir_server.node import running

# What R4 itself does not allow: an element that it requires is missing (only an extension says why), so the
# server refuses them. Nothing else may be on this list.
NOT_R4 = {
    "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": "address",  # too long
    "ImplementationGuide-fhir.json": "name",
    "Questionnaire-qs1.json": "linkId",
    "ig-r4.json": "name",
    **dict.fromkeys(
        (
            *(f"SearchParameter-codesystem-extensions-CodeSystem-{n}.json" for n in ("author", "effective", "end")),
            *(f"SearchParameter-codesystem-extensions-CodeSystem-{n}.json" for n in ("keyword", "workflow")),
            *(f"SearchParameter-valueset-extensions-ValueSet-{n}.json" for n in ("author", "effective", "end")),
            *(f"SearchParameter-valueset-extensions-ValueSet-{n}.json" for n in ("keyword", "workflow")),
        ),
        "base",
    ),
}
# What R4 allows and this server's own rules refuse: it takes a signature only from the person who gives it.
BY_RULE = {"Provenance-consent-signature.json": "Rule 4", "Provenance-signature.json": "Rule 4"}
LARGEST_IN_A_SAMPLE = 50_000
EVERY = 30


@cache
def names() -> list[tuple[str, int]]:
    with tarfile.open(package()) as archive:
        found = [(m.name, m.size) for m in archive if m.name.endswith(".json")]
    return sorted((name, size) for name, size in found if Path(name).name not in {"package.json", ".index.json"})


def examples(*, every: int = 1, largest: int = 1 << 60) -> Iterator[tuple[str, bytes]]:
    wanted = {name for name, size in names()[::every] if size <= largest}
    with tarfile.open(package()) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name in wanted else None
            if stream is not None:
                yield Path(member.name).name, stream.read()


def bare(resource: dict[str, Any]) -> bytes:
    """Everything but what the server writes itself, decimals as written, order of properties left out."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in {"versionId", "lastUpdated"}}
    return wire.canonical(resource) + wire.dumps(
        sorted((k, wire.canonical({"x": v}).decode()) for k, v in meta.items())
    )


def test_the_package_is_the_whole_one() -> None:
    assert len(names()) >= 5300


def check_codec(every: int, largest: int) -> None:
    shapes = Shapes(load(default_definitions()))
    for name, raw in examples(every=every, largest=largest):
        resource = wire.loads(raw)
        again = read_xml(write_xml(resource, shapes), shapes, 100)
        assert bare(again) == bare(resource), name


@pytest.mark.spec("R4 xml.html")
def test_a_sample_of_the_examples_through_xml() -> None:
    check_codec(EVERY, LARGEST_IN_A_SAMPLE)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.spec("R4 xml.html")
def test_every_example_through_xml() -> None:
    check_codec(1, 1 << 60)


@pytest.fixture
async def own_client(anyio_backend: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server of its own: the examples would stand in the way of others."""
    async with running(f"sqlite:///{tmp_path}/fhir.db") as server, server.client() as client:
        yield client


async def fate(client: httpx.AsyncClient, name: str, raw: bytes) -> str:
    """What went wrong with an example; empty when nothing did."""
    resource = wire.loads(raw)
    address = f"/{resource['resourceType']}/{resource['id']}"
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
    stored = await client.put(address, content=raw, headers=headers)
    expected = (NOT_R4 | BY_RULE).get(name)
    if expected:
        named = expected in json.dumps(stored.json()["issue"]) if stored.status_code in {400, 404, 422} else False
        return "" if named else f"it should have been refused: {stored.status_code}"
    if stored.status_code not in {200, 201}:
        return stored.text[:300]
    if bare(wire.loads(stored.content)) != bare(resource):
        return "it comes back different in JSON"
    as_xml = await client.get(address, headers={"Accept": "application/fhir+xml"})
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+json"}
    if resource["resourceType"] == "AuditEvent":  # never changed: its XML goes in as another one
        again = await client.post("/AuditEvent", content=as_xml.content, headers=headers)
    else:
        again = await client.put(address, content=as_xml.content, headers=headers)
    if again.status_code not in {200, 201}:
        return f"its XML is refused: {again.text[:300]}"
    returned = wire.loads(again.content) | {"id": resource["id"]}
    return "" if bare(returned) == bare(resource) else "it comes back different through XML"


async def check_stored(client: httpx.AsyncClient, every: int, largest: int) -> None:
    fates = {name: await fate(client, name, raw) for name, raw in examples(every=every, largest=largest)}
    assert {name: found for name, found in fates.items() if found} == {}


@pytest.mark.anyio
@pytest.mark.spec("R4 json.html")
async def test_a_sample_of_the_examples_is_stored_and_comes_back(own_client: httpx.AsyncClient) -> None:
    await check_stored(own_client, EVERY, LARGEST_IN_A_SAMPLE)


@pytest.mark.full
@pytest.mark.anyio
@pytest.mark.timeout(3600)
@pytest.mark.spec("R4 json.html")
async def test_every_example_is_stored_and_comes_back(own_client: httpx.AsyncClient) -> None:
    await check_stored(own_client, 1, 1 << 60)
