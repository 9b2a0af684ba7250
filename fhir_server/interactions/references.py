"""References inside a transaction Bundle.  https://hl7.org/fhir/R4/http.html#trules"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.errors import Invalid

URN = re.compile(r"urn:(?:uuid|oid):[A-Za-z0-9.\-]+")
CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?")


def rewrite(value: Any, addresses: Mapping[str, str]) -> Any:
    """A copy in which every string that names an entry (`urn:uuid:...`) names its resource instead.

    Whole strings everywhere: references, uri, url, oid, uuid and canonical elements; inside narrative as attribute
    values.
    """
    kind = value.__class__
    if kind is dict:
        return {key: _rewritten(key, item, addresses) for key, item in value.items()}
    if kind is list:
        return [rewrite(item, addresses) for item in value]
    return addresses.get(value, value) if kind is str else value


def _rewritten(key: str, item: Any, addresses: Mapping[str, str]) -> Any:
    if key == "div":
        return _in_narrative(item, addresses)
    kind = item.__class__
    if kind is str:
        return addresses.get(item, item)
    return rewrite(item, addresses) if kind is dict or kind is list else item


def _in_narrative(text: Any, addresses: Mapping[str, str]) -> Any:
    if not isinstance(text, str):
        return rewrite(text, addresses)
    return URN.sub(lambda found: addresses.get(found.group(), found.group()), text)


def references(value: Any) -> list[str]:
    """The text of every literal reference."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if one.__class__ is dict:
            text = one.get("reference")
            if text.__class__ is str:
                found.append(text)
            one = one.values()
        waiting += [item for item in one if item.__class__ is dict or item.__class__ is list]
    return found


def conditional(resource: Any) -> set[str]:
    """The conditional references of a resource: `Patient?identifier=...`."""
    if resource.__class__ is not dict:
        return set()
    return {text for text in references(resource) if "?" in text and CONDITIONAL.match(text)}


def check_resolved(resource: Any) -> None:
    """Raise Invalid for a reference to an entry that the Bundle does not have; a Bundle to be stored has its own."""
    if resource.get("resourceType") == "Bundle":
        return
    for text in references(resource):
        if text.startswith(("urn:uuid:", "urn:oid:")):
            raise Invalid(f"The Bundle has no entry with fullUrl {text}.")
