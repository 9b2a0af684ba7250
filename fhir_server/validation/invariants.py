"""Invariants of types and profiles.  https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Expression, ExpressionError, Node, compile_expression
from fhir_server.fhirpath.syntax import parse
from fhir_server.validation.presence import Held, presence_test
from fhir_server.validation.report import Report

BEST_PRACTICE = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice"
# Held by the walk itself: an element has a value or children, an extension one of both.
STRUCTURAL = frozenset({"ele-1", "ext-1"})
# Most values meet an invariant for want of what it is about; so it is not evaluated then.
CONCERNS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("dom-2", "dom-3", "dom-4", "dom-5"), ("contained",)),
    "per-1": ("end",),
    "qty-3": ("code",),
    "obs-6": ("dataAbsentReason",),
    "obs-7": ("component",),
    "ref-1": ("reference",),
    "age-1": ("value", "code"),
    "drt-1": ("value", "code"),
    "rng-2": ("high",),
    "rat-1": (),
    "cpt-2": ("system", "value"),
}
# R4 gives both rules of narratives the same expression; R5 tells them apart.
CORRECTED = {"txt-2": "htmlChecks2()"}


class CannotTell(Exception):
    """An invariant asks something that this server does not know."""


class Invariant:
    """One constraint, compiled on first use."""

    __slots__ = ("_definitions", "_expression", "_presence", "concerns", "key", "severity", "text", "words")

    def __init__(self, constraint: Mapping[str, Any], definitions: Definitions) -> None:
        self.key: str = constraint["key"]
        self.text: str = CORRECTED.get(self.key, constraint["expression"])
        self.words: str = constraint.get("human", "")
        self.severity: str = constraint["severity"]
        if any(one.get("url") == BEST_PRACTICE for one in constraint.get("extension", ())):
            self.severity = "warning"
        self.concerns = frozenset(CONCERNS.get(self.key, ()))
        self._definitions = definitions
        self._expression: Expression | None = None
        self._presence: dict[str, Held | None] = {}

    def check(self, node: Node, place: str, report: Report) -> None:
        """Evaluate it on a node; only a plain no is a problem: nothing means that there was nothing to judge."""
        value = node[1]
        if self.severity != "error" and not report.thorough:
            return
        if self.concerns and value.__class__ is dict and self.concerns.isdisjoint(value):
            return
        if self.key == "ref-1" and str(value.get("reference"))[:1] != "#":
            return
        try:
            held = self._held(node, report)
        except CannotTell:
            return
        except ExpressionError as error:
            report.hint("processing", f"{self.key} could not be evaluated: {error}", place)
            return
        if held is False:
            complain = report.error if self.severity == "error" else report.warning
            complain("invariant", f"{self.key}: {self.words}", place)

    def _held(self, node: Node, report: Report) -> bool | None:
        """Whether it holds; by the keys alone where it asks for no more. Raises CannotTell, ExpressionError."""
        type_, value = node
        if type_ not in self._presence:
            self._presence[type_] = presence_test(parse(self.text), type_, self._definitions)
        present = self._presence[type_]
        if present is not None and value.__class__ is dict:
            return present(value)
        return self._compiled().test(node, report.around)

    def _compiled(self) -> Expression:
        if self._expression is None:
            self._expression = compile_expression(self.text, self._definitions)
        return self._expression


def invariants(
    element: Mapping[str, Any], definitions: Definitions, known: Iterable[str] = ()
) -> tuple[Invariant, ...]:
    """The invariants of an element that the walk does not hold anyway."""
    skipped = {*STRUCTURAL, *known}
    return tuple(
        Invariant(one, definitions)
        for one in element.get("constraint", ())
        if one.get("expression") and one["key"] not in skipped
    )


def answered(question: Callable[..., bool | None]) -> Callable[..., bool | None]:
    """A service of FHIRPath that stops the invariant when it has no answer."""

    def ask(*arguments: Any) -> bool:
        answer = question(*arguments)
        if answer is None:
            raise CannotTell
        return answer

    return ask
