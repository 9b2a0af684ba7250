"""`CodeSystem/$subsumes`.  https://hl7.org/fhir/R4/codesystem-operation-subsumes.html"""

from fhir_server.errors import Invalid, NotFound
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import Parameters, parameter, parameters_resource
from fhir_server.interactions.remote_terminology import with_fallback
from fhir_server.interactions.terminology import code_system_of
from fhir_server.terminology.code_system import CodeSystem


async def run(call: Invocation) -> Document:
    """How two codes of a system stand to each other. Raises NotFound for an unknown code, NotLoaded, Invalid."""
    system_a, code_a = _code(call.parameters, "A")
    system_b, code_b = _code(call.parameters, "B")
    if system_a != system_b:
        raise Invalid("Both codes must be of one code system.")
    system = await code_system_of(call, system_a, call.parameters.text("version"))
    a, b = _known(system, code_a), _known(system, code_b)
    if a == b:
        outcome = "equivalent"
    elif b in system.below(a):
        outcome = "subsumes"
    else:
        outcome = "subsumed-by" if a in system.below(b) else "not-subsumed"
    return parameters_resource(parameter("outcome", "Code", outcome))


def _code(parameters: Parameters, which: str) -> tuple[str | None, str]:
    """`codeA` with the system, or `codingA`."""
    coding = parameters.object(f"coding{which}")
    if coding is None:
        return parameters.text("system"), parameters.needed(f"code{which}")
    if not isinstance(coding.get("code"), str):
        raise Invalid("A coding has a code.")
    return coding.get("system", parameters.text("system")), coding["code"]


def _known(system: CodeSystem, code: str) -> str:
    concept = system.find(code)
    if concept is None:
        raise NotFound(f"'{code[:100]}' is no code of {system.url}.")
    return concept.code


OPERATIONS = (
    OperationDefinition(
        "subsumes",
        with_fallback("subsumes", run),
        ("CodeSystem",),
        levels=("type", "instance"),
        parameters=("codeA", "codeB", "system", "version", "codingA", "codingB"),
    ),
)
