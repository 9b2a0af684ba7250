"""References inside a transaction Bundle.  https://hl7.org/fhir/R4/http.html#trules"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.errors import Invalid

URN = re.compile(r"urn:(?:uuid|oid):[A-Za-z0-9.\-]+")
CONDITIONAL = re.compile(r"[A-Z][A-Za-z]+\?")


def rewrite(value: Any, addresses: Mapping[str, str], left: list[str]) -> Any:
    """The value with every string that names an entry (`urn:uuid:...`) naming its resource instead.

    Whole strings everywhere: references, uri, url, oid, uuid and canonical elements; inside narrative as attribute
    values. What names nothing is not copied. Literal references that may mean something else, to entries that are not
    there and conditional ones, go to `left`.
    """
    if value.__class__ is dict:
        return _in_object(value, addresses, left)
    if value.__class__ is list:
        items = [rewrite(item, addresses, left) for item in value]
        return items if any(map(_differ, items, value)) else value
    return addresses.get(value, value) if value.__class__ is str else value


def _differ(one: Any, other: Any) -> bool:
    return one is not other


def _in_object(value: dict[str, Any], addresses: Mapping[str, str], left: list[str]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, item in value.items():
        kind = item.__class__
        if kind is str:
            new = addresses.get(item, item) if key != "div" else _in_narrative(item, addresses)
            if key == "reference" and new is item and (item[:4] == "urn:" or "?" in item):
                left.append(item)
        elif kind is dict or kind is list:
            new = rewrite(item, addresses, left)
        else:
            continue
        if new is not item:
            changed[key] = new
    return {**value, **changed} if changed else value


def _in_narrative(text: str, addresses: Mapping[str, str]) -> str:
    if "urn:" not in text:
        return text
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


def conditional(left: Iterable[str]) -> set[str]:
    """The conditional references among these: `Patient?identifier=...`."""
    return {text for text in left if CONDITIONAL.match(text)}


def check_resolved(resource: Any, left: Iterable[str]) -> None:
    """Raise Invalid for a reference to an entry that the Bundle does not have; a Bundle to be stored has its own."""
    if resource.get("resourceType") == "Bundle":
        return
    for text in left:
        if text.startswith(("urn:uuid:", "urn:oid:")):
            raise Invalid(f"The Bundle has no entry with fullUrl {text}.")
