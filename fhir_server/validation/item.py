"""One value of a resource on its way through a profile."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """A value with its FHIR type and its place as FHIRPath; `beside` is what stands beside a primitive."""

    type: str
    value: Any
    place: str
    beside: Any = None
