"""What the compiler knows of a function."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath.model import Node
from fhir_server.fhirpath.scope import Evaluate, Scope


@dataclass(frozen=True, slots=True)
class Function:
    """`make` turns the arguments, closures themselves, into the closure of the call. `typed`: it takes a type."""

    make: Callable[..., Evaluate]
    fewest: int = 0
    most: int = 0
    typed: bool = False


def plain(function: Callable[[list[Node], Scope], list[Node]]) -> Function:
    """A function without arguments."""
    return Function(lambda: function)


def with_values(function: Callable[..., list[Node]], fewest: int, most: int | None = None) -> Function:
    """A function whose arguments are reckoned from `$this`, before it is called with (nodes, *collections)."""

    def make(*arguments: Evaluate) -> Evaluate:
        if len(arguments) == 1:
            argument = arguments[0]
            return lambda nodes, scope: function(nodes, argument(scope.this, scope))

        def evaluate(nodes: list[Node], scope: Scope) -> list[Node]:
            return function(nodes, *(argument(scope.this, scope) for argument in arguments))

        return evaluate

    return Function(make, fewest, fewest if most is None else most)


def without_scope(function: Callable[[list[Node]], list[Node]]) -> Function:
    """A function of the focus alone."""
    evaluate: Any = lambda nodes, scope: function(nodes)  # noqa: E731
    return Function(lambda: evaluate)
