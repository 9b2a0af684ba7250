"""Parts of resources: `_summary` and `_elements`.  https://hl7.org/fhir/R4/search.html#summary"""

from typing import Any, Protocol

from fhir_server import wire
from fhir_server.definitions import Definitions, Element
from fhir_server.store.binaries import SUBSETTED

ALWAYS = {"resourceType", "id", "meta"}
WHOLE = {"false", "count"}


class Part(Protocol):
    """What is asked for: `_summary`, `_elements`."""

    @property
    def summary(self) -> str:
        """The value of `_summary`, false without one."""

    @property
    def elements(self) -> tuple[str, ...]:
        """The names of `_elements`."""


def subset(content: bytes, part: Part, definitions: Definitions) -> bytes:
    """The part that is asked for, marked SUBSETTED; the bytes themselves when all of it is."""
    if part.summary in WHOLE and not part.elements:
        return content
    resource = wire.loads(content)
    kept = _kept(resource, resource["resourceType"], part, definitions)
    meta = dict(kept.get("meta") or {})
    meta["tag"] = [*meta.get("tag", ()), SUBSETTED]
    return wire.dumps({**kept, "meta": meta})


def _kept(value: dict[str, Any], path: str, part: Part, definitions: Definitions) -> dict[str, Any]:
    """Only what is wanted; below a backbone element of a summary its own elements are asked again."""
    keys, kept = definitions.keys(path), {}
    for key, item in value.items():
        element = keys.get(key.removeprefix("_"))
        if (key in ALWAYS) if "." not in path else (key == "id"):
            kept[key] = item
        elif element is not None and _wanted(element, part):
            kept[key] = _below(item, element, part, definitions)
    return kept


def _below(item: Any, element: Element, part: Part, definitions: Definitions) -> Any:
    if part.elements or part.summary != "true" or "." not in element.type:
        return item
    if isinstance(item, list):
        return [_kept(each, element.type, part, definitions) for each in item]
    return _kept(item, element.type, part, definitions)


def _wanted(element: Element, part: Part) -> bool:
    if part.elements:
        return element.required or element.name in part.elements
    if part.summary == "true":
        return element.summary or element.required
    if part.summary == "text":
        return element.required or element.name == "text"
    return element.name != "text"
