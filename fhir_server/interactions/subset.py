"""Parts of resources: `_summary` and `_elements`.  https://hl7.org/fhir/R4/search.html#summary"""

from typing import Any

from fhir_server import wire
from fhir_server.definitions import Definitions
from fhir_server.search.query import Query

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "subsetted",
}
ALWAYS = {"resourceType", "id", "meta"}


def subset(content: bytes, query: Query, definitions: Definitions) -> bytes:
    """The part that the query asks for, marked SUBSETTED; the bytes themselves when it asks for all."""
    if query.summary == "false" and not query.elements:
        return content
    resource = wire.loads(content)
    keys = definitions.keys(resource["resourceType"])
    kept = {key: value for key, value in resource.items() if _wanted(key, query, keys)}
    meta = dict(kept.get("meta") or {})
    meta["tag"] = [*meta.get("tag", ()), SUBSETTED]
    return wire.dumps({**kept, "meta": meta})


def _wanted(key: str, query: Query, keys: Any) -> bool:
    if key in ALWAYS:
        return True
    element = keys.get(key.removeprefix("_"))
    if element is None:
        return False
    if query.elements:
        return bool(element.required or element.name in query.elements)
    if query.summary == "true":
        return bool(element.summary)
    if query.summary == "text":
        return bool(element.required or element.name == "text")
    return bool(element.name != "text")
