"""A document of a bulk load taken apart: the resources that it stands for, each under an id."""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.errors import FhirError, Invalid
from fhir_server.interactions import references
from fhir_server.validation.structure import check_structure

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
CONTAINERS = {"transaction", "batch", "collection", "searchset"}
WRITES = {"POST", "PUT"}
Resource = dict[str, Any]


def resources_of(document: Any, definitions: Definitions) -> Iterator[Resource | FhirError]:
    """The resource itself, or what a Bundle carries, references rewritten; a problem in place of what cannot be loaded.

    Resources keep their ids, and in a Bundle those of their `urn:uuid:`, so that loading twice makes nothing twice.
    """
    if (
        not isinstance(document, dict)
        or document.get("resourceType") != "Bundle"
        or document.get("type") not in CONTAINERS
    ):
        yield _checked(document, definitions)
    else:
        yield from _entries(document, definitions)


def _entries(bundle: Resource, definitions: Definitions) -> Iterator[Resource | FhirError]:
    entries = [entry for entry in bundle.get("entry") or () if isinstance(entry, dict)]
    named: list[tuple[int, Resource]] = []
    addresses: dict[str, str] = {}
    for n, entry in enumerate(entries):
        try:
            resource = _named(entry)
        except Invalid as problem:
            problem.expression = f"Bundle.entry[{n}]"
            yield problem
            continue
        named.append((n, resource))
        if isinstance(entry.get("fullUrl"), str):
            addresses[entry["fullUrl"]] = f"{resource['resourceType']}/{resource['id']}"
    for n, resource in named:
        found = _checked(resource, definitions, addresses)
        if isinstance(found, FhirError):
            found.expression = f"Bundle.entry[{n}].resource: {found.expression or resource['resourceType']}"
        yield found


def _named(entry: Mapping[str, Any]) -> Resource:
    resource, request = entry.get("resource"), entry.get("request") or {}
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise Invalid("An entry has no resource.")
    if request and (request.get("method") not in WRITES or request.get("ifNoneExist") or "?" in request.get("url", "")):
        raise Invalid("A bulk load takes POST and PUT without conditions.")
    if "id" in resource:
        return resource
    own = str(entry.get("fullUrl", "")).removeprefix("urn:uuid:")
    return {"resourceType": resource["resourceType"], "id": own, **resource}


def _checked(
    resource: Any, definitions: Definitions, addresses: Mapping[str, str] = MappingProxyType({})
) -> Resource | FhirError:
    """The resource with its references to entries rewritten."""
    left: list[str] = []
    try:
        check_structure(resource, definitions)
        loadable: Resource = references.rewrite(resource, addresses, left)
        if not ID.match(str(resource.get("id", ""))):
            raise Invalid("A resource that is loaded needs an id of 1 to 64 letters, digits, hyphens and dots.")
        if resource["resourceType"] != "Bundle":
            references.check_resolved(resource, left)
            if references.conditional(left):
                raise Invalid("A bulk load takes no conditional references.")
    except FhirError as problem:
        return problem
    return loadable
