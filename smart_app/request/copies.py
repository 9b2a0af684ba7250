"""Copies of the hospital's records for our server.

A copy keeps what it says, gets the hospital's id as an identifier, and loses every reference that would point nowhere
or to somebody else's record: people and visits stay as words.
"""

import copy
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from smart_app.fhir import Resource
from smart_app.request.chart import Chart

COPIED_TYPES = (
    "Condition",
    "MedicationRequest",
    "AllergyIntolerance",
    "Observation",
    "DiagnosticReport",
    "DocumentReference",
    "Procedure",
)
PATIENT_ELEMENTS = ("subject", "patient")
DROPPED = ("id", "meta", "text", "contained", "extension", "modifierExtension", "implicitRules")


def with_results(chart: Chart, references: list[str]) -> list[Resource]:
    """The picked resources, and the Observations that picked reports consist of."""
    picked = {reference: found for reference in references if (found := chart.find(reference))}
    for resource in list(picked.values()):
        for result in resource.get("result", []) if resource["resourceType"] == "DiagnosticReport" else []:
            name = result.get("reference", "")
            if name not in picked and (found := chart.find(name)):
                picked[name] = found
    return [each for each in picked.values() if each["resourceType"] in COPIED_TYPES]


def copy_of(original: Resource, fhir_base: str, patient: str, urls: dict[str, str]) -> Resource:
    """One copy: about our Patient, identified by the hospital's id, references kept where `urls` has the target."""
    kept = {name: copy.deepcopy(value) for name, value in original.items() if name not in DROPPED}
    made: Resource = _relinked(kept, urls)
    for name in PATIENT_ELEMENTS:
        if name in original:
            made[name] = {"reference": patient}
    resource_type, identity = original["resourceType"], original["id"]
    identifiers = made.get("identifier", [])
    made["identifier"] = [{"system": f"{fhir_base}/{resource_type}", "value": identity}, *identifiers]
    version = original.get("meta", {}).get("versionId")
    if version:
        made["identifier"].insert(1, version_identifier(original, fhir_base))
    return made


def version_identifier(original: Resource, fhir_base: str) -> dict[str, str]:
    """The hospital's id with its version: a later version becomes another copy, the same one is not copied twice."""
    version = original.get("meta", {}).get("versionId", "1")
    return {"system": f"{fhir_base}/{original['resourceType']}/_history", "value": f"{original['id']}/{version}"}


def criteria(original: Resource, fhir_base: str) -> str:
    """If-None-Exist criteria under which this very version is copied once."""
    versioned = "versionId" in original.get("meta", {})
    plain = {"system": f"{fhir_base}/{original['resourceType']}", "value": original["id"]}
    chosen = version_identifier(original, fhir_base) if versioned else plain
    return f"identifier={quote(chosen['system'], safe='')}|{quote(chosen['value'], safe='')}"


def attachments(resource: Resource) -> Iterator[dict[str, Any]]:
    """Attachments of a copy whose bytes still lie at the hospital."""
    for content in resource.get("content", []):
        attachment = content.get("attachment", {})
        if attachment.get("url") and "data" not in attachment:
            yield attachment
    for attachment in resource.get("presentedForm", []):
        if attachment.get("url") and "data" not in attachment:
            yield attachment


def _relinked(value: Any, urls: dict[str, str]) -> Any:
    """The value with its references re-pointed where the target is copied too, reduced to words elsewhere."""
    if isinstance(value, list):
        return [made for each in value if (made := _relinked(each, urls)) not in ({}, [])]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("reference"), str):
        return _reference(value, urls)
    changed = {name: _relinked(each, urls) for name, each in value.items()}
    return {name: each for name, each in changed.items() if each not in ({}, [])}


def _reference(value: dict[str, Any], urls: dict[str, str]) -> dict[str, Any]:
    relative = "/".join(value["reference"].split("/")[-2:])
    words = {"display": value["display"]} if value.get("display") else {}
    return {"reference": urls[relative], **words} if relative in urls else words
