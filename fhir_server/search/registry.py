"""Which search parameters a resource type has, compiled on first use of the type."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from fhir_server.definitions import Definitions, ParameterDefinition
from fhir_server.fhirpath import Node, compile_path
from fhir_server.search.ucum import Units

# Columns of the resource table answer these; they have no index rows.
COLUMNS = {"_id", "_lastUpdated"}
NOT_OFFERED = {"_content", "_text", "_filter", "_query"}
# Whole texts have an index of their own, where the server keeps it: one row, numbered as the first of them.
CONTENT = "_content"
WHOLE_TEXTS = (CONTENT, "_text")
WORDS = "words"
INDEXED_TYPES = {"token", "string", "date", "number", "quantity", "reference", "uri", "composite", "special"}
# Rows of one parameter that only a modifier asks for are numbered under its code and one of these.
IDENTIFIER = ":identifier"
KEPT = 200
OF_TYPE = ":of-type"
TEXT = ":text"
# Branches that select nothing where the first element is missing: elements, choices, filters, extensions.
SELECTING = re.compile(
    r"\(*(?P<type>[A-Z]\w+)\.(?P<first>\w+)"
    r"(?:\.\w+(?![\w(])|\.where\(resolve\(\) is \w+\)|\.where\([\w.]+\s*=\s*'[^']*'\)|\.extension\('[^']*'\)"
    r"|\.(?:as|ofType)\(\w+\)|\s+as\s+\w+|\))*"
)
# What only says which type of a choice is meant.
BARE = re.compile(r"^\(|\)$|\.(?:as|ofType)\(\w+\)|\s+as\s+\w+")
RESOLVED = re.compile(r"\.where\(resolve\(\) is (\w+)\)")
# How rows of a type are made has changed since they were made first: a number to be raised with the next change.
MADE_ANEW = {"string": 2, "quantity": 2, "uri": 2, "reference": 2, "date": 2, WORDS: 1}
# R4 published the expressions of this parameter's two components the wrong way round.
SWAPPED = {"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"}


@dataclass(frozen=True)
class Parameter:
    """A search parameter of one resource type."""

    resource_type: str
    definition: ParameterDefinition
    registry: "Registry"

    @cached_property
    def code(self) -> str:
        """The name in a query."""
        return self.definition.code

    @cached_property
    def type(self) -> str:
        """The SearchParamType, or what stands for it in the index."""
        return WORDS if self.definition.code in WHOLE_TEXTS else self.definition.type

    @cached_property
    def indexed_as(self) -> str:
        """The code that its index rows are numbered under."""
        return CONTENT if self.type == WORDS else self.code

    @cached_property
    def units(self) -> Units:
        """The units that its quantities may have."""
        return self.registry.units

    @property
    def everywhere(self) -> tuple["Parameter", ...]:
        """The same parameter of each type that is searched together."""
        return (self,)

    @cached_property
    def literal(self) -> bool:
        """Identifiers, ids and the like are compared as they are, codes without case (R4 search.html#token)."""
        return any(part.strip().endswith(("dentifier", ".id", ".uid", "Id")) for part in self.expression.split("|"))

    @cached_property
    def expression(self) -> str:
        """The branches of the expression that belong to this resource type."""
        branches = [part.strip() for part in self.definition.expression.split("|")]
        type_ = self.resource_type
        own = [part for part in branches if part == type_ or part.lstrip("(").startswith((f"{type_}.", "Resource."))]
        return " | ".join(own or branches)

    @cached_property
    def reads(self) -> frozenset[str] | None:
        """The properties of the resource without which it has no value; None where that is not plain to see."""
        found: set[str] = set()
        for branch in self.expression.split("|"):
            match = SELECTING.fullmatch(branch.strip())
            if match is None or match["type"] not in {self.resource_type, "Resource", "DomainResource"}:
                return None
            keys = [
                element.key for element in self.registry.definitions.names(self.resource_type).get(match["first"], ())
            ]
            found.update(keys, (f"_{key}" for key in keys))
        return frozenset(found)

    @cached_property
    def evaluate(self) -> Callable[..., list[Node]]:
        """The expression as a function of the resource, or of a part of it and the resource."""
        return compile_path(self.expression, self.resource_type, self.registry.definitions)

    @cached_property
    def is_single(self) -> bool:
        """Whether a resource has at most one value: an element of its own that does not repeat."""
        paths = {BARE.sub("", branch.strip()) for branch in self.expression.split("|")}
        path = next(iter(paths)).split(".") if len(paths) == 1 else []
        elements = self.registry.definitions.names(self.resource_type).get(path[-1], ()) if len(path) == 2 else ()
        return bool(elements) and not any(element.many for element in elements)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The types that a reference may point to, as the expression narrows them."""
        narrowed = RESOLVED.findall(self.expression)
        branches = self.expression.count("|") + 1
        return tuple(dict.fromkeys(narrowed)) if len(narrowed) == branches else self.definition.target

    @cached_property
    def components(self) -> tuple["Parameter", ...]:
        """The parts of a composite, each evaluated on a group.  https://hl7.org/fhir/R4/searchparameter.html"""
        parts = self.definition.component
        expressions = [expression for _, expression in parts]
        if self.definition.url in SWAPPED:
            expressions.reverse()
        return tuple(
            Parameter(self.resource_type, self._component(n, url, expression), self.registry)
            for n, ((url, _), expression) in enumerate(zip(parts, expressions, strict=True), 1)
        )

    def _component(self, n: int, url: str, expression: str) -> ParameterDefinition:
        meant = self.registry.by_url[url]
        return ParameterDefinition(url, f"{self.code}${n}", meant.type, (self.resource_type,), expression, meant.target)

    @property
    def made_from(self) -> str:
        """What its index rows depend on: another text means that they have to be made anew."""
        made_anew = MADE_ANEW.get(self.type)
        return f"{self.definition.expression} ({made_anew})" if made_anew else self.definition.expression

    @cached_property
    def suffixes(self) -> tuple[str, ...]:
        """What its rows are numbered under beside its code, for modifiers."""
        if self.type == "reference":
            return (IDENTIFIER,)
        if self.type == "token":
            return (TEXT, OF_TYPE) if self.definition.expression.rstrip(")").endswith("dentifier") else (TEXT,)
        return ()


@dataclass(frozen=True)
class Shared(Parameter):
    """A parameter that several types have, for a search of them together."""

    parts: tuple[Parameter, ...] = ()

    @property
    def everywhere(self) -> tuple[Parameter, ...]:
        """The same parameter of each type."""
        return self.parts

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Whatever one of them may point to; nothing when one of them may point anywhere."""
        if not all(part.targets for part in self.parts):
            return ()
        return tuple(dict.fromkeys(target for part in self.parts for target in part.targets))


class Registry:
    """All search parameters that this server offers, by resource type and code.

    `custom` are those added at run time; `waiting` what is written for all resources but cannot be searched yet.
    """

    def __init__(self, definitions: Definitions, units: Units | None = None, *, full_text: bool = False) -> None:
        """`full_text`: whole texts are indexed too."""
        self.definitions = definitions
        self.full_text = full_text
        self.units = units or Units()
        self.custom: tuple[ParameterDefinition, ...] = ()
        self.waiting: frozenset[tuple[str, str]] = frozenset()
        self.generation = 0
        self.own_by_url = {definition.url: definition for definition in definitions.parameters}
        self.by_url = self.own_by_url
        self._types: dict[str, Mapping[str, Parameter]] = {}
        self._shared: dict[tuple[str, ...], Mapping[str, Parameter]] = {}

    def renew(self, custom: Iterable[ParameterDefinition], waiting: Iterable[tuple[str, str]]) -> None:
        """Offer these beside R4's own, except those that wait for a reindex."""
        self.custom, self.waiting = tuple(custom), frozenset(waiting)
        self.by_url = self.own_by_url | {definition.url: definition for definition in self.custom}
        self._types.clear()
        self._shared.clear()
        self.generation += 1

    def of(self, resource_type: str) -> Mapping[str, Parameter]:
        """The parameters of a type by code; empty for an unknown type."""
        found = self._types.get(resource_type)
        if found is None:
            definitions = [*self.definitions.parameters_by_type.get(resource_type, ())]
            definitions += [custom for custom in self.custom if resource_type in custom.base]
            found = self._types[resource_type] = {
                definition.code: Parameter(resource_type, definition, self)
                for definition in reversed(definitions)
                if _offered(definition) or (self.full_text and definition.code in WHOLE_TEXTS)
            }
        return found

    def shared(self, resource_types: tuple[str, ...]) -> Mapping[str, Parameter]:
        """The parameters that all of these types have, of the same SearchParamType."""
        if len(resource_types) == 1:
            return self.of(resource_types[0])
        found = self._shared.get(resource_types)
        if found is None:
            if len(self._shared) > KEPT:
                self._shared.clear()
            first = self.of(resource_types[0])
            every = {code: self._everywhere(code, resource_types) for code in first}
            found = self._shared[resource_types] = {
                code: Shared(first[code].resource_type, first[code].definition, self, parts)
                for code, parts in every.items()
                if len(parts) == len(resource_types) and len({part.type for part in parts}) == 1
            }
        return found

    def _everywhere(self, code: str, resource_types: Iterable[str]) -> tuple[Parameter, ...]:
        found = (self.of(resource_type).get(code) for resource_type in resource_types)
        return tuple(parameter for parameter in found if parameter is not None)

    def kinds(self, resource_type: str) -> set[str]:
        """The kinds of index rows that a type can have; modifiers add tokens and strings."""
        kinds = {parameter.type for code, parameter in self.of(resource_type).items() if code not in COLUMNS}
        kinds |= {"token"} if "reference" in kinds else set()
        return kinds | {"string"} if "token" in kinds else kinds

    def codes(self) -> list[tuple[str, str, str]]:
        """Every (resource type, code, expression) that has index rows, those of modifiers among them."""
        rows = []
        for resource_type in sorted(self.definitions.resource_types):
            for code, parameter in sorted(self.of(resource_type).items()):
                codes = (
                    ()
                    if code in COLUMNS or code != parameter.indexed_as
                    else (code, *(code + suffix for suffix in parameter.suffixes))
                )
                rows += [(resource_type, name, parameter.made_from) for name in codes]
        return rows

    def patient_parameters(self, resource_type: str) -> tuple[Parameter, ...]:
        """The parameters that place a resource in a patient's compartment, the leading one first.

        Types outside the R4 compartment (Task) count by their `patient` or `subject`.
        """
        known = self.of(resource_type)
        codes = self.definitions.compartment.get(resource_type) or ()
        ordered = sorted({*codes, "patient", "subject"}, key=lambda code: (code != "patient", code != "subject", code))
        return tuple(known[code] for code in ordered if code in known and known[code].type == "reference")

    def names_the_patient(self, parameter: Parameter) -> bool:
        """Whether a match on Patient/x means that the patient column is x: one element, at most one value."""
        if len(parameter.everywhere) > 1:
            return False
        leading = self.patient_parameters(parameter.resource_type)[:1]
        path = parameter.expression.partition(".where(")[0].split(".")
        if leading != (parameter,) and not (leading and leading[0].expression.startswith(parameter.expression)):
            return False
        elements = self.definitions.names(parameter.resource_type).get(path[-1], ())
        return len(path) == 2 and len(elements) == 1 and not elements[0].many


def _offered(definition: ParameterDefinition) -> bool:
    if definition.code in NOT_OFFERED or definition.type not in INDEXED_TYPES:
        return False
    return bool(definition.expression)
