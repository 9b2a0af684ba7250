"""Codes by a ConceptMap.  https://hl7.org/fhir/R4/conceptmap.html"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.terminology.code_system import Resource

NOT_A_MATCH = {"unmatched", "disjoint"}
INVERSE = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}
Resolve = Callable[[str], Resource | None]


@dataclass(frozen=True, slots=True)
class Question:
    """A code to be translated. `dependencies`: (element, system or None, code) that are known of its context."""

    system: str | None
    code: str
    target_system: str | None = None
    reverse: bool = False
    dependencies: frozenset[tuple[str, str | None, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Match:
    """One translation, and the map that gave it."""

    equivalence: str
    coding: Mapping[str, Any]
    source: str
    products: Sequence[Resource] = ()

    @property
    def counts(self) -> bool:
        """Whether it says that there is a translation."""
        return self.equivalence not in NOT_A_MATCH


def translate(
    concept_map: Resource, question: Question, resolve: Resolve, seen: frozenset[str] = frozenset()
) -> Iterator[Match]:
    """Every translation that the map gives. `resolve` finds another map that `unmapped` refers to, each once."""
    url = str(concept_map.get("url", ""))
    for group in concept_map.get("group", ()):
        if question.reverse:
            yield from _backwards(group, question, url)
        elif _fits(group, question):
            found = list(_forwards(group, question, url))
            yield from found or _unmapped(group, question, url, (resolve, seen | {url}))


def covers(concept_map: Resource, question: Question) -> bool:
    """Whether a map speaks of the code's system at all."""
    side = "target" if question.reverse else "source"
    return any(group.get(side) == question.system for group in concept_map.get("group", ()))


def _fits(group: Resource, question: Question) -> bool:
    own = question.system is None or group.get("source") in {None, question.system}
    return own and question.target_system in {None, group.get("target")}


def _forwards(group: Resource, question: Question, url: str) -> Iterator[Match]:
    for element in group.get("element", ()):
        if element.get("code") != question.code:
            continue
        for target in element.get("target", ()):
            if _holds(target, question):
                coding = _coding(group.get("target"), group.get("targetVersion"), target)
                yield Match(target.get("equivalence", "relatedto"), coding, url, target.get("product", ()))


def _backwards(group: Resource, question: Question, url: str) -> Iterator[Match]:
    if question.system not in {None, group.get("target")} or question.target_system not in {None, group.get("source")}:
        return
    for element in group.get("element", ()):
        for target in element.get("target", ()):
            if target.get("code") == question.code:
                equivalence = target.get("equivalence", "relatedto")
                coding = _coding(group.get("source"), group.get("sourceVersion"), element)
                yield Match(INVERSE.get(equivalence, equivalence), coding, url)


def _unmapped(
    group: Resource, question: Question, url: str, other_maps: tuple[Resolve, frozenset[str]]
) -> Iterator[Match]:
    """What the group says of codes that it does not name.  conceptmap-definitions.html#ConceptMap.group.unmapped"""
    rule = group.get("unmapped", {})
    resolve, seen = other_maps
    if rule.get("mode") == "provided":
        yield Match("equal", _coding(group.get("target"), None, {"code": question.code}), url)
    elif rule.get("mode") == "fixed":
        yield Match("relatedto", _coding(group.get("target"), None, rule), url)
    elif rule.get("mode") == "other-map" and rule.get("url") not in seen:
        other = resolve(str(rule.get("url")))
        if other is not None:
            yield from translate(other, question, resolve, seen)


def _holds(target: Resource, question: Question) -> bool:
    """Whether everything that the target depends on is known of the context."""
    return all(
        any(
            element == one.get("property") and code == one.get("value") and one.get("system") in {None, system}
            for element, system, code in question.dependencies
        )
        for one in target.get("dependsOn", ())
    )


def _coding(system: Any, version: Any, source: Resource) -> dict[str, Any]:
    coding = {"system": system, "version": version, "code": source.get("code"), "display": source.get("display")}
    return {name: value for name, value in coding.items() if value is not None}
