"""Parameters of an operation, from the address and from the body.  https://hl7.org/fhir/R4/operations.html#request"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.errors import Invalid

PASSED_OVER = {"_format", "_pretty"}
# Types of what operations take in the address, where it is not a string.
PRIMITIVES = {
    "url": "Uri",
    "system": "Uri",
    "source": "Uri",
    "target": "Uri",
    "targetsystem": "Uri",
    "exclude-system": "Canonical",
    "system-version": "Canonical",
    "check-system-version": "Canonical",
    "force-system-version": "Canonical",
    "date": "DateTime",
    "excludePostCoordinated": "Boolean",
    "code": "Code",
    "codeA": "Code",
    "codeB": "Code",
    "property": "Code",
    "displayLanguage": "Code",
    "offset": "Integer",
    "count": "Integer",
    "abstract": "Boolean",
    "activeOnly": "Boolean",
    "excludeNested": "Boolean",
    "excludeNotForUI": "Boolean",
    "includeDesignations": "Boolean",
    "includeDefinition": "Boolean",
    "reverse": "Boolean",
}
Entry = tuple[str, Any, str | None]


@dataclass(frozen=True, slots=True)
class Parameters:
    """Values by name, in order, with the property that they had (`valueUri`; None: they stood in the address). A
    parameter with parts is its `part` list, a resource is itself."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def of(
        cls, query: Sequence[tuple[str, str]] = (), body: Any = None, name_of_body: str = "resource"
    ) -> "Parameters":
        """Read both. A body that is no Parameters resource is the value of one parameter. Raises Invalid."""
        entries: list[Entry] = [(name, text, None) for name, text in query if name not in PASSED_OVER and text]
        if isinstance(body, dict) and body.get("resourceType") == "Parameters":
            entries.extend(_read(body))
        elif isinstance(body, dict):
            entries.append((name_of_body, body, "resource"))
        elif body is not None:
            raise Invalid("The body of an operation is a resource.")
        return cls(tuple(entries))

    @property
    def names(self) -> set[str]:
        """The names that are there."""
        return {name for name, _, _ in self.entries}

    def all(self, name: str) -> list[Any]:
        """Every value of that name."""
        return [value for known, value, _ in self.entries if known == name]

    def get(self, name: str) -> Any:
        """The one value of that name, or None. Raises Invalid when there are several."""
        found = self.all(name)
        if len(found) > 1:
            raise Invalid(f"The parameter '{name}' may be there once.")
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        """A string, code, uri, date or whatever else is written as text. Raises Invalid."""
        found = self.get(name)
        if found is not None and not isinstance(found, str):
            raise Invalid(f"The parameter '{name}' is text.")
        return found

    def needed(self, name: str) -> str:
        """Like `text`. Raises Invalid where it is missing."""
        found = self.text(name)
        if found is None:
            raise Invalid(f"The parameter '{name}' is missing.")
        return found

    def flag(self, name: str) -> bool | None:
        """A boolean. Raises Invalid."""
        found = self.get(name)
        if found in ("true", "false"):
            return bool(found == "true")
        if found is not None and not isinstance(found, bool):
            raise Invalid(f"The parameter '{name}' is true or false.")
        return found

    def number(self, name: str) -> int | None:
        """A whole number of zero or more. Raises Invalid."""
        found = self.get(name)
        if found is None:
            return None
        text = str(found)
        if isinstance(found, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Invalid(f"The parameter '{name}' is a whole number.")
        return int(text)

    def object(self, name: str, resource_type: str | None = None) -> dict[str, Any] | None:
        """A Coding, CodeableConcept or the like, or a resource of that type. Raises Invalid."""
        found = self.get(name)
        if found is None:
            return None
        if not isinstance(found, dict) or (resource_type and found.get("resourceType") != resource_type):
            raise Invalid(f"The parameter '{name}' is {resource_type or 'an object'}.")
        return found


def _read(body: dict[str, Any]) -> Iterator[Entry]:
    """`Parameters.parameter`; one without a value is left out."""
    entries = body.get("parameter", [])
    for entry in entries if isinstance(entries, list) else [None]:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise Invalid("Every parameter has a name.")
        for key, value in entry.items():
            if key.startswith("value") or key in {"resource", "part"}:
                yield entry["name"], value, key


def parameters_resource(*parameters: dict[str, Any] | None) -> dict[str, Any]:
    """A Parameters resource of the parameters that are not None.  https://hl7.org/fhir/R4/parameters.html"""
    found = [one for one in parameters if one is not None]
    return {"resourceType": "Parameters"} | ({"parameter": found} if found else {})


def parameter(name: str, type_: str, value: Any) -> dict[str, Any] | None:
    """One parameter, `type_` as in `valueString`; None for a value of None."""
    return None if value is None else {"name": name, f"value{type_}": value}
