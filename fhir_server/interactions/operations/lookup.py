"""`CodeSystem/$lookup`.  https://hl7.org/fhir/R4/codesystem-operation-lookup.html"""

from collections.abc import Iterator
from typing import Any

from fhir_server.errors import Invalid, NotFound
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import parameter, parameters_resource
from fhir_server.interactions.remote_terminology import with_fallback
from fhir_server.interactions.terminology import code_system_of, codings
from fhir_server.terminology.code_system import CodeSystem, Concept
from fhir_server.terminology.grammars import recognise

HIERARCHY = {"parent", "child", "subsumedBy"}


async def run(call: Invocation) -> Document:
    """What a code system says of a code; `property` chooses. Raises NotFound for an unknown one, NotLoaded, Invalid."""
    parameters = call.parameters
    asked = codings(parameters, parameters.text("system"), parameters.text("version"))
    if len(asked) != 1 or asked[0].system is None:
        raise Invalid("$lookup is asked for one code with its system.")
    coding = asked[0]
    if recognise(str(coding.system), coding.code):  # a grammar has no other name for it
        return parameters_resource(
            parameter("name", "String", coding.system), parameter("display", "String", coding.code)
        )
    system = await code_system_of(call, coding.system, coding.version)
    concept = system.find(coding.code)
    if concept is None:
        raise NotFound(
            f"'{coding.code[:100]}' is no code of {system.url}{'' if system.complete else ' as it is here'}."
        )
    return _described(call, system, concept)


def _described(call: Invocation, system: CodeSystem, concept: Concept) -> Document:
    language = call.parameters.text("displayLanguage")
    wanted = {str(one) for one in call.parameters.all("property")}
    named = next((one.get("value") for one in concept.designations if one.get("language") == language), None)
    designations = () if wanted and "designation" not in wanted else concept.designations
    found = [one for one in _properties(concept) if not wanted or one[0] in wanted]
    return parameters_resource(
        parameter("name", "String", system.resource.get("title") or system.resource.get("name") or system.url),
        parameter("version", "String", system.version),
        parameter("display", "String", (named if language else None) or concept.display or concept.code),
        *({"name": "designation", "part": list(_designation(one))} for one in designations),
        *({"name": "property", "part": [_code(code), {"name": "value", key: value}]} for code, key, value in found),
    )


def _properties(concept: Concept) -> Iterator[tuple[str, str, Any]]:
    """Properties as (code, valueX, value): the definition, the hierarchy, what the code system keeps, what follows."""
    if "definition" in concept.source:
        yield "definition", "valueString", concept.source["definition"]
    yield "inactive", "valueBoolean", concept.inactive
    if concept.abstract:
        yield "abstract", "valueBoolean", True
    for parent in concept.parents:
        yield "parent", "valueCode", parent
    for child in concept.children:
        yield "child", "valueCode", child
    for one in concept.source.get("property", ()):
        code = one.get("code")
        if code not in HIERARCHY | {"inactive", "abstract"}:
            yield from ((code, key, value) for key, value in one.items() if key.startswith("value"))


def _designation(designation: Any) -> Iterator[Document]:
    for name, type_ in (("language", "Code"), ("use", "Coding"), ("value", "String")):
        if name in designation:
            yield {"name": name, f"value{type_}": designation[name]}


def _code(code: str) -> Document:
    return {"name": "code", "valueCode": code}


OPERATIONS = (
    OperationDefinition(
        "lookup",
        with_fallback("lookup", run),
        ("CodeSystem",),
        parameters=("code", "system", "version", "coding", "date", "displayLanguage", "property"),
    ),
)
