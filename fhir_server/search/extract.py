"""Index rows out of a resource.  https://hl7.org/fhir/R4/search.html#ptypes"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from fhir_server.fhirpath import model_of
from fhir_server.search.dates import EARLIEST
from fhir_server.search.plan import Found, Plan, Planner
from fhir_server.search.readers import References, Row
from fhir_server.search.registry import COLUMNS, CONTENT, WORDS, Parameter, Registry
from fhir_server.search.words import whole_texts

MAIN_DATE = "date"
# Where the columns of a reference's row are.
TARGET_TYPE, TARGET_ID = 1, 2

Rows = dict[str, list[tuple[str, Row]]]


@dataclass(slots=True)
class Extracted:
    """All index rows of one resource version by parameter type, its patient and its main date.

    Each row with the code of its parameter; it has the columns that `ROW_COLUMNS` names, in that order.
    """

    rows: Rows = field(default_factory=dict)
    patient: str | None = None
    moment: int | None = None


@dataclass(slots=True)
class _Known:
    """What is known of a type before its first resource: its plan, whose it is, whether it has a main date, and whether
    its words have an index.
    """

    plan: Plan
    patient: tuple[Parameter, ...]
    dated: bool
    worded: bool


class Extractor:
    """Extracts for one server: references below `base_url` are local ones."""

    def __init__(self, registry: Registry, base_url: str) -> None:
        self.registry = registry
        self.planner = Planner(model_of(registry.definitions), References(base_url.rstrip("/") + "/"))
        self._generation = registry.generation
        self._known: dict[tuple[str, frozenset[str] | None], _Known] = {}

    def extract(self, resource: dict[str, Any], only: frozenset[str] | None = None) -> Extracted:
        """Every index row of the resource, or those of some parameters."""
        known = self._of(resource["resourceType"], only)
        found: Found = defaultdict(list)
        known.plan.root.walk(resource, resource, found)
        for parameter, reads in known.plan.odd:
            if reads is None or not reads.isdisjoint(resource):
                self.planner.by_engine(parameter, resource, found)
        result = Extracted({table: list(dict.fromkeys(rows)) for table, rows in found.items() if rows})
        if known.worded:
            result.rows[WORDS] = [(CONTENT, whole_texts(resource))]
        result.patient = self._patient(resource, known, result)
        if known.dated:
            dates = [row[0] for code, row in result.rows.get("date", ()) if code == MAIN_DATE]
            result.moment = min(dates, default=EARLIEST)
        return result

    def _of(self, resource_type: str, only: frozenset[str] | None) -> _Known:
        if self._generation != self.registry.generation:
            self._generation = self.registry.generation
            self._known = {}
        key = resource_type, only
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._made(resource_type, only)
        return known

    def _made(self, resource_type: str, only: frozenset[str] | None) -> _Known:
        parameters = self.registry.of(resource_type)
        wanted = [
            parameter
            for code, parameter in parameters.items()
            if code not in COLUMNS and parameter.type != WORDS and (only is None or code in only)
        ]
        plan = self.planner.plan(resource_type, wanted)
        worded = CONTENT in parameters and (only is None or CONTENT in only)
        return _Known(plan, self.registry.patient_parameters(resource_type), MAIN_DATE in parameters, worded)

    def _patient(self, resource: dict[str, Any], known: _Known, extracted: Extracted) -> str | None:
        if resource["resourceType"] == "Patient":
            return str(resource["id"])
        references = extracted.rows.get("reference", ())
        for parameter in known.patient:
            own = [row for code, row in references if code == parameter.code and row[TARGET_TYPE] == "Patient"]
            if own:
                return str((own[0] if len(own) == 1 else self._first(parameter, resource))[TARGET_ID])
        return None

    def _first(self, parameter: Parameter, resource: dict[str, Any]) -> Row:
        """The patient who comes first in the order of the expression, where it names several."""
        found: Found = defaultdict(list)
        self.planner.by_engine(parameter, resource, found)
        return next(row for code, row in found["reference"] if row[TARGET_TYPE] == "Patient")
