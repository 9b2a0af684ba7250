"""Existence, filtering, subsetting, combining, tree navigation.  https://hl7.org/fhirpath/N1/#functions"""

from collections.abc import Callable

from fhir_server.fhirpath.functions.function import Function, plain, with_values, without_scope
from fhir_server.fhirpath.lexer import ExpressionError
from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.scope import Evaluate, Scope
from fhir_server.fhirpath.values import boolean, distinct, frozen, integer, truth

MOST_NODES = 1_000_000


def _each(nodes: list[Node], scope: Scope, argument: Evaluate) -> list[list[Node]]:
    """What the argument gives for each item as `$this`."""
    before = scope.this, scope.index
    results = []
    for scope.index, node in enumerate(nodes):
        this = scope.this = [node]
        results.append(argument(this, scope))
    scope.this, scope.index = before
    return results


def where(criterion: Evaluate) -> Evaluate:
    """`where(criterion)`"""

    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        before = scope.this, scope.index
        kept = []
        for scope.index, node in enumerate(nodes):
            this = scope.this = [node]
            if truth(criterion(this, scope)):
                kept.append(node)
        scope.this, scope.index = before
        return kept

    return evaluate


def _exists(*criterion: Evaluate) -> Evaluate:
    if criterion:
        keep = where(*criterion)
        return lambda nodes, scope: boolean(bool(keep(nodes, scope)))
    return lambda nodes, scope: boolean(bool(nodes))


def _all(criterion: Evaluate) -> Evaluate:
    return lambda nodes, scope: boolean(all(truth(result) for result in _each(nodes, scope, criterion)))


def _select(projection: Evaluate) -> Evaluate:
    return lambda nodes, scope: [node for result in _each(nodes, scope, projection) for node in result]


def _repeat(projection: Evaluate) -> Evaluate:
    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        found: dict[object, Node] = {}
        level = nodes
        while level:
            below: list[Node] = []
            for result in _each(level, scope, projection):
                for node in result:
                    if frozen(node) not in found:
                        found[frozen(node)] = node
                        below.append(node)
            level = below
            if len(found) > MOST_NODES:
                raise ExpressionError("There are too many items.")
        return list(found.values())

    return evaluate


def _iif(criterion: Evaluate, positive: Evaluate, *otherwise: Evaluate) -> Evaluate:
    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        this = nodes[:1]
        before, scope.this = scope.this, this
        chosen = (positive,) if truth(criterion(this, scope)) else otherwise
        result = chosen[0](this, scope) if chosen else []
        scope.this = before
        return result

    return evaluate


def _aggregate(aggregator: Evaluate, *start: Evaluate) -> Evaluate:
    def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
        before = scope.this, scope.index, scope.total
        total = start[0](scope.this, scope) if start else []
        for scope.index, node in enumerate(nodes):
            this = scope.this = [node]
            scope.total = total
            total = aggregator(this, scope)
        scope.this, scope.index, scope.total = before
        return total

    return evaluate


def _of_type(test: Callable[[str], bool]) -> Evaluate:
    return lambda nodes, scope: [node for node in nodes if test(node[0])]


def _is_type(test: Callable[[str], bool]) -> Evaluate:
    return lambda nodes, scope: boolean(any(test(node[0]) for node in nodes)) if nodes else []


def children(nodes: list[Node], scope: Scope) -> list[Node]:
    """`children()`"""
    return [child for node in nodes for child in scope.model.children(node)]


def descendants(nodes: list[Node], scope: Scope) -> list[Node]:
    """`descendants()`: every level below."""
    found: list[Node] = []
    level = children(nodes, scope)
    while level:
        found += level
        level = children(level, scope)
    return found


def _trace(*arguments: Evaluate) -> Evaluate:
    return lambda nodes, scope: nodes


def _not(nodes: list[Node]) -> list[Node]:
    value = truth(nodes)
    return [] if value is None else boolean(not value)


def _values(nodes: list[Node], wanted: bool) -> list[bool]:
    return [node[1] is wanted for node in nodes]


def _skip(nodes: list[Node], count: list[Node]) -> list[Node]:
    return nodes[max(0, integer(count) or 0) :]


def _take(nodes: list[Node], count: list[Node]) -> list[Node]:
    return nodes[: max(0, integer(count) or 0)]


def _intersect(nodes: list[Node], other: list[Node]) -> list[Node]:
    known = {frozen(node) for node in other}
    return [node for node in distinct(nodes) if frozen(node) in known]


def _exclude(nodes: list[Node], other: list[Node]) -> list[Node]:
    known = {frozen(node) for node in other}
    return [node for node in nodes if frozen(node) not in known]


def _subset_of(nodes: list[Node], other: list[Node]) -> list[Node]:
    known = {frozen(node) for node in other}
    return boolean(all(frozen(node) in known for node in nodes))


def _single(nodes: list[Node]) -> list[Node]:
    if len(nodes) > 1:
        raise ExpressionError("More than one item where single() stands.")
    return nodes


FUNCTIONS: dict[str, Function] = {
    "empty": without_scope(lambda nodes: boolean(not nodes)),
    "exists": Function(_exists, 0, 1),
    "not": without_scope(_not),
    "all": Function(_all, 1, 1),
    "allTrue": without_scope(lambda nodes: boolean(all(_values(nodes, True)))),
    "anyTrue": without_scope(lambda nodes: boolean(any(_values(nodes, True)))),
    "allFalse": without_scope(lambda nodes: boolean(all(_values(nodes, False)))),
    "anyFalse": without_scope(lambda nodes: boolean(any(_values(nodes, False)))),
    "subsetOf": with_values(_subset_of, 1),
    "supersetOf": with_values(lambda nodes, other: _subset_of(other, nodes), 1),
    "isDistinct": without_scope(lambda nodes: boolean(len(distinct(nodes)) == len(nodes))),
    "distinct": without_scope(distinct),
    "count": without_scope(lambda nodes: [("System.Integer", len(nodes))]),
    "where": Function(where, 1, 1),
    "select": Function(_select, 1, 1),
    "repeat": Function(_repeat, 1, 1),
    "ofType": Function(_of_type, 1, 1, typed=True),
    "as": Function(_of_type, 1, 1, typed=True),
    "is": Function(_is_type, 1, 1, typed=True),
    "single": without_scope(_single),
    "first": without_scope(lambda nodes: nodes[:1]),
    "last": without_scope(lambda nodes: nodes[-1:]),
    "tail": without_scope(lambda nodes: nodes[1:]),
    "skip": with_values(_skip, 1),
    "take": with_values(_take, 1),
    "intersect": with_values(_intersect, 1),
    "exclude": with_values(_exclude, 1),
    "union": with_values(lambda nodes, other: distinct([*nodes, *other]), 1),
    "combine": with_values(lambda nodes, other: [*nodes, *other], 1),
    "children": plain(children),
    "descendants": plain(descendants),
    "iif": Function(_iif, 2, 3),
    "aggregate": Function(_aggregate, 1, 2),
    "trace": Function(_trace, 1, 2),
}
