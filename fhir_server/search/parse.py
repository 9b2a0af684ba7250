"""Query string to `Query`.  https://hl7.org/fhir/R4/search.html

Nothing is silently dropped: an unknown parameter, modifier or value raises Invalid; with `Prefer: handling=lenient`
unknown parameters are left out and named in `Query.ignored`.
"""

import itertools
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from fhir_server.errors import Invalid, NotFound
from fhir_server.search.coded import BY_HIERARCHY, BY_SET, tokens
from fhir_server.search.filtering import Inner, filtering
from fhir_server.search.filters import read_filter
from fhir_server.search.functional_lists import functional_list
from fhir_server.search.links import Links
from fhir_server.search.query import (
    Chain,
    Clause,
    Condition,
    Has,
    Include,
    InCompartment,
    Logic,
    Missing,
    Pairs,
    Query,
    Sort,
    TokenValue,
)
from fhir_server.search.registry import OF_TYPE, WORDS, Parameter, Registry
from fhir_server.search.values import parse_value, split, unescape
from fhir_server.search.wording import wanted_words
from fhir_server.terminology.membership import Terminology

MODIFIERS = {
    "string": {"exact", "contains"},
    "token": {"not", "text", "of-type", *BY_SET, *BY_HIERARCHY},
    "reference": {"identifier"},
    "uri": {"below", "above"},
    "date": set(),
    "number": set(),
    "quantity": set(),
    "composite": set(),
    "special": set(),
    WORDS: set(),
}
PASSED_OVER = {"_format", "_pretty"}
# Why a parameter of R4 cannot be asked for here.
NOT_SUPPORTED = {
    "_text": "needs the index of whole texts, which is off here (KONSIL_FHIR_FULL_TEXT)",
    "_content": "needs the index of whole texts, which is off here (KONSIL_FHIR_FULL_TEXT)",
    "_query": "is not supported: this server has no named queries",
    "_contained": "is not supported: what is contained is found by its container only",
}
MAX_VALUES = 5000
MAX_PARAMETERS = 200
MAX_COUNT_DIGITS = 9
TOTALS = ("none", "estimate", "accurate")
SUMMARIES = ("true", "text", "data", "count", "false")


class QueryParser:
    """Parses for one server."""

    def __init__(
        self,
        registry: Registry,
        base_url: str,
        terminology: Terminology | None = None,
        *,
        page_size: int = 50,
        max_page_size: int = 1000,
    ) -> None:
        self.registry = registry
        self.terminology = terminology
        self.base_url = base_url
        self.page_size = page_size
        self.max_page_size = max_page_size

    def parse(
        self,
        resource_type: str | None,
        pairs: Pairs,
        *,
        lenient: bool = False,
        compartment: tuple[str, str] | None = None,
    ) -> Query:
        """Read all pairs, for one type, or (None) for those that `_type` names or all. Raises Invalid."""
        _check_size(pairs)
        query = self._query(resource_type, pairs, compartment)
        for name, text in pairs:
            if name in PASSED_OVER or text == "" or (name, text) == ("_contained", "false"):
                continue
            try:
                self._take(query, name, text)
            except UnknownParameter as error:
                if not lenient:
                    raise
                query.ignored.append(error.name)
                continue
            if name != "_cursor":
                query.accepted.append((name, text))
        return query

    def _query(self, resource_type: str | None, pairs: Pairs, compartment: tuple[str, str] | None) -> Query:
        """What is searched: one type, several, or what belongs to a compartment."""
        if compartment is None:
            types = (resource_type,) if resource_type else self._types(pairs, self.registry.definitions.resource_types)
            return Query(types, resource_type or "", count=self.page_size)
        held = self.registry.definitions.compartments[compartment[0]]
        if resource_type is not None and resource_type not in held:
            raise NotFound(f"{resource_type} does not belong to the compartment of a {compartment[0]}.")
        types = (resource_type,) if resource_type else self._types(pairs, held)
        query = Query(types, f"{'/'.join(compartment)}/{resource_type or '*'}", count=self.page_size)
        parameters = (self.registry.of(type_).get(code) for type_ in types for code in held[type_])
        query.conditions.append(InCompartment(*compartment, tuple(one for one in parameters if one is not None)))
        return query

    def _types(self, pairs: Pairs, among: Collection[str]) -> tuple[str, ...]:
        """The types that `_type` names, else all.  R4 http.html#search"""
        named = {name for key, text in pairs if key == "_type" for name in text.split(",") if name}
        unknown = named - set(self.registry.definitions.resource_types)
        if unknown:
            raise Invalid(f"'{min(unknown)[:40]}' is no resource type of R4.")
        return tuple(sorted(named & set(among) if named else among))

    def _take(self, query: Query, name: str, text: str) -> None:
        control = CONTROLS.get(name.partition(":")[0])
        if control is not None:
            control(self, query, name, text)
        else:
            query.conditions.append(self.condition(query.types, name, text))

    def condition(self, types: tuple[str, ...], name: str, text: str, links: Links | None = None) -> Condition:
        """One parameter with its value, chains and reverse chains followed."""
        links = links or Links()
        if name.startswith("_has:"):
            return self._has(types, name, text, links)
        if name == "_list":
            return self._list(types, text)
        if name == "_filter":
            return filtering(self, types, read_filter(text), links)
        first, dot, rest = name.partition(".")
        code, _, modifier = first.partition(":")
        parameter = self.parameter(types, code)
        if dot:
            return self._chain(parameter, modifier, lambda targets, on: self.condition(targets, rest, text, on), links)
        if modifier == "missing" and parameter.type != WORDS:
            return Missing(parameter, _boolean(text))
        self._check_modifier(parameter, modifier)
        if parameter.type == WORDS:
            return wanted_words(parameter, text)
        parts = split(text, ",")
        if parameter.type == "token" and modifier in (*BY_SET, *BY_HIERARCHY):
            meant = (tokens(self.terminology, modifier, unescape(part), literal=parameter.literal) for part in parts)
            return Clause(parameter, "not" if modifier == "not-in" else None, tuple(itertools.chain(*meant)))
        values = tuple(parse_value(parameter, modifier or None, part, self.base_url) for part in parts)
        return Clause(parameter, modifier or None, values)

    def parameter(self, types: tuple[str, ...], code: str) -> Parameter:
        """The parameter of that name that all the types have; raises UnknownParameter."""
        found = self.registry.shared(types).get(code) if types else None
        if found is None:
            raise UnknownParameter(types, code, NOT_SUPPORTED.get(code, ""))
        if any((part.resource_type, part.indexed_as) in self.registry.waiting for part in found.everywhere):
            raise UnknownParameter(types, code, "is not indexed yet: `konsil fhir reindex` does it")
        return found

    def _check_modifier(self, parameter: Parameter, modifier: str) -> None:
        if modifier == "of-type" and OF_TYPE not in parameter.suffixes:
            raise Invalid(f"The modifier :of-type is for identifiers, which {parameter.code} is not.")
        if not modifier or modifier in MODIFIERS[parameter.type]:
            return
        if parameter.type == "reference" and modifier in self.registry.definitions.resource_types:
            return
        raise Invalid(f"The modifier :{modifier} is not supported for {parameter.code} ({parameter.type}).")

    def along(self, types: tuple[str, ...], name: str, inner: Inner, links: Links) -> Condition:
        """A condition on what a reference leads to, for a filter within a path."""
        code, _, type_ = name.partition(":")
        return self._chain(self.parameter(types, code), type_, inner, links)

    def _chain(self, parameter: Parameter, type_: str, inner: Inner, links: Links) -> Condition:
        if parameter.type != "reference":
            raise Invalid(f"{parameter.code} is not a reference: nothing can be chained to it.")
        candidates = (type_,) if type_ else parameter.targets or tuple(sorted(self.registry.definitions.resource_types))
        targets: list[tuple[str, Condition]] = []
        for candidate in candidates:
            links.top.tried += 1
            try:
                targets.append((candidate, inner((candidate,), links.deeper())))
            except UnknownParameter:
                continue
            links.top.kept += 1
        if not targets:
            raise UnknownParameter((parameter.resource_type,), f"{parameter.code} in a chain")
        return Chain(parameter, tuple(targets))

    def _has(self, types: tuple[str, ...], name: str, text: str, links: Links) -> Condition:
        parts = name.split(":", 3)
        if len(parts) != 4:
            raise Invalid("_has is written _has:Type:reference:parameter.")
        _, source, code, rest = parts
        parameter = self._reference(source, code)
        return Has(types, parameter, self.condition((source,), rest, text, links.deeper()))

    def type_of(self, types: tuple[str, ...], path: str) -> str:
        """The type of the parameter at the end of a chain. Raises UnknownParameter."""
        if path.startswith("_has:") and path.count(":") > 2:
            _, source, _, rest = path.split(":", 3)
            return self.type_of((source,), rest)
        first, dot, rest = path.partition(".")
        code, _, type_ = first.partition(":")
        parameter = self.parameter(types, code)
        for target in ((type_,) if type_ else parameter.targets) if dot else ():
            with suppress(UnknownParameter):
                return self.type_of((target,), rest)
        if dot:
            raise UnknownParameter(types, path)
        return parameter.type

    def _list(self, types: tuple[str, ...], text: str) -> Condition:
        """`_list=42`: what List/42 has as its items.  R4 search.html#list"""
        ids = text.split(",")
        if text.startswith("$"):
            conditions = functional_list(types, text)
            return Logic("and", tuple(self.condition(types, name, value) for name, value in conditions))
        codes = tuple(TokenValue(None, id_.removeprefix("List/")) for id_ in ids)
        return Has(types, self.parameter(("List",), "item"), Clause(self.parameter(("List",), "_id"), None, codes))

    def sort(self, query: Query, name: str, text: str) -> None:
        """`_sort=a,-b`."""
        for part in text.split(","):
            code = part.removeprefix("-")
            parameter = self.parameter(query.types, code)
            if parameter.type in {"composite", WORDS}:
                raise Invalid(f"{code} has no order.")
            query.sort.append(Sort(parameter, part.startswith("-")))

    def include(self, query: Query, name: str, text: str) -> None:
        """`_include=Type:parameter:Target` and `_revinclude`, each perhaps with :iterate."""
        kind, _, modifier = name.partition(":")
        if modifier not in {"", "iterate", "recurse"}:
            raise Invalid(f"The modifier :{modifier} is not supported for {kind}.")
        reverse = kind == "_revinclude"
        if text == "*":
            source = None if reverse else query.resource_type
            query.includes.append(Include(source, None, None, bool(modifier), reverse))
            return
        parts = text.split(":")
        if not 2 <= len(parts) <= 3:
            raise Invalid(f"{kind} is written Type:parameter or Type:parameter:Target.")
        target = parts[2] if len(parts) == 3 else None
        parameter = None if parts[1] == "*" else self._reference(parts[0], parts[1])
        for name in (parts[0], target or parts[0]):
            if name not in self.registry.definitions.resource_types:
                raise Invalid(f"'{name[:40]}' is no resource type of R4.")
        query.includes.append(Include(parts[0], parameter, target, bool(modifier), reverse))

    def _reference(self, source: str, code: str) -> Parameter:
        parameter = self.parameter((source,), code)
        if parameter.type != "reference":
            raise Invalid(f"{source}.{code} is not a reference.")
        return parameter

    def count(self, query: Query, name: str, text: str) -> None:
        """`_count`; 0 asks for the number of matches only.  R4 search.html#count"""
        if not text.isascii() or not text.isdigit():
            raise Invalid("_count is a whole number.")
        query.count = min(int(text[:MAX_COUNT_DIGITS]) if text.strip("0") else 0, self.max_page_size)
        if query.count == 0:
            query.summary = "count"


class UnknownParameter(Invalid):
    """A search parameter that the type does not have."""

    issue_code = "not-supported"

    def __init__(self, types: tuple[str, ...], name: str, why: str = "") -> None:
        where = " and ".join(types) if len(types) < 4 else "Every type of R4"
        text = f"The search parameter '{name[:100]}' of {where} {why}."
        super().__init__(text if why else f"{where} has no search parameter '{name[:100]}'.")
        self.name = name


def _check_size(pairs: Pairs) -> None:
    """Refuse what no database would take, before it is asked."""
    values = sum(text.count(",") + 1 for _, text in pairs)
    if len(pairs) > MAX_PARAMETERS:
        raise Invalid(f"A search may have {MAX_PARAMETERS} parameters.")
    if values > MAX_VALUES:
        raise Invalid(f"A search may have {MAX_VALUES} values.")
    if any("\0" in name or "\0" in text for name, text in pairs):
        raise Invalid("A parameter holds the character NUL.")


def _boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise Invalid(":missing is true or false.")
    return text == "true"


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> Any:
    if text not in allowed:
        raise Invalid(f"{name} is one of {', '.join(allowed)}.")
    return text


def _total(parser: QueryParser, query: Query, name: str, text: str) -> None:
    query.total = _one_of(name, text, TOTALS)


def _summary(parser: QueryParser, query: Query, name: str, text: str) -> None:
    query.summary = _one_of(name, text, SUMMARIES)


def _elements(parser: QueryParser, query: Query, name: str, text: str) -> None:
    query.elements = tuple(part.rpartition(".")[2] for part in text.split(","))


def _types(parser: QueryParser, query: Query, name: str, text: str) -> None:
    """`_type` has been read already, where several types can be searched."""
    if query.address and not query.address.endswith("*"):
        raise UnknownParameter(query.types, name)


def _cursor(parser: QueryParser, query: Query, name: str, text: str) -> None:
    query.cursor = text


CONTROLS: dict[str, Callable[[QueryParser, Query, str, str], None]] = {
    "_sort": QueryParser.sort,
    "_include": QueryParser.include,
    "_revinclude": QueryParser.include,
    "_count": QueryParser.count,
    "_total": _total,
    "_summary": _summary,
    "_elements": _elements,
    "_cursor": _cursor,
    "_type": _types,
}
