"""A terminology as it was on a date, or with versions of code systems that the caller names.

https://hl7.org/fhir/R4/valueset-operation-expand.html: `date`, `system-version`, `check-system-version` and
`force-system-version`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fhir_server.conformance.canonicals import Entry, split
from fhir_server.errors import Invalid, Unprocessable
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.loaded import not_loaded
from fhir_server.terminology.membership import Terminology, is_unit_of
from fhir_server.terminology.value_set import ValueSet


@dataclass(frozen=True, slots=True)
class Pins:
    """Versions by code system: where none is named, of which no other may be named, and whatever is named; the date,
    and whether what has another date was there by then.
    """

    default: Mapping[str, str] = field(default_factory=dict)
    checked: Mapping[str, str] = field(default_factory=dict)
    forced: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None
    was_there: Callable[[str], bool] | None = None

    def version_of(self, url: str, version: str | None) -> str | None:
        """Which version of a code system is meant where `version` is named. Raises Unprocessable."""
        checked = self.checked.get(url)
        if url in self.forced:
            return self.forced[url]
        if checked is not None and version not in {None, checked}:
            raise Unprocessable(f"Version {version} of {url} is asked for by a value set, and {checked} by the caller.")
        return version or checked or self.default.get(url)


class PinnedTerminology(Terminology):
    """For one call. Raises NotLoaded for a version that is named and not here, Unprocessable for a time too early."""

    def __init__(self, terminology: Terminology, pins: Pins) -> None:
        super().__init__(terminology.canonicals, is_unit_of(terminology))
        self._pins = pins

    def value_set(self, canonical: str) -> ValueSet | None:
        """The value set of a canonical as it was."""
        if self._pins.was_there is None:
            return super().value_set(canonical)
        found = self._as_it_was(canonical, "ValueSet", self._pins.was_there)
        return None if found is None else ValueSet(self.canonicals.read(found))

    def code_system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """The code system in the version that is pinned, or as it was."""
        meant = self._pins.version_of(url, version)
        if self._pins.was_there is not None:
            found = self._as_it_was(f"{url}|{meant}" if meant else url, "CodeSystem", self._pins.was_there)
            meant = found.version if found is not None else meant
        system = super().code_system(url, meant)
        if system is None and meant != version:
            raise not_loaded("code system", f"{url}|{meant}")
        return system

    def _as_it_was(self, canonical: str, resource_type: str, was_there: Callable[[str], bool]) -> Entry | None:
        """The newest definition that was there. Raises Unprocessable where all are later or without a date."""
        known = self.canonicals.candidates(canonical, resource_type)
        dated = (entry for entry in known if was_there(str(self.canonicals.read(entry).get("date", ""))))
        found = max(dated, key=lambda entry: entry.order, default=None)
        if known and found is None:
            raise Unprocessable(f"No definition of {canonical[:200]} is known here from {self._pins.date} or before.")
        return found


def versions(canonicals: list[str]) -> dict[str, str]:
    """`system|version` by system. Raises Invalid."""
    pairs = [split(canonical) for canonical in canonicals]
    if not all(url and version for url, version in pairs) or len(dict(pairs)) < len(pairs):
        raise Invalid("A version of a code system is written system|version, once for each system.")
    return dict(pairs)
