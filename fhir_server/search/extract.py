"""Index rows out of a resource.  https://hl7.org/fhir/R4/search.html#ptypes"""

import itertools
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.search.dates import EARLIEST
from fhir_server.search.hashing import hash64
from fhir_server.search.readers import (
    LOCAL_REFERENCE,
    READERS,
    Row,
    identifier_rows,
    of_type_rows,
    string_rows,
    texts,
)
from fhir_server.search.registry import COLUMNS, IDENTIFIER, OF_TYPE, TEXT, Parameter, Registry

MAIN_DATE = "date"
MOST_GROUPS = 1000
# Where a component's columns come from in the row of its own type; a type without hash is stored under 0.
COMPONENT_COLUMNS = {
    "hash": ("code_hash", "target_hash"),
    "system": ("system", "target_type"),
    "code": ("code", "target_id", "value"),
    "low": ("low",),
    "high": ("high",),
    "canonical_low": ("canonical_low", "low"),
    "canonical_high": ("canonical_high", "high"),
}
COMPONENTS = (1, 2, 3)

Tabled = Iterator[tuple[str, Row]]
# What a component selects from a group: several composite parameters have the same one.
Shared = dict[tuple[str, str, int], list[Row]]


@dataclass(slots=True)
class Extracted:
    """All index rows of one resource version by parameter type, its patient and its main date.

    A row has the columns of its table except what is the same for the whole resource; `parameter` holds the code.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    patient: str | None = None
    moment: int | None = None


class Extractor:
    """Extracts for one server: references below `base_url` are local ones."""

    def __init__(self, registry: Registry, base_url: str) -> None:
        self.registry = registry
        self.base_url = base_url.rstrip("/") + "/"

    def extract(self, resource: dict[str, Any], only: Container[str] | None = None) -> Extracted:
        """Every index row of the resource, or those of some parameters."""
        resource_type = resource["resourceType"]
        result = Extracted()
        node = (resource_type, resource)
        shared: Shared = {}
        for code, parameter in self.registry.of(resource_type).items():
            if code in COLUMNS or (only is not None and code not in only):
                continue
            if parameter.reads is None or not parameter.reads.isdisjoint(resource):
                for table, row in self._rows(parameter, node, shared):
                    result.rows.setdefault(table, []).append(row)
        result.patient = self._patient(resource, result)
        dates = [row["low"] for row in result.rows.get("date", ()) if row["parameter"] == MAIN_DATE]
        if MAIN_DATE in self.registry.of(resource_type):
            result.moment = min(dates, default=EARLIEST)
        result.rows = {table: _distinct(rows) for table, rows in result.rows.items()}
        return result

    def _patient(self, resource: dict[str, Any], extracted: Extracted) -> str | None:
        if resource["resourceType"] == "Patient":
            return str(resource["id"])
        references = extracted.rows.get("reference", ())
        for parameter in self.registry.patient_parameters(resource["resourceType"]):
            for row in references:
                if row["parameter"] == parameter.code and row["target_type"] == "Patient":
                    return str(row["target_id"])
        return None

    def _rows(self, parameter: Parameter, resource: Node, shared: Shared) -> Tabled:
        """The rows of one parameter with their tables."""
        code = parameter.code
        for node in parameter.evaluate(resource):
            if parameter.type == "composite":
                for row in self._groups(parameter, node, resource, shared):
                    row["parameter"] = code
                    yield "composite", row
                continue
            for row in self._values(parameter, node):
                row["parameter"] = code
                yield parameter.type, row
            for table, row in _for_modifiers(parameter, node):
                yield table, row

    def _values(self, parameter: Parameter, node: Node) -> Iterator[Row]:
        if parameter.type != "reference":
            return READERS[parameter.type](parameter, *node)
        type_, value = node
        text = value.get("reference") if type_ == "Reference" and isinstance(value, dict) else value
        if not isinstance(text, str) or not text or text.startswith("#"):
            return iter(())
        url, bar, _ = text.partition("|")
        return map(self.reference, (text, url) if bar and type_ == "canonical" else (text,))

    def _groups(self, parameter: Parameter, node: Node, resource: Node, shared: Shared) -> Iterator[Row]:
        """One row for each combination of what the components select in this group."""
        parts: list[list[Row]] = []
        for component in reversed(parameter.components):  # mostly it is the last, the value, that is missing
            key = component.type, component.expression, id(node[1])
            rows = shared.get(key)
            if rows is None:
                found = component.evaluate(node, resource)
                rows = shared[key] = [row for one in found for row in self._values(component, one)]
            if not rows:
                return
            parts.insert(0, rows)
        for group in itertools.islice(itertools.product(*parts), MOST_GROUPS):
            yield _composite(group)

    def reference(self, text: str) -> Row:
        """A literal reference as columns: type and id when it is local, else its URL."""
        match = LOCAL_REFERENCE.match(text.removeprefix(self.base_url))
        if match:
            target_type, target_id = match.groups()
            return {
                "target_hash": hash64(target_type, target_id),
                "target_type": target_type,
                "target_id": target_id,
                "url": None,
            }
        return {"target_hash": hash64(text), "target_type": "", "target_id": "", "url": text}


def _for_modifiers(parameter: Parameter, node: Node) -> Tabled:
    """Rows that only a modifier asks for."""
    type_, value = node
    if parameter.type == "reference" and isinstance(value, dict):
        for row in identifier_rows(value.get("identifier")):
            yield "token", row | {"parameter": parameter.code + IDENTIFIER}
    elif parameter.type == "token":
        for text in texts(type_, value):
            for row in string_rows(text):
                yield "string", row | {"parameter": parameter.code + TEXT}
        if type_ == "Identifier" and OF_TYPE in parameter.suffixes:
            for row in of_type_rows(value):
                yield "token", row | {"parameter": parameter.code + OF_TYPE}


def _composite(group: tuple[Row, ...]) -> Row:
    row = EMPTY.copy()
    for n, part in enumerate(group, 1):
        for column, name in _plan(n, tuple(part)):
            row[column] = part[name]
        if part.get("url") is not None:
            row[f"code_{n}"] = part["url"]
    return row


EMPTY: Row = {f"{column}_{n}": 0 if column == "hash" else None for n in COMPONENTS for column in COMPONENT_COLUMNS}


@lru_cache(maxsize=100)
def _plan(n: int, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Which columns a row with these names fills as component `n`, and from what."""
    wanted = ((column, next((one for one in given if one in names), "")) for column, given in COMPONENT_COLUMNS.items())
    return [(f"{column}_{n}", name) for column, name in wanted if name]


def _distinct(rows: list[Row]) -> list[Row]:
    return list({tuple(row.values()): row for row in rows}.values())
