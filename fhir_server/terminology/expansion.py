"""Every code of a value set, in order.  https://hl7.org/fhir/R4/valueset.html#expansion"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.errors import Unprocessable
from fhir_server.terminology.code_system import CodeSystem, Concept
from fhir_server.terminology.grammars import listed
from fhir_server.terminology.loaded import not_loaded
from fhir_server.terminology.membership import Terminology
from fhir_server.terminology.value_set import Part, ValueSet

Resource = Mapping[str, Any]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Member:
    """One code of an expansion. `concept` is None where its system is not loaded, `source` what the compose says."""

    system: str
    code: str
    version: str | None
    concept: Concept | None
    source: Resource

    @property
    def display(self) -> str | None:
        """The name: that of the compose before that of the code system."""
        return self.source.get("display") or (self.concept.display if self.concept else None)

    @property
    def designations(self) -> Sequence[Resource]:
        """Other names, of both."""
        return [*self.source.get("designation", ()), *(self.concept.designations if self.concept else ())]

    @property
    def abstract(self) -> bool:
        """Whether it only groups others."""
        return self.concept.abstract if self.concept else bool(self.source.get("abstract"))

    @property
    def inactive(self) -> bool:
        """Whether it should no longer be used."""
        return self.concept.inactive if self.concept else bool(self.source.get("inactive"))


Known = dict[str, dict[Key, Member] | None]


def expand(terminology: Terminology, value_set: ValueSet, known: Known | None = None) -> dict[Key, Member]:
    """All codes, each once, in the order of the compose. `known` keeps the imported value sets.

    Raises NotLoaded for a code system or value set that would be needed, Unprocessable for one that imports itself.
    """
    known = {} if known is None else known
    found: dict[Key, Member] = {}
    if value_set.expanded is not None:
        return {(member.system, member.code): member for member in _written(value_set.resource.get("expansion", {}))}
    for part in value_set.includes:
        for member in _of_part(terminology, part, known):
            if not (value_set.active_only and member.inactive):
                found.setdefault((member.system, member.code), member)
    for part in value_set.excludes:
        found = {key: member for key, member in found.items() if not _excluded(terminology, value_set, part, key)}
    return found


def _excluded(terminology: Terminology, value_set: ValueSet, part: Part, key: Key) -> bool:
    answer = terminology.in_part(value_set, part, key)
    if answer is None:
        raise not_loaded("code system or value set", part.system or part.imports[0])
    return answer


def _of_part(terminology: Terminology, part: Part, known: Known) -> Iterator[Member]:
    imports = part.imports
    if part.system is not None:
        members = _of_system(terminology, part)
    elif imports:
        members = iter(_imported(terminology, imports[0], known).values())
        imports = imports[1:]
    else:
        raise Unprocessable("A ValueSet includes neither a system nor a value set.")
    others = [_imported(terminology, canonical, known) for canonical in imports]
    return (member for member in members if all((member.system, member.code) in other for other in others))


def _imported(terminology: Terminology, canonical: str, known: Known) -> dict[Key, Member]:
    if canonical not in known:
        found = terminology.value_set(canonical)
        if found is None:
            raise not_loaded("value set", canonical)
        known[canonical] = None
        known[canonical] = expand(terminology, found, known)
    members = known[canonical]
    if members is None:
        raise Unprocessable(f"The value set {canonical[:200]} imports itself.")
    return members


def _of_system(terminology: Terminology, part: Part) -> Iterator[Member]:
    url = str(part.system)
    system = terminology.code_system(url, part.version)
    if part.concepts:
        for code, source in part.concepts.items():
            yield _member(url, code, system, source, part.version)
    elif system is not None:
        for concept in system.concepts.values():
            if part.passes(concept, system):
                yield Member(url, concept.code, system.version, concept, {})
    else:
        names = listed(url)
        if names is None or part.filters:
            raise not_loaded("code system", url)
        yield from (Member(url, code, None, None, {"display": name}) for code, name in names.items())


def _member(url: str, code: str, system: CodeSystem | None, source: Resource, version: str | None) -> Member:
    concept = system.find(code) if system else None
    return Member(url, code, system.version if system else version, concept, source)


def _written(node: Resource) -> Iterator[Member]:
    """The codes of an expansion that came with the definition."""
    for one in node.get("contains", ()):
        if "code" in one:
            yield Member(one.get("system", ""), one["code"], one.get("version"), None, one)
        yield from _written(one)


def codes(terminology: Terminology, canonical: str) -> frozenset[Key]:
    """Every (system, code) of a value set, for `:in` and `:not-in`.  https://hl7.org/fhir/R4/search.html#token

    Raises NotLoaded, Unprocessable.
    """
    kept = terminology.kept_codes()
    if canonical not in kept:
        kept[canonical] = frozenset(_imported(terminology, canonical, {}))
    return kept[canonical]
