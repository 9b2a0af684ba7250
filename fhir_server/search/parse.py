"""Query string to `Query`.  https://hl7.org/fhir/R4/search.html

Nothing is silently dropped: an unknown parameter, modifier or value raises Invalid; with `Prefer: handling=lenient`
unknown parameters are left out and named in `Query.ignored`.
"""

from collections.abc import Callable
from typing import Any

from fhir_server.errors import Invalid
from fhir_server.search.query import Chain, Clause, Condition, Has, Include, Missing, Pairs, Query, Sort
from fhir_server.search.registry import Parameter, Registry
from fhir_server.search.values import parse_value, split

MODIFIERS = {
    "string": {"exact", "contains"},
    "token": {"not"},
    "reference": {"identifier"},
    "uri": {"below", "above"},
    "date": set(),
    "number": set(),
    "quantity": set(),
}
PASSED_OVER = {"_format", "_pretty"}
MAX_CHAIN = 5
MAX_VALUES = 2000
TOTALS = ("none", "estimate", "accurate")
SUMMARIES = ("true", "text", "data", "count", "false")


class QueryParser:
    """Parses for one server."""

    def __init__(self, registry: Registry, base_url: str, page_size: int = 50, max_page_size: int = 1000) -> None:
        self.registry = registry
        self.base_url = base_url
        self.page_size = page_size
        self.max_page_size = max_page_size

    def parse(self, resource_type: str, pairs: Pairs, *, lenient: bool = False) -> Query:
        """Read all pairs. Raises Invalid."""
        _check_size(pairs)
        query = Query(resource_type, count=self.page_size)
        for name, text in pairs:
            if name in PASSED_OVER or text == "":
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

    def _take(self, query: Query, name: str, text: str) -> None:
        control = CONTROLS.get(name.partition(":")[0])
        if control is not None:
            control(self, query, name, text)
        else:
            query.conditions.append(self.condition(query.resource_type, name, text))

    def condition(self, resource_type: str, name: str, text: str, depth: int = 0) -> Condition:
        """One parameter with its value, chains and reverse chains followed."""
        if depth > MAX_CHAIN:
            raise Invalid(f"A chain may have at most {MAX_CHAIN} links.")
        if name.startswith("_has:"):
            return self._has(resource_type, name, text, depth)
        first, dot, rest = name.partition(".")
        code, _, modifier = first.partition(":")
        parameter = self.parameter(resource_type, code)
        if dot:
            return self._chain(parameter, modifier, (rest, text), depth)
        if modifier == "missing":
            return Missing(parameter, _boolean(text))
        self._check_modifier(parameter, modifier)
        values = tuple(parse_value(parameter, modifier or None, part, self.base_url) for part in split(text, ","))
        return Clause(parameter, modifier or None, values)

    def parameter(self, resource_type: str, code: str) -> Parameter:
        """The parameter of that name; raises UnknownParameter."""
        found = self.registry.of(resource_type).get(code)
        if found is None:
            raise UnknownParameter(resource_type, code)
        return found

    def _check_modifier(self, parameter: Parameter, modifier: str) -> None:
        if not modifier or modifier in MODIFIERS[parameter.type]:
            return
        if parameter.type == "reference" and modifier in self.registry.definitions.resource_types:
            return
        raise Invalid(f"The modifier :{modifier} is not supported for {parameter.code} ({parameter.type}).")

    def _chain(self, parameter: Parameter, type_: str, condition: tuple[str, str], depth: int) -> Condition:
        if parameter.type != "reference":
            raise Invalid(f"{parameter.code} is not a reference: nothing can be chained to it.")
        candidates = (type_,) if type_ else parameter.targets or tuple(sorted(self.registry.definitions.resource_types))
        targets: list[tuple[str, Condition]] = []
        for candidate in candidates:
            try:
                targets.append((candidate, self.condition(candidate, *condition, depth + 1)))
            except UnknownParameter:
                continue
        if not targets:
            raise UnknownParameter(parameter.resource_type, f"{parameter.code}.{condition[0]}")
        return Chain(parameter, tuple(targets))

    def _has(self, resource_type: str, name: str, text: str, depth: int) -> Condition:
        parts = name.split(":", 3)
        if len(parts) != 4:
            raise Invalid("_has is written _has:Type:reference:parameter.")
        _, source, code, rest = parts
        parameter = self.parameter(source, code)
        if parameter.type != "reference":
            raise Invalid(f"{source}.{code} is not a reference.")
        return Has(resource_type, parameter, self.condition(source, rest, text, depth + 1))

    def sort(self, query: Query, name: str, text: str) -> None:
        """`_sort=a,-b`."""
        for part in text.split(","):
            code = part.removeprefix("-")
            parameter = self.parameter(query.resource_type, code)
            query.sort.append(Sort(parameter, part.startswith("-")))

    def include(self, query: Query, name: str, text: str) -> None:
        """`_include=Type:parameter:Target` and `_revinclude`, each perhaps with :iterate."""
        kind, _, modifier = name.partition(":")
        if modifier not in {"", "iterate", "recurse"}:
            raise Invalid(f"The modifier :{modifier} is not supported for {kind}.")
        parts = text.split(":")
        if text != "*" and not 2 <= len(parts) <= 3:
            raise Invalid(f"{kind} is written Type:parameter or Type:parameter:Target.")
        source = query.resource_type if text == "*" else parts[0]
        parameter = None
        if parts[-1] != "*":
            parameter = self.parameter(source, parts[1])
            if parameter.type != "reference":
                raise Invalid(f"{source}.{parts[1]} is not a reference.")
        target = parts[2] if len(parts) == 3 else None
        query.includes.append(Include(source, parameter, target, bool(modifier), kind == "_revinclude"))

    def count(self, query: Query, name: str, text: str) -> None:
        """`_count`; 0 asks for the number of matches only.  R4 search.html#count"""
        if not text.isascii() or not text.isdigit():
            raise Invalid("_count is a whole number.")
        query.count = min(int(text), self.max_page_size)
        if query.count == 0:
            query.summary = "count"


class UnknownParameter(Invalid):
    """A search parameter that the type does not have."""

    issue_code = "not-supported"

    def __init__(self, resource_type: str, name: str) -> None:
        super().__init__(f"{resource_type} has no search parameter '{name}'.")
        self.name = name


def _check_size(pairs: Pairs) -> None:
    """Refuse what no database would take, before it is asked."""
    values = sum(text.count(",") + 1 for _, text in pairs)
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
}
