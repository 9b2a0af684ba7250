"""The server carries the artefacts of profiles/ as resources, for any token to read, and its search knows them."""

import asyncio
from typing import Any

import profiles
from fhir_server.caller import Caller
from fhir_server.definitions import load
from fhir_server.search.registry import Registry
from fhir_server.settings import default_definitions
from tests.fhir_server.node import running

ANYONE = Caller("anyone", "app", "Practitioner/x", frozenset({"consultant"}), None, ("user/Task.rs",))


def of_type(resource_type: str) -> list[dict[str, Any]]:
    return [one for one in profiles.artefacts() if one["resourceType"] == resource_type]


def test_every_search_parameter_of_ours_is_offered_and_compiles() -> None:
    registry = Registry(load(default_definitions()))
    for definition in of_type("SearchParameter"):
        for base in definition["base"]:
            parameter = registry.of(base)[definition["code"]]
            assert parameter.type == definition["type"]
            assert callable(parameter.evaluate)


def test_a_start_writes_the_artefacts_once(database_url: str) -> None:
    async def start() -> dict[str, Any]:
        async with running(database_url, publish_profiles=True) as server:
            answer = await server.client(ANYONE).get("/StructureDefinition/case-task")
            found = await server.client(ANYONE).get("/CodeSystem?url=https://konsil.example/fhir/CodeSystem/product")
            total = await server.client(ANYONE).get("/ValueSet?_total=accurate&_summary=count")
        assert answer.status_code == 200, answer.text
        assert len(found.json()["entry"]) == 1
        assert total.json()["total"] == len(of_type("ValueSet"))
        artefact: dict[str, Any] = answer.json()
        return artefact

    first, second = asyncio.run(start()), asyncio.run(start())
    assert first == second
    assert first["meta"]["versionId"] == "1"
