"""What the terminology operations share: which definition is meant, which code is asked about, what is not loaded."""

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

from fhir_server import wire
from fhir_server.errors import Invalid, NotFound
from fhir_server.interactions.admission import check_readable
from fhir_server.interactions.operations import Invocation
from fhir_server.interactions.operations.parameters import Parameters
from fhir_server.search.dates import date_range
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.loaded import not_loaded
from fhir_server.terminology.membership import Terminology
from fhir_server.terminology.pinned import PinnedTerminology, Pins, versions
from fhir_server.terminology.value_set import ValueSet

PINNING = ("date", "system-version", "check-system-version", "force-system-version")


@dataclass(frozen=True, slots=True)
class Coding:
    """A code that is asked about."""

    system: str | None
    code: str
    display: str | None = None
    version: str | None = None


def terminology_of(call: Invocation) -> Terminology:
    """What this server knows; with `date` or versions of code systems, as the caller wants it. Raises Invalid."""
    parameters, terminology = call.parameters, call.ctx.node.terminology
    if parameters.names.isdisjoint(PINNING):
        return terminology
    default, checked, forced = (versions([str(one) for one in parameters.all(name)]) for name in PINNING[1:])
    date = parameters.text("date")
    was_there = None if date is None else partial(_is_dated_before, date_range(date)[1])
    return PinnedTerminology(terminology, Pins(default, checked, forced, date, was_there))


def _is_dated_before(moment: int, date: str) -> bool:
    try:
        return date_range(date)[0] < moment
    except Invalid:
        return False


async def value_set_of(call: Invocation) -> ValueSet:
    """The value set of an instance, of `valueSet`, `url` or `context`. Raises NotFound, NotLoaded, Invalid."""
    parameters = call.parameters
    sent = parameters.object("valueSet", "ValueSet")
    if call.resource_id is not None:
        return ValueSet(await _stored(call))
    if sent is not None:
        check_readable(call.ctx.node, sent, "ValueSet")
        return ValueSet(sent)
    context = parameters.text("context")
    if context is not None and parameters.text("url") is None:
        canonical = _bound_at(call, context)
    else:
        canonical = _canonical(parameters.needed("url"), parameters.text("valueSetVersion"))
    found = terminology_of(call).value_set(canonical)
    if found is None:
        raise not_loaded("value set", canonical)
    return found


def _bound_at(call: Invocation, context: str) -> str:
    """What an element is bound to: `[StructureDefinition]#[id or path]`.  R4 valueset-operation-expand.html

    Directions are not told apart: this server takes and gives the same. Raises NotFound.
    """
    url, _, place = context.partition("#")
    structure = call.ctx.node.canonicals.resolve(url, "StructureDefinition") or {}
    parts = (structure.get(view, {}).get("element", []) for view in ("snapshot", "differential"))
    for element in itertools.chain.from_iterable(parts):
        bound = element.get("binding", {}).get("valueSet")
        if bound and place in {element.get("id"), element.get("path")}:
            return str(bound)
    raise NotFound(f"No element at {context[:200]} that is bound to a value set is known here.")


async def code_system_of(call: Invocation, url: str | None, version: str | None) -> CodeSystem:
    """The code system of an instance, of `codeSystem`, or of a URL. Raises NotFound, NotLoaded, Invalid."""
    sent = call.parameters.object("codeSystem", "CodeSystem")
    if call.resource_id is not None:
        return CodeSystem(await _stored(call))
    if sent is not None:
        check_readable(call.ctx.node, sent, "CodeSystem")
        if "url" not in sent:
            raise Invalid("A CodeSystem needs a url.")
        return CodeSystem(sent)
    if url is None:
        raise Invalid("Which code system is meant? Name it by system or url.")
    found = terminology_of(call).code_system(url, version)
    if found is None:
        raise not_loaded("code system", _canonical(url, version))
    return found


async def definition_at_hand(call: Invocation) -> dict[str, Any] | None:
    """The value set, code system or concept map that a call is about, where this server has it and it was not sent."""
    if call.resource_id is not None:
        return await _stored(call)
    url, version = call.parameters.text("url"), call.parameters.text(f"{_first_lower(call)}Version")
    if url is None:
        return None
    return call.ctx.node.canonicals.resolve(_canonical(url, version), call.resource_type)


def _first_lower(call: Invocation) -> str:
    name = str(call.resource_type)
    return name[0].lower() + name[1:]


def codings(parameters: Parameters, system: str | None = None, version: str | None = None) -> list[Coding]:
    """What is asked about: `coding`, `codeableConcept`, or `code` with its system. Raises Invalid."""
    sent = parameters.object("coding")
    concept = parameters.object("codeableConcept")
    code = parameters.text("code")
    if (sent is not None) + (concept is not None) + (code is not None) != 1:
        raise Invalid("One of code, coding and codeableConcept is needed.")
    if code is not None:
        return [Coding(system, code, parameters.text("display"), version)]
    found = [sent] if sent is not None else (concept or {}).get("coding", [])
    return [_coding(one, system, version) for one in found]


def _coding(coding: Any, system: str | None, version: str | None) -> Coding:
    if not isinstance(coding, dict) or not isinstance(coding.get("code"), str):
        raise Invalid("A coding has a code.")
    return Coding(coding.get("system", system), coding["code"], coding.get("display"), coding.get("version", version))


async def _stored(call: Invocation) -> dict[str, Any]:
    version = await call.ctx.store.read(str(call.resource_type), str(call.resource_id))
    resource: dict[str, Any] = wire.loads(version.content or b"")
    if "url" not in resource and call.resource_type == "CodeSystem":
        raise NotFound(f"{version.reference} has no url: its codes belong to no system.")
    return resource


def _canonical(url: str, version: str | None) -> str:
    return f"{url}|{version}" if version and "|" not in url else url
