"""An OpenAPI document made from the CapabilityStatement: what that does not say is not in it.

https://spec.openapis.org/oas/v3.1.0, https://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.interactions.operations import registry

Document = dict[str, Any]
KINDS = {"number": "number", "date": "string", "string": "string", "token": "string", "reference": "string"}
FORMS = ("application/fhir+json", "application/fhir+xml")
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}}
VERSION = {"name": "vid", "in": "path", "required": True, "schema": {"type": "string"}}
CONTROLS = ("_format", "_pretty", "_summary", "_elements")
PAGING = ("_count", "_sort", "_include", "_revinclude", "_total")
WINDOW = ("_since", "_at", "_count")
PATCHES = ("application/json-patch+json", *FORMS)


def openapi(statement: Mapping[str, Any]) -> Document:
    """The document of a server."""
    rest = statement["rest"][0]
    paths: Document = {
        "/metadata": {"get": _operation("capabilities", "CapabilityStatement", security=[])},
        "/": _methods({each["code"] for each in rest["interaction"]}, _system()),
        "/_history": {"get": _operation("history-system", "Bundle", [_query(name) for name in WINDOW])},
    }
    paths |= _operations("", rest.get("operation", ()))
    everywhere = [_searched(each) for each in rest.get("searchParam", ()) if each["name"] != "_has"]
    for resource in rest["resource"]:
        paths |= _resource(resource, everywhere)
    return {
        "openapi": "3.1.0",
        "info": {"title": statement["software"]["name"], "version": statement["fhirVersion"]},
        "servers": [{"url": statement["implementation"]["url"]}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}, "schemas": _schemas(rest)},
    }


def _schemas(rest: Mapping[str, Any]) -> Document:
    """Resources by name only: their structure is FHIR's own, at the address of the profile."""
    found = {
        each["type"]: {
            "type": "object",
            "required": ["resourceType"],
            "properties": {"resourceType": {"const": each["type"]}},
            "externalDocs": {"url": each["profile"]},
        }
        for each in rest["resource"]
    }
    return found | {"Resource": {"type": "object", "required": ["resourceType"]}}


def _system() -> Mapping[str, tuple[str, Document]]:
    return {
        "transaction": ("post", _operation("transaction", "Bundle", body="Bundle")),
        "batch": ("post", _operation("batch or transaction", "Bundle", body="Bundle")),
        "search-system": ("get", _operation("search-system", "Bundle", [_query("_type")])),
    }


def _methods(offered: set[str], table: Mapping[str, tuple[str, Document]]) -> Document:
    return {method: operation for code, (method, operation) in table.items() if code in offered}


def _resource(resource: Mapping[str, Any], everywhere: Sequence[Document]) -> Document:
    name = resource["type"]
    offered = {each["code"] for each in resource["interaction"]}
    parameters = [*(_searched(each) for each in resource.get("searchParam", ())), *everywhere]
    paged = [*parameters, *(_query(each) for each in (*PAGING, *CONTROLS))]
    search = _operation("search-type", "Bundle", paged)
    on_type = {
        "search-type": ("get", search),
        "create": ("post", _operation("create", name, [_header("If-None-Exist")], body=name, status="201")),
    }
    on_instance = {
        "read": ("get", _operation("read", name, [ID, *(_query(each) for each in CONTROLS)])),
        "update": ("put", _operation("update", name, [ID, _header("If-Match")], body=name)),
        "patch": ("patch", _operation("patch", name, [ID, _header("If-Match")], body="Resource", forms=PATCHES)),
        "delete": ("delete", _operation("delete", None, [ID, _header("If-Match")], status="204")),
    }
    paths = {
        f"/{name}": _methods(offered, on_type) | _on_condition(resource),
        f"/{name}/_search": {"post": _operation("search-type", "Bundle", requestBody=_form(paged))},
        f"/{name}/{{id}}": _methods(offered, on_instance),
    }
    windows = [_query(each) for each in WINDOW]
    if "vread" in offered:
        paths[f"/{name}/{{id}}/_history/{{vid}}"] = {"get": _operation("vread", name, [ID, VERSION])}
    if "history-instance" in offered:
        paths[f"/{name}/{{id}}/_history"] = {"get": _operation("history-instance", "Bundle", [ID, *windows])}
    if "history-type" in offered:
        paths[f"/{name}/_history"] = {"get": _operation("history-type", "Bundle", windows)}
    return paths | _operations(name, resource.get("operation", ()))


def _on_condition(resource: Mapping[str, Any]) -> Document:
    """Writes of what meets a condition, which is written as the search of the type is.  R4 http.html#cond-update"""
    found: Document = {}
    if resource.get("conditionalUpdate"):
        found["put"] = _operation("conditional update", resource["type"], body=resource["type"])
        found["patch"] = _operation("conditional patch", resource["type"], body="Resource", forms=PATCHES)
    if resource.get("conditionalDelete", "not-supported") != "not-supported":
        found["delete"] = _operation("conditional delete", None, status="204")
    return found


def _form(parameters: Sequence[Document]) -> Document:
    """The parameters of a search as a form."""
    properties = {each["name"]: each["schema"] for each in parameters}
    return {"content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": properties}}}}


def _operations(name: str, operations: Sequence[Mapping[str, Any]]) -> Document:
    """`$name` at the levels that its definition says."""
    paths: Document = {}
    for each in operations:
        method = {"post": _operation(each["definition"], "Resource", body="Resource")}
        for level in _levels(each["name"], name):
            place = {"system": "", "type": f"/{name}", "instance": f"/{name}/{{id}}"}[level]
            paths[f"{place}/${each['name']}"] = method if level != "instance" else {**method, "parameters": [ID]}
    return paths


def _levels(code: str, name: str) -> set[str]:
    found = [each for each in registry().get(code, ()) if not each.resource_types or name in (*each.resource_types, "")]
    levels: set[str] = {level for each in found for level in each.levels}
    return levels & ({"type", "instance"} if name else {"system"})


def _operation(
    summary: str,
    answer: str | None,
    parameters: Sequence[Document] = (),
    *,
    body: str | None = None,
    **more: Any,
) -> Document:
    """One method of an address; every refusal is an OperationOutcome."""
    status, forms = more.pop("status", "200"), more.pop("forms", FORMS)
    done: Document = {"description": "done"} | ({"content": _content(answer, FORMS)} if answer else {})
    made: Document = {
        "summary": summary,
        "responses": {
            status: done,
            "default": {"description": "refused", "content": _content("OperationOutcome", FORMS)},
        },
    }
    if parameters:
        made["parameters"] = list(parameters)
    if body:
        made["requestBody"] = {"required": True, "content": _content(body, forms)}
    return made | more


def _content(name: str, forms: Sequence[str]) -> Document:
    return {form: {"schema": {"$ref": f"#/components/schemas/{name}"}} for form in forms}


def _searched(parameter: Mapping[str, Any]) -> Document:
    kind = KINDS.get(parameter["type"], "string")
    description = {"description": parameter["definition"]} if "definition" in parameter else {}
    several = {"type": "array", "items": {"type": "string" if kind == "number" else kind}}
    return {"name": parameter["name"], "in": "query", "schema": several, **description}


def _query(name: str) -> Document:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def _header(name: str) -> Document:
    return {"name": name, "in": "header", "schema": {"type": "string"}}
