"""Whether a code is in a value set: the questions that validation and search ask.

`Terminology` holds what it has compiled until a definition changes. Three answers: True, False, and None when this
server cannot tell, because a code system or value set is not loaded (SNOMED CT, LOINC).
"""

from collections.abc import Callable, Iterable
from functools import partial

from fhir_server.conformance.canonicals import Canonicals
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.grammars import recognise
from fhir_server.terminology.value_set import Part, ValueSet

Answer = bool | None
UCUM = "http://unitsofmeasure.org"
KEPT_ANSWERS, LONGEST_KEPT = 200_000, 300
Known = dict[tuple[str, str | None], Answer]


class Terminology:
    """Answers from the definitions that this server knows; synchronous, quick when asked the same again."""

    def __init__(self, canonicals: Canonicals, is_unit: Callable[[str], bool] | None = None) -> None:
        """`is_unit` knows units of UCUM; what it does not know may be one all the same."""
        self.canonicals = canonicals
        self._is_unit = is_unit
        self._generation = -1
        self._systems: dict[tuple[str, str | None], CodeSystem] = {}
        self._value_sets: dict[str, ValueSet] = {}
        self._answers: dict[tuple[str, str | None, str], Answer] = {}
        self._codes: dict[str, frozenset[tuple[str, str]]] = {}

    def is_member(self, value_set: str, system: str | None, code: str) -> Answer:
        """Whether a value set (`url` or `url|version`) has a code; None when this server cannot tell.

        A system of None is that of an element of type `code`: any system that the value set takes codes from.
        """
        self._renew()
        key = value_set, system, code
        if key in self._answers:
            return self._answers[key]
        if len(self._answers) > KEPT_ANSWERS:
            self._answers.clear()
        answer = self._asked(value_set, system, code, {})
        if len(value_set) + len(system or "") + len(code) <= LONGEST_KEPT:
            self._answers[key] = answer
        return answer

    def contains(self, value_set: ValueSet, system: str | None, code: str) -> Answer:
        """Like `is_member`, of a value set that somebody has sent."""
        self._renew()
        return self._contains(value_set, system, code, {})

    def kept_codes(self) -> dict[str, frozenset[tuple[str, str]]]:
        """Where `expansion.codes` keeps what it has listed, until a definition changes."""
        self._renew()
        return self._codes

    def in_part(self, value_set: ValueSet, part: Part, coding: tuple[str, str]) -> Answer:
        """Whether an include or exclude of a value set speaks of a code."""
        return self._in_part(value_set, part, coding, {})

    def value_set(self, canonical: str) -> ValueSet | None:
        """The value set of a canonical."""
        self._renew()
        if canonical not in self._value_sets:
            found = self.canonicals.resolve(canonical, "ValueSet")
            if found is None:
                return None
            self._value_sets[canonical] = ValueSet(found)
        return self._value_sets[canonical]

    def code_system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """The code system that lists its concepts; None when it is not loaded or without content."""
        self._renew()
        key = url, version
        if key not in self._systems:
            found = self.canonicals.resolve(f"{url}|{version}" if version else url, "CodeSystem")
            if found is None or found.get("content") in {"not-present", "supplement"}:
                return None
            self._systems[key] = CodeSystem(found, self.canonicals.supplements_of(url))
        return self._systems[key]

    def below(self, system: str, code: str) -> set[str] | None:
        """A code and all that it subsumes; None when the system is not loaded.  R4 search.html#token `:below`"""
        found = self.code_system(system)
        return None if found is None else found.below(code)

    def above(self, system: str, code: str) -> set[str] | None:
        """A code and all that subsume it; None when the system is not loaded.  R4 search.html#token `:above`"""
        found = self.code_system(system)
        return None if found is None else found.above(code)

    def is_code(self, system: str, code: str, version: str | None = None) -> Answer:
        """Whether a code system has a code."""
        if system == UCUM:
            return True if self._is_unit and self._is_unit(code) else None
        known = recognise(system, code)
        if known is not None:
            return known
        found = self.code_system(system, version)
        if found is None:
            return None
        return True if found.find(code) else False if found.complete else None

    def _renew(self) -> None:
        """Drop what was compiled from definitions that have changed."""
        if self._generation != self.canonicals.generation:
            self._generation = self.canonicals.generation
            for kept in (self._systems, self._value_sets, self._answers, self._codes):
                kept.clear()

    def _asked(self, canonical: str, system: str | None, code: str, known: Known) -> Answer:
        """One value set, once for each question; one that imports itself answers None to itself."""
        key = canonical, system
        if key not in known:
            known[key] = None
            found = self.value_set(canonical)
            known[key] = None if found is None else self._contains(found, system, code, known)
        return known[key]

    def _contains(self, value_set: ValueSet, system: str | None, code: str, known: Known) -> Answer:
        if value_set.expanded is not None:
            return _listed(value_set.expanded, system, code)
        inside = _any(partial(self._in_part, value_set, part, (system, code), known) for part in value_set.includes)
        if inside is False:
            return False
        outside = _any(partial(self._in_part, value_set, part, (system, code), known) for part in value_set.excludes)
        return False if outside else None if outside is None else inside

    def _in_part(self, value_set: ValueSet, part: Part, coding: tuple[str | None, str], known: Known) -> Answer:
        system, code = coding
        if part.system is not None and system not in {None, part.system}:
            return False
        own = partial(self._in_system, value_set, part, code)
        tests = [own] if part.system is not None else []
        system = part.system or system
        return _all([*tests, *(partial(self._asked, canonical, system, code, known) for canonical in part.imports)])

    def _in_system(self, value_set: ValueSet, part: Part, code: str) -> Answer:
        url = str(part.system)
        system = self.code_system(url, part.version)
        concept = system.find(code) if system else None
        if value_set.active_only and concept is not None and concept.inactive:
            return False
        if part.concepts:
            return code in part.concepts or (concept is not None and concept.code in part.concepts)
        if not part.filters:
            return self.is_code(url, code, part.version)
        if system is None or (concept is None and not system.complete):
            return None
        return concept is not None and part.passes(concept, system)


def is_unit_of(terminology: Terminology) -> Callable[[str], bool] | None:
    """What a terminology knows units of UCUM by."""
    return terminology._is_unit


def _listed(expanded: set[tuple[str, str]], system: str | None, code: str) -> bool:
    if system is not None:
        return (system, code) in expanded
    return any(code == known for _, known in expanded)


def _any(tests: Iterable[Callable[[], Answer]]) -> Answer:
    """True beats unknown beats False."""
    answer: Answer = False
    for test in tests:
        found = test()
        if found:
            return True
        answer = None if found is None else answer
    return answer


def _all(tests: Iterable[Callable[[], Answer]]) -> Answer:
    """False beats unknown beats True."""
    answer: Answer = True
    for test in tests:
        found = test()
        if found is False:
            return False
        answer = None if found is None else answer
    return answer
