"""The pretend patients' charts: the same every time, valid, complete, readable, with codes that hold together."""

import base64
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pypdf import PdfReader

from deploy.sandbox import charts, directory, people
from deploy.sandbox.charts.catalogue import Resource
from smart_app import cda
from tests.fhir_server.validation.conftest import a_validator

TENANTS = ("epic", "oracle")
PATIENTS = [(key, story.KEY) for key in TENANTS for story in charts.STORIES[key]]
WANTED = {
    "Condition", "MedicationRequest", "AllergyIntolerance", "Observation", "Encounter", "Procedure",
    "DiagnosticReport", "DocumentReference", "Coverage",
}  # fmt: skip


@cache
def held(tenant: str) -> tuple[Resource, ...]:
    return tuple(charts.resources(tenant))


def chart_of(tenant: str, patient: str) -> list[Resource]:
    return [each for each in held(tenant) if each["id"] == patient or each["id"].startswith(f"{patient}-")]


def attachments(tenant: str, patient: str) -> Iterator[tuple[str, bytes]]:
    for each in chart_of(tenant, patient):
        if each["resourceType"] == "DocumentReference":
            attachment = each["content"][0]["attachment"]
            data = base64.b64decode(attachment["data"])
            assert attachment["size"] == len(data)
            yield attachment["contentType"], data


def codings(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if {"system", "code", "display"} <= value.keys():
            yield value
        for each in value.values():
            yield from codings(each)
    elif isinstance(value, list):
        for each in value:
            yield from codings(each)


def has_category(resource: Resource, code: str) -> bool:
    return any(coding["code"] == code for each in resource.get("category", []) for coding in each["coding"])


def test_eleven_patients() -> None:
    assert len(PATIENTS) == len(set(PATIENTS)) == 11


@pytest.mark.parametrize("tenant", TENANTS)
def test_chart_is_the_same_every_time(tenant: str) -> None:
    assert json.dumps(held(tenant)) == json.dumps(charts.resources(tenant))


@pytest.mark.parametrize("tenant", TENANTS)
def test_references_resolve_in_order(tenant: str) -> None:
    seen: set[str] = set()
    for resource in held(tenant):
        name = f"{resource['resourceType']}/{resource['id']}"
        assert name not in seen
        assert re.fullmatch(r"[A-Za-z0-9.-]{1,64}", resource["id"])
        seen.add(name)
        assert set(re.findall(r'"reference": "([^"]+)"', json.dumps(resource))) <= seen


@pytest.mark.parametrize("tenant", TENANTS)
def test_every_resource_is_valid(tenant: str) -> None:
    validator = a_validator()
    for resource in held(tenant):
        assert validator.validate(resource) == []
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_directory_is_valid() -> None:
    validator = a_validator()
    for resource in directory.resources():
        assert validator.validate(resource) == []
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_size_is_modest() -> None:
    for tenant, patient in PATIENTS:
        assert 60_000 < len(json.dumps(chart_of(tenant, patient))) < 600_000, patient


@pytest.mark.parametrize(("tenant", "patient"), PATIENTS)
def test_chart_is_full(tenant: str, patient: str) -> None:
    chart = chart_of(tenant, patient)
    assert {each["resourceType"] for each in chart} >= WANTED
    assert len([each for each in chart if each["resourceType"] == "Condition"]) >= 4
    assert len([each for each in chart if each["resourceType"] == "MedicationRequest"]) >= 4
    assert len([each for each in chart if has_category(each, "RAD")]) >= 2
    assert {kind for kind, _ in attachments(tenant, patient)} >= {"text/plain", "application/pdf"}
    assert any(has_category(each, "vital-signs") for each in chart)


@pytest.mark.parametrize(("tenant", "patient"), PATIENTS)
def test_laboratory_covers_two_years_and_moves(tenant: str, patient: str) -> None:
    values: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for each in chart_of(tenant, patient):
        if has_category(each, "laboratory"):
            values[each["code"]["text"]].append((each["effectiveDateTime"], each["valueQuantity"]["value"]))
    trends = [sorted(series) for series in values.values() if len(series) >= 6]
    assert len(trends) >= 8
    assert min(series[0][0] for series in trends) < "2025-01-01"
    assert max(series[-1][0] for series in trends) > "2026-10-15"
    assert any(max(v for _, v in series) > 1.25 * min(v for _, v in series) for series in trends)


def test_codes_have_one_display_each() -> None:
    displays: dict[tuple[str, str], set[str]] = defaultdict(set)
    for tenant in TENANTS:
        for each in codings(list(held(tenant))):
            displays[each["system"], each["code"]].add(each["display"])
    assert {code: names for code, names in displays.items() if len(names) > 1} == {}


def test_loinc_codes_have_a_true_check_digit() -> None:
    found = {each["code"] for tenant in TENANTS for each in codings(list(held(tenant))) if "loinc" in each["system"]}
    assert len(found) > 40
    for code in found:
        body, digit = code.split("-")
        assert luhn(body) == int(digit), code


def luhn(number: str) -> int:
    """The mod 10 check digit, which LOINC, SNOMED's neighbour NPI and credit cards share."""
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))]
    return -sum(value - 9 if value > 9 else value for value in doubled) % 10


def test_physicians_numbers_have_a_true_check_digit() -> None:
    persons = [*people.STAFF, *(each for some in people.REQUESTERS.values() for each in some)]
    numbers = [each.npi for each in persons]
    assert len(numbers) == len(set(numbers))
    for number in numbers:
        assert luhn(f"80840{number[:-1]}") == int(number[-1]), number


def test_consultants_are_licensed_and_every_line_has_one() -> None:
    lines = {words[2] for words in directory.SERVICE_LINES.values()}
    assert lines == {each.username for each in people.CONSULTANTS}
    for each in people.CONSULTANTS:
        texts = [held["code"]["text"] for held in each.practitioner()["qualification"]]
        assert texts[0] == f"Board certified in {each.specialty}"
        assert any(text.startswith("Licensed physician, ") for text in texts)


def test_record_numbers_are_typed_and_assigned() -> None:
    for tenant in TENANTS:
        for patient in (each for each in held(tenant) if each["resourceType"] == "Patient"):
            number = patient["identifier"][0]
            assert number["type"]["coding"][0]["code"] == "MR"
            assert number["assigner"]["display"]


@pytest.mark.parametrize(
    ("tenant", "patient", "name", "language"),
    [
        ("epic", "wang", "王秀英", "zh-CN"),
        ("oracle", "huang", "黃志明", "zh-TW"),
        ("oracle", "alrashid", "ليلى الراشد", "ar"),
    ],
)
def test_names_in_their_own_script(tenant: str, patient: str, name: str, language: str) -> None:
    native = chart_of(tenant, patient)[0]["name"][1]
    assert native["text"] == name
    assert {"url": "http://hl7.org/fhir/StructureDefinition/language", "valueCode": language} in native["extension"]


def test_child_comes_with_her_mother_and_grows() -> None:
    chart = chart_of("epic", "kowalczyk")
    mother = next(each for each in chart if each["resourceType"] == "RelatedPerson")
    assert mother["relationship"][0]["coding"][0]["code"] == "MTH"
    heights = [each for each in chart if each.get("code", {}).get("text") == "Body height"]
    measured = [each["valueQuantity"]["value"] for each in sorted(heights, key=lambda each: each["effectiveDateTime"])]
    assert len(measured) >= 5
    assert measured == sorted(measured)


def test_double_family_names_say_whose_they_are() -> None:
    extensions = chart_of("oracle", "moreno")[0]["name"][0]["_family"]["extension"]
    assert [each["valueString"] for each in extensions] == ["Moreno", "Ruiz"]


@pytest.mark.parametrize(("tenant", "patient"), PATIENTS)
def test_documents_can_be_read(tenant: str, patient: str) -> None:
    family = chart_of(tenant, patient)[0]["name"][0]["family"]
    for kind, data in attachments(tenant, patient):
        if kind == "application/pdf":
            assert family in PdfReader(io.BytesIO(data)).pages[0].extract_text()
        elif kind == "text/plain":
            assert len(data.decode()) > 200


@pytest.mark.parametrize(("tenant", "patient"), PATIENTS)
def test_summary_is_a_ccd_that_says_what_the_chart_says(tenant: str, patient: str) -> None:
    chart = chart_of(tenant, patient)
    data = next(data for kind, data in attachments(tenant, patient) if cda.is_xml(kind))
    document = cda.read(data)
    assert document.birth_date == chart[0]["birthDate"]
    assert chart[0]["identifier"][0]["value"] in document.numbers
    shown = {section.title: str(section.html) for section in document.sections}
    for kind, title in (("Condition", "Problems"), ("MedicationRequest", "Medications"), ("Procedure", "Procedures")):
        for each in (one for one in chart if one["resourceType"] == kind):
            text = (each.get("code") or each["medicationCodeableConcept"])["text"]
            assert text.replace("&", "&amp;") in shown[title]
    assert shown["Results"].count("<tr>") >= 8


@pytest.mark.parametrize(("tenant", "patient"), PATIENTS)
def test_summary_has_the_templates_and_its_references_resolve(tenant: str, patient: str) -> None:
    data = next(data for kind, data in attachments(tenant, patient) if cda.is_xml(kind))
    root = cda.parse(data)
    templates = {each.get("root") for each in root.iter(f"{cda.V3}templateId")}
    numbers = ("1.1", "1.2", "2.5.1", "2.1.1", "2.6.1", "2.3.1", "2.4.1", "2.7.1", "4.3", "4.4", "4.16", "4.30", "4.2")
    assert {f"2.16.840.1.113883.10.20.22.{number}" for number in numbers} <= templates
    names = [each.get("ID") for each in root.iter() if each.get("ID")]
    assert len(names) == len(set(names))
    referred = {each.get("value", "")[1:] for each in root.iter(f"{cda.V3}reference")}
    assert referred <= set(names)
    assert {each.get("root") for each in root.iter(f"{cda.V3}id")}
