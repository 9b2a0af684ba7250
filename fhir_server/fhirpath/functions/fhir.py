"""FHIR's own functions.  https://hl7.org/fhir/R4/fhirpath.html#functions"""

import re
from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath.functions.function import Function, plain, with_values, without_scope
from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.scope import Evaluate, Scope
from fhir_server.fhirpath.values import boolean, text
from fhir_server.fhirpath.xhtml import has_content, is_basic

REFERENCE_TYPE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?$")
VERSION = re.compile(r"/_history/[A-Za-z0-9\-.]{1,64}\Z")


def reference_type(reference: dict[str, Any]) -> str | None:
    """The type of resource that a Reference names, from its text or its `type`."""
    address = reference.get("reference")
    match = REFERENCE_TYPE.search(address) if isinstance(address, str) else None
    return match.group(1) if match else reference.get("type")


def _resolve(nodes: list[Node], scope: Scope) -> list[Node]:
    """What a Reference or canonical points to; only its type where the resource cannot be had."""
    found: list[Node] = []
    for _, value in nodes:
        address = value.get("reference") if isinstance(value, dict) else value
        resource = _resource_at(address, scope) if isinstance(address, str) else None
        if resource is not None:
            found.append((str(resource.get("resourceType")), resource))
            continue
        type_ = reference_type(value) if isinstance(value, dict) else None
        if type_:
            found.append((type_, None))
    return found


def _resource_at(address: str, scope: Scope) -> dict[str, Any] | None:
    if address.startswith("#") or scope.root[0] == "Bundle":
        here = scope.contained.get("" if address == "#" else VERSION.sub("", address))
        if here is not None or address.startswith("#"):
            return here
    return scope.services.resolve(address) if scope.services.resolve else None


def _extensions(nodes: list[Node], scope: Scope, url: Evaluate) -> list[Node]:
    wanted = text(url(scope.this, scope))
    found = scope.model.extensions(nodes)
    return [node for node in found if isinstance(node[1], dict) and node[1].get("url") == wanted]


def _extension(url: Evaluate) -> Evaluate:
    return lambda nodes, scope: _extensions(nodes, scope, url)


def _has_extension(url: Evaluate) -> Evaluate:
    return lambda nodes, scope: boolean(bool(_extensions(nodes, scope, url)))


def _has_value(nodes: list[Node]) -> list[Node]:
    return boolean(len(nodes) == 1 and _is_value(nodes[0][1]))


def _get_value(nodes: list[Node]) -> list[Node]:
    return nodes if len(nodes) == 1 and _is_value(nodes[0][1]) else []


def _is_value(value: Any) -> bool:
    return value is not None and not isinstance(value, dict | list)


def _html_checks(check: Callable[[str], bool]) -> Function:
    return without_scope(lambda nodes: boolean(all(isinstance(value, str) and check(value) for _, value in nodes)))


def _type(nodes: list[Node], scope: Scope) -> list[Node]:
    found = []
    for type_, _ in nodes:
        namespace, _, name = type_.rpartition(".") if type_.startswith("System.") else ("FHIR", "", type_)
        found.append(("System.TypeInfo", {"namespace": namespace, "name": name}))
    return found


def _asked(nodes: list[Node], ask: Callable[[Node], bool | None]) -> list[Node]:
    answers = [ask(node) for node in nodes]
    return [] if not answers or None in answers else boolean(all(answers))


def _conforms_to(profile: Evaluate) -> Evaluate:
    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        service, url = scope.services.conforms_to, text(profile(scope.this, scope))
        return [] if service is None or url is None else _asked(nodes, lambda node: service(url, node))

    return evaluate


def _member_of(valueset: Evaluate) -> Evaluate:
    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        service, url = scope.services.member_of, text(valueset(scope.this, scope))
        return [] if service is None or url is None else _asked(nodes, lambda node: service(url, node))

    return evaluate


def _subsumes(other: Evaluate, *, turned: bool) -> Evaluate:
    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        service, others = scope.services.subsumes, other(scope.this, scope)
        if service is None or len(others) != 1:
            return []
        pair = (lambda node: service(others[0], node)) if turned else (lambda node: service(node, others[0]))
        return _asked(nodes, pair)

    return evaluate


def _check_modifiers(nodes: list[Node], *urls: list[Node]) -> list[Node]:
    """The focus, when it has no modifier extension but those that are named; else nothing is safe to go on with."""
    known = {str(url[0][1]) for url in urls if url}
    for _, value in nodes:
        for one in value.get("modifierExtension", ()) if isinstance(value, dict) else ():
            if one.get("url") not in known:
                return []
    return nodes


FUNCTIONS: dict[str, Function] = {
    "resolve": plain(_resolve),
    "extension": Function(_extension, 1, 1),
    "hasExtension": Function(_has_extension, 1, 1),
    "hasValue": without_scope(_has_value),
    "getValue": without_scope(_get_value),
    "htmlChecks": _html_checks(is_basic),
    "htmlChecks2": _html_checks(has_content),
    "type": plain(_type),
    "conformsTo": Function(_conforms_to, 1, 1),
    "memberOf": Function(_member_of, 1, 1),
    "subsumes": Function(lambda other: _subsumes(other, turned=False), 1, 1),
    "subsumedBy": Function(lambda other: _subsumes(other, turned=True), 1, 1),
    "checkModifiers": with_values(_check_modifiers, 1, 20),
}
