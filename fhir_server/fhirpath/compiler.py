"""Syntax trees to closures: `evaluate(nodes, scope)` gives the nodes.  https://hl7.org/fhirpath/N1/#expressions"""

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.fhirpath import operators, syntax
from fhir_server.fhirpath.functions import FUNCTIONS
from fhir_server.fhirpath.lexer import ExpressionError
from fhir_server.fhirpath.model import Model, Node
from fhir_server.fhirpath.scope import Evaluate, Scope

UCUM = "http://unitsofmeasure.org"
SYSTEMS = {"ucum": UCUM, "sct": "http://snomed.info/sct", "loinc": "http://loinc.org"}
# Of what a client writes, nothing may run away: Python's regular expressions have no limit.
NOT_FOR_CLIENTS = frozenset({"matches", "matchesFull", "replaceMatches", "repeat", "aggregate"})
ROOTS = frozenset({"Resource", "DomainResource"})


def _this(nodes: list[Node], scope: Scope) -> list[Node]:
    return nodes


def _nothing(nodes: list[Node], scope: Scope) -> list[Node]:
    return []


SPECIAL: dict[str, Evaluate] = {
    "$this": lambda nodes, scope: scope.this,
    "$index": lambda nodes, scope: [("System.Integer", scope.index)],
    "$total": lambda nodes, scope: list(scope.total),
}
VARIABLES: dict[str, Evaluate] = {
    "context": lambda nodes, scope: [scope.context],
    "resource": lambda nodes, scope: [scope.resource],
    "rootResource": lambda nodes, scope: [scope.root],
}


@dataclass(frozen=True, slots=True)
class Compiler:
    """Makes closures. `context_type` decides at once which branches of a search expression belong to a type;
    `placed` gives nodes with their places, and refuses what could run away.
    """

    model: Model
    context_type: str | None = None
    placed: bool = False

    def compile(self, tree: syntax.Tree) -> Evaluate:
        """The closure of a tree. Raises ExpressionError."""
        return MAKERS[type(tree)](self, tree)

    def _literal(self, tree: syntax.Literal) -> Evaluate:
        nodes = [(tree.type, tree.value)]
        return lambda _nodes, scope: nodes

    def _empty(self, tree: syntax.Empty) -> Evaluate:
        return _nothing

    def _variable(self, tree: syntax.Variable) -> Evaluate:
        name = tree.name
        if name in VARIABLES:
            return VARIABLES[name]
        value = _constant(name)
        if value is not None:
            nodes = [("System.String", value)]
            return lambda _nodes, scope: nodes
        return lambda _nodes, scope: _given(name, scope)

    def _name(self, tree: syntax.Name) -> Evaluate:
        """A name at the start of a path: a type, a special or a member."""
        text = tree.text
        if text in SPECIAL and not tree.quoted:
            return SPECIAL[text]
        if not text[0].isupper() or not self.model.is_type(text):
            return self._member(tree)
        if self.context_type is not None:
            return _this if text in ROOTS or text == self.context_type else _nothing
        test = self.model.type_test(text)
        return lambda nodes, scope: [node for node in nodes if test(node[0])]

    def _member(self, tree: syntax.Name) -> Evaluate:
        members = self.model.member(tree.text, placed=self.placed)
        return lambda nodes, scope: members(nodes)

    def _step(self, tree: syntax.Step) -> Evaluate:
        if isinstance(tree.target, syntax.Name) and tree.target.text in {"FHIR", "System"}:
            return self.compile(tree.then)
        first = self.compile(tree.target)
        if isinstance(tree.then, syntax.Name) and (tree.then.quoted or tree.then.text not in SPECIAL):
            then = self._member(tree.then)
            if first is _nothing:
                return _nothing
        else:
            then = self.compile(tree.then)
        return then if first is _this else lambda nodes, scope: then(first(nodes, scope), scope)

    def _call(self, tree: syntax.Call) -> Evaluate:
        function = FUNCTIONS.get(tree.name)
        if function is None:
            raise ExpressionError(f"There is no function '{tree.name[:40]}'.")
        if self.placed and tree.name in NOT_FOR_CLIENTS:
            raise ExpressionError(f"'{tree.name}' is not offered here.")
        if not function.fewest <= len(tree.arguments) <= function.most:
            raise ExpressionError(f"'{tree.name}' has another number of arguments.")
        if function.typed:
            test = self.model.type_test(type_name(tree.arguments[0]))
            return function.make(test)
        return function.make(*(self.compile(argument) for argument in tree.arguments))

    def _index(self, tree: syntax.Index) -> Evaluate:
        target = self.compile(tree.target)
        if isinstance(tree.position, syntax.Literal) and isinstance(tree.position.value, int):
            position = tree.position.value
            return lambda nodes, scope: target(nodes, scope)[position : position + 1]
        return operators.indexed(target, self.compile(tree.position))

    def _binary(self, tree: syntax.Binary) -> Evaluate:
        left = self.compile(tree.left)
        if tree.operator in {"is", "as"}:
            return operators.typed(tree.operator, left, self.model.type_test(type_name(tree.right)))
        right = self.compile(tree.right)
        if tree.operator == "|" and _nothing in {left, right}:
            return right if left is _nothing else left
        return operators.OPERATORS[tree.operator](left, right)

    def _sign(self, tree: syntax.Sign) -> Evaluate:
        operand = self.compile(tree.operand)
        return operators.negative(operand) if tree.operator == "-" else operand


MAKERS: dict[type, Callable[..., Evaluate]] = {
    syntax.Literal: Compiler._literal,
    syntax.Empty: Compiler._empty,
    syntax.Variable: Compiler._variable,
    syntax.Name: Compiler._name,
    syntax.Step: Compiler._step,
    syntax.Call: Compiler._call,
    syntax.Index: Compiler._index,
    syntax.Binary: Compiler._binary,
    syntax.Sign: Compiler._sign,
}


def type_name(tree: syntax.Tree) -> str:
    """A type as it is written as an argument: `Patient`, `FHIR.Patient`, or in quotes. Raises ExpressionError."""
    if isinstance(tree, syntax.Name):
        return tree.text
    if isinstance(tree, syntax.Literal) and isinstance(tree.value, str):
        return tree.value
    if isinstance(tree, syntax.Step) and isinstance(tree.target, syntax.Name) and isinstance(tree.then, syntax.Name):
        return f"{tree.target.text}.{tree.then.text}"
    raise ExpressionError("The name of a type was expected.")


def _constant(name: str) -> str | None:
    if name in SYSTEMS:
        return SYSTEMS[name]
    for prefix, folder in (("vs-", "ValueSet"), ("cs-", "CodeSystem"), ("ext-", "StructureDefinition")):
        if name.startswith(prefix):
            return f"http://hl7.org/fhir/{folder}/{name.removeprefix(prefix)}"
    return None


def _given(name: str, scope: Scope) -> list[Node]:
    if name not in scope.variables:
        raise ExpressionError(f"Nothing is known as %{name}.")
    return list(scope.variables[name])
