"""`ConceptMap/$translate`.  https://hl7.org/fhir/R4/conceptmap-operation-translate.html"""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server import wire
from fhir_server.errors import Invalid
from fhir_server.interactions.admission import check_readable
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import Parameters, parameter, parameters_resource
from fhir_server.interactions.remote_terminology import with_fallback
from fhir_server.interactions.terminology import codings
from fhir_server.terminology.loaded import not_loaded
from fhir_server.terminology.translation import Match, Question, covers, translate

Map = dict[str, Any]


async def run(call: Invocation) -> Document:
    """Translate a code by the map that is named, sent or addressed, else by every map that knows its system.

    Raises NotLoaded where no map does, NotFound, Invalid.
    """
    questions = list(_questions(call.parameters))
    maps = await _maps(call, questions)
    canonicals = call.ctx.node.canonicals
    found = [
        match
        for question in questions
        for one in maps
        for match in translate(one, question, lambda url: canonicals.resolve(url, "ConceptMap"))
    ]
    return _answer(found)


def _questions(parameters: Parameters) -> Iterator[Question]:
    target, reverse = parameters.text("targetsystem"), bool(parameters.flag("reverse"))
    known = frozenset(_dependencies(parameters.all("dependency")))
    for coding in codings(parameters, parameters.text("system"), parameters.text("version")):
        if coding.system is None and not {"url", "conceptMap"} & parameters.names:
            raise Invalid("A code is translated with its system.")
        yield Question(coding.system, coding.code, target, reverse, known)


def _dependencies(parts: Iterable[Any]) -> Iterator[tuple[str, str | None, str]]:
    for one in parts:
        values = Parameters.of((), {"resourceType": "Parameters", "parameter": one})
        concept = values.object("concept") or {}
        for coding in concept.get("coding", ()):
            if isinstance(coding, dict) and isinstance(coding.get("code"), str):
                yield values.needed("element"), coding.get("system"), coding["code"]


async def _maps(call: Invocation, questions: list[Question]) -> list[Map]:
    parameters = call.parameters
    sent = parameters.object("conceptMap", "ConceptMap")
    if call.resource_id is not None:
        stored = await call.ctx.store.read("ConceptMap", call.resource_id)
        return [wire.loads(stored.content or b"{}")]
    if sent is not None:
        check_readable(call.ctx.node, sent, "ConceptMap")
        return [sent]
    url, version = parameters.text("url"), parameters.text("conceptMapVersion")
    if url is None:
        return _fitting(call, questions)
    canonical = f"{url}|{version}" if version else url
    found = call.ctx.node.canonicals.resolve(canonical, "ConceptMap")
    if found is None:
        raise not_loaded("concept map", canonical)
    return [found]


def _fitting(call: Invocation, questions: list[Question]) -> list[Map]:
    """All maps between the value sets that are named and from the codes' systems. Raises NotLoaded."""
    canonicals = call.ctx.node.canonicals
    ends = {side: call.parameters.text(side) for side in ("source", "target")}
    known = (canonicals.read(entry) for entry in canonicals.of_type("ConceptMap"))
    found = [
        one
        for one in known
        if all(url in {None, one.get(f"{side}Uri"), one.get(f"{side}Canonical")} for side, url in ends.items())
        and any(covers(one, question) for question in questions)
    ]
    if not found:
        raise not_loaded("concept map", f"from {', '.join(sorted({str(one.system) for one in questions}))}")
    return found


def _answer(matches: list[Match]) -> Document:
    result = any(match.counts for match in matches)
    return parameters_resource(
        parameter("result", "Boolean", result),
        parameter("message", "String", None if result else "There is no translation for this code."),
        *({"name": "match", "part": list(_parts(match))} for match in matches),
    )


def _parts(match: Match) -> Iterator[Document]:
    yield {"name": "equivalence", "valueCode": match.equivalence}
    if match.coding.get("code"):
        yield {"name": "concept", "valueCoding": match.coding}
    for product in match.products:
        coding = {name: product[name] for name in ("system", "display") if name in product}
        parts = [
            {"name": "element", "valueUri": product.get("property")},
            {"name": "concept", "valueCoding": {**coding, "code": product.get("value")}},
        ]
        yield {"name": "product", "part": parts}
    if match.source:
        yield {"name": "source", "valueUri": match.source}


OPERATIONS = (
    OperationDefinition(
        "translate",
        with_fallback("translate", run),
        ("ConceptMap",),
        levels=("type", "instance"),
        parameters=(
            "url",
            "conceptMap",
            "conceptMapVersion",
            "code",
            "system",
            "version",
            "source",
            "coding",
            "codeableConcept",
            "target",
            "targetsystem",
            "dependency",
            "reverse",
        ),
        body="conceptMap",
    ),
)
