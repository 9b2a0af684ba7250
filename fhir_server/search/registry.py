"""Which search parameters a resource type has, compiled on first use of the type."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from fhir_server.definitions import Definitions, ParameterDefinition
from fhir_server.fhirpath import Node, compile_path

# Columns of the resource table answer these; they have no index rows.
COLUMNS = {"_id", "_lastUpdated"}
NOT_OFFERED = {"_content", "_text", "_filter", "_query"}
INDEXED_TYPES = {"token", "string", "date", "number", "quantity", "reference", "uri"}

IDENTIFIER = ":identifier"
RESOLVED = re.compile(r"\.where\(resolve\(\) is (\w+)\)")


@dataclass(frozen=True)
class Parameter:
    """A search parameter of one resource type. `literal`: its tokens are compared with case."""

    resource_type: str
    definition: ParameterDefinition
    definitions: Definitions

    @property
    def code(self) -> str:
        """The name in a query."""
        return self.definition.code

    @property
    def type(self) -> str:
        """The SearchParamType."""
        return self.definition.type

    @cached_property
    def literal(self) -> bool:
        """Identifiers, ids and the like are compared as they are, codes without case (R4 search.html#token)."""
        return any(part.strip().endswith(("dentifier", ".id", ".uid", "Id")) for part in self.expression.split("|"))

    @cached_property
    def expression(self) -> str:
        """The branches of the expression that belong to this resource type."""
        branches = [part.strip() for part in self.definition.expression.split("|")]
        own = [part for part in branches if part.lstrip("(").startswith((f"{self.resource_type}.", "Resource."))]
        return " | ".join(own or branches)

    @cached_property
    def evaluate(self) -> Callable[..., list[Node]]:
        """The expression as a function of the resource."""
        return compile_path(self.expression, self.resource_type, self.definitions)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The types that a reference may point to, as the expression narrows them."""
        narrowed = RESOLVED.findall(self.expression)
        branches = self.expression.count("|") + 1
        return tuple(dict.fromkeys(narrowed)) if len(narrowed) == branches else self.definition.target


class Registry:
    """All search parameters that this server offers, by resource type and code."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._types: dict[str, Mapping[str, Parameter]] = {}

    def of(self, resource_type: str) -> Mapping[str, Parameter]:
        """The parameters of a type by code; empty for an unknown type."""
        found = self._types.get(resource_type)
        if found is None:
            definitions = self.definitions.parameters_by_type.get(resource_type, ())
            found = self._types[resource_type] = {
                definition.code: Parameter(resource_type, definition, self.definitions)
                for definition in definitions
                if _offered(definition)
            }
        return found

    def kinds(self, resource_type: str) -> set[str]:
        """The kinds of index rows that a type can have; references with an identifier make tokens."""
        kinds = {parameter.type for code, parameter in self.of(resource_type).items() if code not in COLUMNS}
        return kinds | {"token"} if "reference" in kinds else kinds

    def codes(self) -> list[tuple[str, str, str]]:
        """Every (resource type, code, expression) that has index rows, those of `:identifier` among them."""
        rows = []
        for resource_type in sorted(self.definitions.resource_types):
            for code, parameter in sorted(self.of(resource_type).items()):
                if code not in COLUMNS:
                    rows.append((resource_type, code, parameter.definition.expression))
                if parameter.type == "reference":
                    rows.append((resource_type, code + IDENTIFIER, parameter.definition.expression))
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
