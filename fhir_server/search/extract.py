"""Index rows out of a resource.  https://hl7.org/fhir/R4/search.html#ptypes

Pure: (parameter, FHIR type, value) to typed rows. What cannot be read (a malformed date, say) gives no row: checking a
resource is the work of validation.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.errors import Invalid
from fhir_server.search.dates import EARLIEST, LATEST, date_range
from fhir_server.search.hashing import hash64
from fhir_server.search.registry import COLUMNS, IDENTIFIER, Parameter, Registry

# System of an element of type `code`: its binding implies the system, so any system in a query matches.
IMPLIED_SYSTEM = "*"
CURRENCY = "urn:iso:std:iso:4217"
STRING_LENGTH = 200
URI_LENGTH = 600
LOCAL_REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z")
MARKS = re.compile("[\u0300-\u036f]")
SPACES = re.compile(r"\s+")

Row = dict[str, Any]
Rows = Iterator[Row]
MAIN_DATE = "date"


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

    def extract(self, resource: dict[str, Any]) -> Extracted:
        """Every index row of the resource."""
        resource_type = resource["resourceType"]
        result = Extracted()
        node = (resource_type, resource)
        for code, parameter in self.registry.of(resource_type).items():
            if code in COLUMNS:
                continue
            for type_, value in parameter.evaluate(node):
                for row in self._rows(parameter, type_, value):
                    table = row.pop("table", parameter.type)
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

    def _rows(self, parameter: Parameter, type_: str, value: Any) -> Rows:
        if parameter.type == "reference":
            yield from self._reference_rows(parameter, type_, value)
            return
        for row in READERS[parameter.type](parameter, type_, value):
            row["parameter"] = parameter.code
            yield row

    def _reference_rows(self, parameter: Parameter, type_: str, value: Any) -> Rows:
        if type_ == "Reference":
            text = value.get("reference")
            for row in _identifier_rows(value.get("identifier")):
                yield {"table": "token", "parameter": parameter.code + IDENTIFIER, **row}
        else:
            text = value if isinstance(value, str) else None
        if isinstance(text, str) and text and not text.startswith("#"):
            yield {"parameter": parameter.code, **self.reference(text)}

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


def _distinct(rows: list[Row]) -> list[Row]:
    return list({tuple(row.values()): row for row in rows}.values())


def normalized(text: str) -> str:
    """Text as strings are compared: without case, accents and repeated spaces.  R4 search.html#string"""
    plain = MARKS.sub("", unicodedata.normalize("NFKD", text)).casefold()
    return SPACES.sub(" ", unicodedata.normalize("NFC", plain)).strip()


def token_text(code: str, *, literal: bool) -> str:
    """A code as it is compared."""
    return code if literal else code.casefold()


def _token(system: str, code: Any, *, literal: bool) -> Row:
    text = token_text(str(code), literal=literal)
    return {"code_hash": hash64(text), "system": system, "code": text}


def _token_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if type_ == "CodeableConcept":
        for coding in value.get("coding", ()):
            yield from _token_rows(parameter, "Coding", coding)
    elif type_ in {"Coding", "Identifier", "ContactPoint"}:
        code = value.get("code" if type_ == "Coding" else "value")
        system = "" if type_ == "ContactPoint" else value.get("system") or ""
        if code is not None or system:
            yield _token(system, code or "", literal=parameter.literal)
    elif isinstance(value, bool):
        yield _token(IMPLIED_SYSTEM, "true" if value else "false", literal=parameter.literal)
    elif isinstance(value, str):
        yield _token(IMPLIED_SYSTEM if type_ == "code" else "", value, literal=parameter.literal)


def _identifier_rows(identifier: Any) -> Rows:
    if isinstance(identifier, dict) and identifier.get("value"):
        yield _token(identifier.get("system") or "", identifier["value"], literal=True)


STRING_PARTS = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
    "CodeableConcept": ("text",),
    "Annotation": ("text",),
}


def _string_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if isinstance(value, dict):
        parts = STRING_PARTS.get(type_, ("value",))
        found = [item for part in parts for item in _listed(value.get(part))]
    else:
        found = [value]
    for text in found:
        if isinstance(text, str) and text:
            yield {"value": normalized(text)[:STRING_LENGTH], "exact": text}


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _date_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    try:
        if isinstance(value, str):
            low, high = date_range(value)
            yield {"low": low, "high": high}
        elif type_ == "Period":
            yield _period(value)
        elif type_ == "Timing":
            yield from _timing_rows(value)
    except Invalid:
        return


def _period(value: dict[str, Any]) -> Row:
    start, end = value.get("start"), value.get("end")
    return {"low": date_range(start)[0] if start else EARLIEST, "high": date_range(end)[1] if end else LATEST}


def _timing_rows(value: dict[str, Any]) -> Rows:
    for event in value.get("event", ()):
        low, high = date_range(event)
        yield {"low": low, "high": high}
    bounds = value.get("repeat", {}).get("boundsPeriod")
    if bounds:
        yield _period(bounds)


def _number_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if isinstance(value, bool | str | dict):
        return
    yield {"low": float(value), "high": float(value)}


def _quantity_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if not isinstance(value, dict):
        return
    if type_ == "Range":
        low, high = value.get("low", {}), value.get("high", {})
        yield _quantity(low or high, low.get("value"), high.get("value"))
    elif type_ == "Money":
        code = value.get("currency", "")
        yield _quantity({"system": CURRENCY, "code": code}, value.get("value"), value.get("value"))
    elif value.get("value") is not None:
        yield _quantity(value, value["value"], value["value"])


def _quantity(unit: dict[str, Any], low: Any, high: Any) -> Row:
    code = unit.get("code") or ""
    return {
        "code_hash": hash64(code),
        "system": unit.get("system") or "",
        "code": code,
        "unit": unit.get("unit") or "",
        "low": float("-inf") if low is None else float(low),
        "high": float("inf") if high is None else float(high),
    }


def _uri_rows(parameter: Parameter, type_: str, value: Any) -> Rows:
    if isinstance(value, str):
        yield {"value": value[:URI_LENGTH]}


READERS: dict[str, Callable[[Parameter, str, Any], Rows]] = {
    "token": _token_rows,
    "string": _string_rows,
    "date": _date_rows,
    "number": _number_rows,
    "quantity": _quantity_rows,
    "uri": _uri_rows,
}
