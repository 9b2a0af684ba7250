"""The artefacts are correct FHIR and agree with the state table and with each other."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import profiles
from profiles import diagram

CANONICAL = "https://konsil.example/fhir"
ARTEFACTS = list(profiles.artefacts())
STATES = profiles.load("case-states.json")
ROLES = {"requester", "consultant", "him", "coordinator", "interface-engine", "system", "owner"}
REQUEST_STATUS = {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"}
TASK_STATUS = {
    "draft",
    "requested",
    "received",
    "accepted",
    "rejected",
    "ready",
    "cancelled",
    "in-progress",
    "on-hold",
    "failed",
    "completed",
    "entered-in-error",
}


def of_type(resource_type: str) -> Iterator[dict[str, Any]]:
    return (one for one in ARTEFACTS if one["resourceType"] == resource_type)


CODES = {one["url"]: {concept["code"] for concept in one["concept"]} for one in of_type("CodeSystem")}
VALUE_SETS = {one["url"]: one for one in of_type("ValueSet")}


def model(resource_type: str) -> Any:
    module = importlib.import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    return getattr(module, resource_type)


def validate(resource: dict[str, Any]) -> None:
    model(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("artefact", ARTEFACTS, ids=lambda one: f"{one['resourceType']}-{one['id']}")
def test_each_artefact_is_valid_and_named_after_its_file(artefact: dict[str, Any]) -> None:
    validate(artefact)
    assert artefact["url"] == f"{CANONICAL}/{artefact['resourceType']}/{artefact['id']}"
    assert (Path(profiles.__file__).parent / f"{artefact['resourceType']}-{artefact['id']}.json").exists()


def test_urls_are_unique() -> None:
    urls = [one["url"] for one in ARTEFACTS]
    assert len(urls) == len(set(urls))


@pytest.mark.parametrize("value_set", VALUE_SETS.values(), ids=lambda one: one["id"])
def test_every_include_of_ours_resolves(value_set: dict[str, Any]) -> None:
    for include in value_set["compose"]["include"]:
        if include["system"].startswith(CANONICAL):
            assert {one["code"] for one in include.get("concept", [])} <= CODES[include["system"]]


def test_every_code_system_says_what_holds_it_all() -> None:
    for system in of_type("CodeSystem"):
        assert system["valueSet"] in VALUE_SETS
        assert system["count"] == len(system["concept"])
        assert all(one["display"] and one["definition"] for one in system["concept"])


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object inside a value, itself among them."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


def canonicals(value: Any) -> set[str]:
    """Every string of ours inside a value."""
    entries = [entry for part in objects(value) for entry in part.values()]
    flat = [item for entry in entries for item in (entry if isinstance(entry, list) else [entry])]
    return {item for item in flat if isinstance(item, str) and item.startswith(CANONICAL)}


def test_profiles_refer_to_what_exists() -> None:
    known = {one["url"] for one in ARTEFACTS}
    for profile in of_type("StructureDefinition"):
        assert canonicals(profile["differential"]) <= known


def test_patterns_use_codes_that_exist() -> None:
    for artefact in ARTEFACTS:
        for part in objects(artefact):
            system = str(part.get("system", ""))
            if system.startswith(CANONICAL) and "code" in part:
                assert part["code"] in CODES[system]


def test_states_are_the_code_system_word_for_word() -> None:
    system = next(one for one in of_type("CodeSystem") if one["url"] == STATES["system"])
    displays = {concept["code"]: concept["display"] for concept in system["concept"]}
    assert displays == {code: state["title"] for code, state in STATES["states"].items()}


def test_states_use_statuses_of_fhir_and_known_stages() -> None:
    stages = {stage["code"] for stage in STATES["stages"]}
    for state in STATES["states"].values():
        assert set(state["ServiceRequest"]) <= REQUEST_STATUS
        assert set(state["Task"]) <= TASK_STATUS
        assert state["stage"] in stages
        assert state["owner"] in {"none", "one", "any"}


def test_steps_join_states_that_exist_and_are_taken_by_roles_that_exist() -> None:
    names = [step["name"] for step in STATES["steps"]]
    assert len(names) == len(set(names))
    for step in STATES["steps"]:
        assert step["to"] in STATES["states"]
        assert set(step["from"]) <= {None, *STATES["states"]}
        assert step["by"]
        assert set(step["by"]) <= ROLES
        assert step["owner"] in {"keep", "set", "self", "change", "clear", "any"}


def test_every_state_can_be_reached() -> None:
    reached: set[str | None] = {None}
    while more := {step["to"] for step in STATES["steps"] if reached & set(step["from"])} - reached:
        reached |= more
    assert reached == {None, *STATES["states"]}


def test_children_and_concordance_use_codes_that_exist() -> None:
    assert set(STATES["ending"]["cancels"]) <= set(STATES["children"])
    assert set(STATES["children"]) <= CODES[f"{CANONICAL}/CodeSystem/task-code"]
    assert set(STATES["concordance"]) <= CODES[f"{CANONICAL}/CodeSystem/concordance"]
    for answers in STATES["concordance"].values():
        assert set(answers) <= CODES[f"{CANONICAL}/CodeSystem/concordance-value"]
    for child in STATES["children"].values():
        for step in child["steps"]:
            assert set(step["from"]) | set(step["to"]) <= TASK_STATUS
            assert set(step["by"]) <= ROLES


def test_the_page_about_the_case_is_made_from_the_table() -> None:
    page = Path(profiles.__file__).parent.parent / "docs" / "case.md"
    assert diagram.section() in page.read_text(encoding="utf-8"), "run `python -m profiles.diagram`"
