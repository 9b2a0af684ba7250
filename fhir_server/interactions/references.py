"""References inside a transaction Bundle.  https://hl7.org/fhir/R4/http.html#trules"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_server.errors import Invalid

URN = re.compile(r"urn:(?:uuid|oid):[A-Za-z0-9.\-]+")
CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?")


def rewrite(value: Any, addresses: Mapping[str, str]) -> Any:
    """A copy in which every string that names an entry (`urn:uuid:...`) names its resource instead.

    Whole strings everywhere: references, uri, url, oid, uuid and canonical elements; inside narrative as attribute
    values.
    """
    if isinstance(value, dict):
        return {
            key: _in_narrative(item, addresses) if key == "div" else rewrite(item, addresses)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [rewrite(item, addresses) for item in value]
    if isinstance(value, str) and value in addresses:
        return addresses[value]
    return value


def _in_narrative(text: Any, addresses: Mapping[str, str]) -> Any:
    if not isinstance(text, str):
        return rewrite(text, addresses)
    return URN.sub(lambda found: addresses.get(found.group(), found.group()), text)


def references(value: Any) -> Iterator[str]:
    """The text of every literal reference."""
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str):
            yield text
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def conditional(resource: Any) -> set[str]:
    """The conditional references of a resource: `Patient?identifier=...`."""
    return {text for text in references(resource) if CONDITIONAL.match(text)}


def check_resolved(resource: Any) -> None:
    """Raise Invalid for a reference to an entry that the Bundle does not have; a Bundle to be stored has its own."""
    if resource.get("resourceType") == "Bundle":
        return
    for text in references(resource):
        if text.startswith(("urn:uuid:", "urn:oid:")):
            raise Invalid(f"The Bundle has no entry with fullUrl {text}.")
