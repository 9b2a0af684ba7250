"""The case's profiles, value sets, search parameters and states, as data that every program reads."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def load(name: str) -> Any:
    """Read one file of this package, `case-states.json`; the answer is shared, so it must not be changed."""
    return json.loads((files(__name__) / name).read_bytes())


def artefacts() -> Iterator[dict[str, Any]]:
    """Read every FHIR artefact that stands directly in this package (not the examples), in the order of file names."""
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json") and entry.name.partition("-")[0] in ARTEFACT_TYPES:
            yield load(entry.name)


ARTEFACT_TYPES = (
    "CodeSystem",
    "OperationDefinition",
    "Questionnaire",
    "SearchParameter",
    "StructureDefinition",
    "ValueSet",
)
