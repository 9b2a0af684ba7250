"""CapabilityStatement, made from what the server really has.  https://hl7.org/fhir/R4/http.html#capabilities"""

from typing import Any

from fhir_server.context import Node
from fhir_server.interactions import operations
from fhir_server.search.registry import Registry

SMART_SERVICE = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
SYSTEM_INTERACTIONS = ("transaction", "batch", "history-system", "search-system")
# Beside the parameters of each type; neither `_list` nor `_has` has a definition in R4.
OF_EVERY_TYPE = (
    {"name": "_filter", "definition": "http://hl7.org/fhir/SearchParameter/filter", "type": "special"},
    {"name": "_list", "type": "special"},
    {"name": "_has", "type": "special"},
)
STARTED = "2026-11-22"


def capabilities(node: Node) -> dict[str, Any]:
    """What this server can do."""
    base = node.settings.base_url.rstrip("/")
    return {
        "resourceType": "CapabilityStatement",
        "id": "konsil",
        "url": f"{node.settings.fhir_url}/metadata",
        "status": "active",
        "date": STARTED,
        "kind": "instance",
        "software": {"name": "konsil fhir_server"},
        "implementation": {"description": "konsil", "url": node.settings.fhir_url},
        "fhirVersion": "4.0.1",
        "format": ["json", "xml", "application/fhir+json", "application/fhir+xml"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json", "application/fhir+xml"],
        "rest": [
            {
                "mode": "server",
                "security": _security(base),
                "resource": [
                    _resource(node.registry, name) | {"conditionalDelete": node.settings.conditional_delete}
                    for name in sorted(node.definitions.resource_types)
                ],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "searchParam": [dict(one) for one in OF_EVERY_TYPE],
                **({"operation": found} if (found := operations.offered()) else {}),
            }
        ],
    }


def _security(base: str) -> dict[str, Any]:
    endpoints = ("authorize", "token", "introspect", "revoke")
    return {
        "extension": [
            {
                "url": OAUTH_URIS,
                "extension": [{"url": name, "valueUri": f"{base}/oauth/{name}"} for name in endpoints],
            }
        ],
        "cors": True,
        "service": [{"coding": [SMART_SERVICE]}],
    }


def _resource(registry: Registry, resource_type: str) -> dict[str, Any]:
    parameters = registry.of(resource_type)
    references = sorted(code for code, parameter in parameters.items() if parameter.type == "reference")
    resource = {
        "type": resource_type,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{resource_type}",
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "searchInclude": ["*", *(f"{resource_type}:{code}" for code in references)],
        "searchRevInclude": _pointing(registry, resource_type),
        "searchParam": [
            {"name": code, "definition": parameter.definition.url, "type": parameter.definition.type}
            for code, parameter in sorted(parameters.items())
        ],
        "operation": operations.offered(resource_type),
    }
    return {name: value for name, value in resource.items() if value != []}


def _pointing(registry: Registry, resource_type: str) -> list[str]:
    return [
        f"{source}:{code}"
        for source in sorted(registry.definitions.resource_types)
        for code, parameter in sorted(registry.of(source).items())
        if parameter.type == "reference" and resource_type in parameter.targets
    ]
