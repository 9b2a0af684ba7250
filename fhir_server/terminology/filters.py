"""Filters of a value set's compose.  https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from collections.abc import Callable, Mapping
from typing import Any

import re2

from fhir_server.errors import Unprocessable
from fhir_server.terminology.code_system import PARENTS, CodeSystem, Concept

Test = Callable[[Concept], bool]
Filter = Mapping[str, Any]
OF_THE_CONCEPT = {"code", "concept"}


def compile_filter(filter_: Filter, system: CodeSystem) -> Test:
    """A filter as a test of one concept. Raises Unprocessable for an operator or pattern that is not understood."""
    make = OPERATORS.get(filter_.get("op", ""))
    if make is None:
        raise Unprocessable(f"A ValueSet filters by '{filter_.get('op')}', which is no operator of R4.")
    return make(system, str(filter_.get("property", "")), str(filter_.get("value", "")))


def _is_a(system: CodeSystem, name: str, value: str) -> Test:
    below = system.below(value)
    return lambda concept: concept.code in below


def _descendent_of(system: CodeSystem, name: str, value: str) -> Test:
    below = system.below(value) - {_own(system, value)}
    return lambda concept: concept.code in below


def _is_not_a(system: CodeSystem, name: str, value: str) -> Test:
    below = system.below(value)
    return lambda concept: concept.code not in below


def _generalizes(system: CodeSystem, name: str, value: str) -> Test:
    above = system.above(value)
    return lambda concept: concept.code in above


def _equal(system: CodeSystem, name: str, value: str) -> Test:
    return lambda concept: value in _values(concept, name)


def _regex(system: CodeSystem, name: str, value: str) -> Test:
    """RE2 runs in linear time, whatever pattern somebody sends."""
    try:
        pattern = re2.compile(value)
    except re2.error:
        raise Unprocessable("A ValueSet filters by a regular expression that cannot be understood.") from None
    return lambda concept: any(pattern.fullmatch(text) for text in _values(concept, name))


def _in(system: CodeSystem, name: str, value: str) -> Test:
    wanted = {part.strip() for part in value.split(",")}
    return lambda concept: not wanted.isdisjoint(_values(concept, name))


def _not_in(system: CodeSystem, name: str, value: str) -> Test:
    refused = {part.strip() for part in value.split(",")}
    return lambda concept: refused.isdisjoint(_values(concept, name))


def _exists(system: CodeSystem, name: str, value: str) -> Test:
    wanted = value.strip().lower() == "true"
    return lambda concept: bool(_values(concept, name)) == wanted


OPERATORS: Mapping[str, Callable[[CodeSystem, str, str], Test]] = {
    "=": _equal,
    "is-a": _is_a,
    "descendent-of": _descendent_of,
    "is-not-a": _is_not_a,
    "regex": _regex,
    "in": _in,
    "not-in": _not_in,
    "generalizes": _generalizes,
    "exists": _exists,
}


def _own(system: CodeSystem, code: str) -> str:
    concept = system.find(code)
    return code if concept is None else concept.code


def _values(concept: Concept, name: str) -> set[str]:
    """The values of a property as text; code, display, definition, parent and child are properties too."""
    if name in OF_THE_CONCEPT:
        return {concept.code}
    if name in {"display", "definition"}:
        return {concept.source[name]} if name in concept.source else set()
    if name in PARENTS:
        return set(concept.parents)
    if name == "child":
        return set(concept.children)
    return {_text(value) for value in concept.properties(name)}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.get("code", "")) if isinstance(value, dict) else str(value)
