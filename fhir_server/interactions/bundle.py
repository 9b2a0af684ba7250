"""Bundles as documents: stored bytes are put in as they are.  https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Iterable
from typing import Any

from fhir_server import wire
from fhir_server.errors import FhirError, Issue
from fhir_server.search.dates import instant
from fhir_server.store.repository import Version

Document = dict[str, Any]
METHODS = {"create": "POST", "update": "PUT", "delete": "DELETE"}


def bundle(type_: str, entries: list[Document], links: Iterable[tuple[str, str]], total: int | None = None) -> Document:
    """A searchset or history."""
    document: Document = {"resourceType": "Bundle", "type": type_}
    if total is not None:
        document["total"] = total
    document["link"] = [{"relation": relation, "url": url} for relation, url in links]
    if entries:
        document["entry"] = entries
    return document


def match_entry(base_url: str, version: Version, mode: str, content: bytes | None = None) -> Document:
    """One resource in a searchset; `content` when it is not all of it."""
    return {
        "fullUrl": f"{base_url}/{version.reference}",
        "resource": wire.fragment(content or version.content or b"{}"),
        "search": {"mode": mode},
    }


def history_entry(base_url: str, version: Version) -> Document:
    """One version in a history.  https://hl7.org/fhir/R4/http.html#history"""
    entry: Document = {"fullUrl": f"{base_url}/{version.reference}"}
    if version.content is not None:
        entry["resource"] = wire.fragment(version.content)
    url = version.resource_type if version.interaction == "create" else version.reference
    status = {"create": "201 Created", "update": "200 OK", "delete": "204 No Content"}[version.interaction]
    entry["request"] = {"method": METHODS[version.interaction], "url": url}
    entry["response"] = {"status": status, "etag": etag(version), "lastModified": instant(version.last_updated)}
    return entry


def outcome_entry(diagnostics: str) -> Document:
    """A warning inside a searchset."""
    return {"resource": outcome("warning", "not-supported", diagnostics), "search": {"mode": "outcome"}}


def suppressed_entry(diagnostics: str) -> Document:
    """The statement inside a searchset that something is withheld.  https://hl7.org/fhir/R4/valueset-issue-type.html"""
    return {"resource": outcome("information", "suppressed", diagnostics), "search": {"mode": "outcome"}}


def outcome(severity: str, code: str, diagnostics: str, expression: str | None = None) -> Document:
    """An OperationOutcome with one issue.  https://hl7.org/fhir/R4/operationoutcome.html"""
    issue: Document = {"severity": severity, "code": code, "diagnostics": diagnostics}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def outcome_of(issues: Iterable[Issue]) -> Document:
    """An OperationOutcome with all of these issues."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(one) for one in issues]}


def refusal(error: FhirError) -> Document:
    """The OperationOutcome of an error."""
    return outcome_of(error.issues or [Issue("error", error.issue_code, error.diagnostics, error.expression)])


def _issue(issue: Issue) -> Document:
    document: Document = {"severity": issue.severity, "code": issue.code, "diagnostics": issue.diagnostics}
    if issue.profile:
        document["diagnostics"] += f" ({issue.profile})"
    if issue.expression:
        document["expression"] = [issue.expression]
    return document


def etag(version: Version) -> str:
    """The weak ETag of a version.  https://hl7.org/fhir/R4/http.html#versioning"""
    return f'W/"{version.version_id}"'
