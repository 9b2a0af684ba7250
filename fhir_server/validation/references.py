"""References: form, and the types that they may point to.  https://hl7.org/fhir/R4/references.html"""

from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import reference_type
from fhir_server.validation.report import Report, quoted

BASE = "http://hl7.org/fhir/StructureDefinition/"
Check = Callable[[Any, str, Report], None]


def target_check(element: Mapping[str, Any], type_: str, definitions: Definitions) -> Check | None:
    """A check of what a Reference points to; None where it may point anywhere."""
    if type_ != "Reference":
        return None
    targets = {target for one in element.get("type", ()) for target in one.get("targetProfile", ())}
    allowed = {target.removeprefix(BASE) for target in targets}
    if not allowed or "Resource" in allowed or not allowed <= definitions.resource_types:
        return None
    return allowed_check(frozenset(allowed), definitions)


def allowed_check(allowed: frozenset[str], definitions: Definitions) -> Check:
    """A check that a Reference points to one of these types, as far as it says where it points."""
    known = definitions.resource_types

    def check(value: Any, place: str, report: Report) -> None:
        found = pointed_at(value, report)
        if found is not None and found in known and found not in allowed:
            names = ", ".join(sorted(allowed))
            report.error("value", f"A reference to {quoted(found)} stands where only {names} may.", place)

    return check


def pointed_at(reference: Any, report: Report) -> str | None:
    """The type of what a Reference points to: by its text, in what is contained, in the Bundle, or by `type`."""
    if not isinstance(reference, dict):
        return None
    address = reference.get("reference")
    if isinstance(address, str) and (address[:1] == "#" or address[:4] == "urn:"):
        resource = inside(address, report)
        return str(resource.get("resourceType")) if resource else None
    return reference_type(reference)


def inside(address: str, report: Report) -> dict[str, Any] | None:
    """The resource that an address names in the same resource or Bundle."""
    root = report.root[1]
    around = report.around.resource
    holder = around[1] if around else root
    if address[:1] == "#":
        if address == "#":
            return holder if isinstance(holder, dict) else None
        return next((one for one in _objects(holder, "contained") if f"#{one.get('id')}" == address), None)
    for entry in _objects(root, "entry"):
        if entry.get("fullUrl") == address and isinstance(entry.get("resource"), dict):
            found: dict[str, Any] = entry["resource"]
            return found
    return None


def _objects(holder: Any, key: str) -> list[dict[str, Any]]:
    value = holder.get(key) if isinstance(holder, dict) else None
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
