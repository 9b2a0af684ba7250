"""`$validate-code` on CodeSystem and ValueSet.

https://hl7.org/fhir/R4/codesystem-operation-validate-code.html, https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from dataclasses import dataclass

from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import parameter, parameters_resource
from fhir_server.interactions.remote_terminology import with_fallback
from fhir_server.interactions.terminology import Coding, code_system_of, codings, terminology_of, value_set_of
from fhir_server.search.folding import normalized
from fhir_server.terminology.code_system import CodeSystem, Concept
from fhir_server.terminology.loaded import not_loaded
from fhir_server.terminology.value_set import ValueSet

COMMON = ("code", "display", "coding", "codeableConcept", "date", "abstract", "displayLanguage")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one coding; a result of None: this server cannot tell."""

    result: bool | None
    message: str | None = None
    display: str | None = None


async def in_code_system(call: Invocation) -> Document:
    """Whether a code belongs to a code system. Raises NotLoaded, NotFound, Invalid."""
    parameters = call.parameters
    asked = codings(parameters, parameters.text("url"), parameters.text("version"))
    verdicts = []
    for coding in asked:
        system = await code_system_of(call, coding.system, coding.version)
        verdicts.append(_of_system(call, coding, system))
    return _answer(verdicts)


async def in_value_set(call: Invocation) -> Document:
    """Whether one of the codes is in a value set. Raises NotLoaded, NotFound, Invalid."""
    parameters = call.parameters
    value_set = await value_set_of(call)
    asked = codings(parameters, parameters.text("system"), parameters.text("systemVersion"))
    verdicts = [_of_value_set(call, coding, value_set) for coding in asked]
    if any(verdict.result is None for verdict in verdicts) and not any(verdict.result for verdict in verdicts):
        raise not_loaded("code system", next((one.system for one in asked if one.system), value_set.url))
    return _answer(verdicts)


def _of_system(call: Invocation, coding: Coding, system: CodeSystem) -> Verdict:
    concept = system.find(coding.code)
    if concept is None and not system.complete:
        raise not_loaded("whole code system", system.url)
    if concept is None:
        return Verdict(False, f"'{coding.code}' is no code of {system.url}.")
    return _shown(call, coding, concept)


def _of_value_set(call: Invocation, coding: Coding, value_set: ValueSet) -> Verdict:
    terminology = terminology_of(call)
    inside = terminology.contains(value_set, coding.system, coding.code)
    name = f"{coding.system}#{coding.code}" if coding.system else coding.code
    if not inside:
        return Verdict(inside, f"{name} is not in the value set {value_set.url}.")
    system = terminology.code_system(coding.system, coding.version) if coding.system else None
    concept = system.find(coding.code) if system else None
    return Verdict(True) if concept is None else _shown(call, coding, concept)


def _shown(call: Invocation, coding: Coding, concept: Concept) -> Verdict:
    """A code that is there: may it be used, and is it called so?"""
    if concept.abstract and not call.parameters.flag("abstract"):
        return Verdict(False, f"'{concept.code}' only groups other codes.", concept.display)
    names = [concept.display, *(one.get("value") for one in concept.designations)]
    known = {normalized(name) for name in names if name}
    if coding.display is not None and known and normalized(coding.display) not in known:
        return Verdict(False, f"The display '{coding.display}' is not that of '{concept.code}'.", concept.display)
    message = f"'{concept.code}' is inactive." if concept.inactive else None
    return Verdict(True, message, concept.display)


def _answer(verdicts: list[Verdict]) -> Document:
    """The first that is right, or all that is wrong."""
    right = next((verdict for verdict in verdicts if verdict.result), None)
    wrong = Verdict(False, " ".join(one.message or "" for one in verdicts) or "There is no coding.")
    chosen = right or (verdicts[0] if len(verdicts) == 1 else wrong)
    return parameters_resource(
        parameter("result", "Boolean", chosen.result),
        parameter("message", "String", chosen.message),
        parameter("display", "String", chosen.display),
    )


OPERATIONS = (
    OperationDefinition(
        "validate-code",
        with_fallback("validate-code", in_code_system),
        ("CodeSystem",),
        levels=("type", "instance"),
        parameters=("url", "codeSystem", "version", *COMMON),
        body="codeSystem",
    ),
    OperationDefinition(
        "validate-code",
        with_fallback("validate-code", in_value_set),
        ("ValueSet",),
        levels=("type", "instance"),
        parameters=("url", "context", "valueSet", "valueSetVersion", "system", "systemVersion", *COMMON),
        body="valueSet",
    ),
)
