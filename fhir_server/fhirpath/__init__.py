"""FHIRPath N1, compiled to closures: invariants, search parameters and FHIRPath Patch use this one engine.

    expression = compile_expression("name.where(use = 'official').given", definitions)
    expression(("Patient", patient))            # [("string", "Anna"), ...]
    expression.test(("Patient", patient))       # True, False, or None for nothing

A node is (FHIR type, JSON value); what an expression makes itself has a type like `System.Boolean`. Compile once and
keep the result: a call costs a few microseconds. Departures from the text, all towards R4's own expressions: where a
truth value is wanted, several items count as true; `as` on several items keeps those of the type. `resolve()` finds
what is contained or in the same Bundle, then asks `Services.resolve`, and else gives a node that has only a type (its
value is None).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from fhir_server.definitions import Definitions
from fhir_server.fhirpath.compiler import Compiler
from fhir_server.fhirpath.functions.fhir import reference_type
from fhir_server.fhirpath.lexer import ExpressionError
from fhir_server.fhirpath.model import Model, Node, Placed
from fhir_server.fhirpath.scope import NO_SERVICES, Evaluate, Scope, Services
from fhir_server.fhirpath.syntax import parse
from fhir_server.fhirpath.values import truth

__all__ = [
    "Expression",
    "ExpressionError",
    "Model",
    "Node",
    "Placed",
    "Services",
    "Surroundings",
    "compile_expression",
    "compile_path",
    "model_of",
    "reference_type",
]

NO_VARIABLES: Mapping[str, list[Node]] = {}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What `%resource`, `%rootResource` and other variables stand for, and the services at hand."""

    resource: Node | None = None
    root: Node | None = None
    variables: Mapping[str, list[Node]] | None = None
    services: Services = NO_SERVICES


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; it may be called from several threads."""

    text: str
    model: Model
    evaluate: Evaluate

    def __call__(self, node: Node, around: Surroundings | None = None) -> list[Node]:
        """The nodes that it selects from this one. Raises ExpressionError when it makes no sense here."""
        if around is None:
            scope = Scope(self.model, node, node, node)
        else:
            resource = around.resource or node
            scope = Scope(self.model, node, resource, around.root or resource)
            scope.services = around.services
            scope.variables = around.variables or NO_VARIABLES
        return self.evaluate([node], scope)

    def test(self, node: Node, around: Surroundings | None = None) -> bool | None:
        """The same as a truth value, None for nothing."""
        return truth(self(node, around))


def compile_expression(
    text: str, definitions: Definitions, context_type: str | None = None, *, placed: bool = False
) -> Expression:
    """Compile an expression. Raises ExpressionError.

    With `context_type`, branches that begin with another type are left out at once. With `placed` (FHIRPath Patch, and
    any expression from a client) the nodes that members give are `Placed`: they know parent, key and index; regular
    expressions and `repeat` are refused, since nothing bounds their time.
    """
    model = model_of(definitions)
    try:
        return Expression(text, model, Compiler(model, context_type, placed).compile(parse(text)))
    except RecursionError:
        raise ExpressionError("The expression is nested too deeply.") from None


def compile_path(expression: str, context_type: str, definitions: Definitions) -> Callable[..., list[Node]]:
    """Make a function from a node of `context_type`, or of a part of it and the whole (`%resource`), to the nodes that
    a search parameter's expression selects; what has no value is left out. Raises ExpressionError.
    """
    compiled = compile_expression(expression, definitions, context_type)
    model, evaluate = compiled.model, compiled.evaluate

    def select(node: Node, whole: Node | None = None) -> list[Node]:
        resource = whole or node
        found = evaluate([node], Scope(model, node, resource, resource))
        return [one for one in found if one[1] is not None]

    return select


_MODELS: WeakKeyDictionary[Definitions, Model] = WeakKeyDictionary()


def model_of(definitions: Definitions) -> Model:
    """FHIR's types as these definitions have them: one model for each, with what it has learnt."""
    found = _MODELS.get(definitions)
    if found is None:
        found = _MODELS[definitions] = Model(definitions)
    return found
