"""`ValueSet/$expand`.  https://hl7.org/fhir/R4/valueset-operation-expand.html"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

from anyio import to_thread

from fhir_server.errors import TooCostly
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import Parameters
from fhir_server.interactions.remote_terminology import with_fallback
from fhir_server.interactions.terminology import PINNING, terminology_of, value_set_of
from fhir_server.search.dates import instant
from fhir_server.search.folding import normalized
from fhir_server.terminology.expansion import Member, expand
from fhir_server.terminology.value_set import ValueSet

KEPT = ("url", "identifier", "version", "name", "title", "status", "experimental", "date", "publisher", "copyright")
ECHOED = {
    "filter": "String",
    "displayLanguage": "Code",
    "activeOnly": "Boolean",
    "excludeNested": "Boolean",
    "excludeNotForUI": "Boolean",
    "excludePostCoordinated": "Boolean",
    "includeDesignations": "Boolean",
    "includeDefinition": "Boolean",
    "date": "DateTime",
    "offset": "Integer",
    "count": "Integer",
}
Contains = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller wants to see of it."""

    words: tuple[str, ...]
    offset: int
    count: int | None
    active_only: bool
    usable_only: bool
    nested: bool
    designations: bool
    uses: tuple[str, ...]
    language: str | None
    without: frozenset[str]

    @classmethod
    def of(cls, parameters: Parameters) -> "Wish":
        """Read it. A page or a filtered list is flat. Raises Invalid."""
        count = parameters.number("count")
        words = tuple(normalized(parameters.text("filter") or "").split())
        flat = count is not None or "offset" in parameters.names or bool(words)
        return cls(
            words,
            parameters.number("offset") or 0,
            count,
            bool(parameters.flag("activeOnly")),
            bool(parameters.flag("excludeNotForUI")),
            not flat and not parameters.flag("excludeNested"),
            bool(parameters.flag("includeDesignations")),
            tuple(str(one) for one in parameters.all("designation")),
            parameters.text("displayLanguage"),
            frozenset(str(one).partition("|")[0] for one in parameters.all("exclude-system")),
        )


async def run(call: Invocation) -> Document:
    """List the codes of a value set.

    `filter`: every word begins a word of the code, the display or a designation, without case and accents. Without
    `count` at most `max_expansion` codes: more raises TooCostly. Raises NotLoaded, NotFound, Invalid, Unprocessable.
    """
    wish = Wish.of(call.parameters)
    value_set = await value_set_of(call)
    found = await to_thread.run_sync(partial(expand, terminology_of(call), value_set))
    chosen = [member for member in found.values() if _is_wanted(member, wish)]
    limit = call.ctx.node.settings.max_expansion
    if wish.count is None and len(chosen) - wish.offset > limit:
        raise TooCostly(f"The value set has {len(chosen)} codes; ask for pages by count (at most {limit} without).")
    end = None if wish.count is None else wish.offset + wish.count
    shown = chosen[wish.offset : end]
    return _document(call, value_set, _contains(shown, wish), (chosen, wish))


def _document(
    call: Invocation, value_set: ValueSet, contains: list[Contains], listed: tuple[Sequence[Member], Wish]
) -> Document:
    chosen, wish = listed
    source = value_set.resource
    whole = bool(call.parameters.flag("includeDefinition"))
    head = {name: value for name, value in source.items() if whole or name in KEPT}
    expansion: Document = {
        "identifier": f"urn:uuid:{uuid4()}",
        "timestamp": instant(call.ctx.now),
        "total": len(chosen),
    }
    if wish.count is not None or wish.offset:
        expansion["offset"] = wish.offset
    expansion["parameter"] = [*_echoed(call.parameters), *_versions(chosen)]
    if contains:
        expansion["contains"] = contains
    expansion = {name: value for name, value in expansion.items() if value != []}
    return {"resourceType": "ValueSet", "status": "active"} | head | {"expansion": expansion}


def _echoed(parameters: Parameters) -> Iterable[Document]:
    for name, type_ in ECHOED.items():
        if name in parameters.names:
            read = {"Boolean": parameters.flag, "Integer": parameters.number}.get(type_, parameters.text)
            yield {"name": name, f"value{type_}": read(name)}
    for name in PINNING[1:]:
        yield from ({"name": name, "valueUri": str(one)} for one in parameters.all(name))


def _versions(members: Iterable[Member]) -> list[Document]:
    """Which versions of the code systems were used."""
    used = {f"{member.system}|{member.version}" for member in members if member.version}
    return [{"name": "version", "valueUri": canonical} for canonical in sorted(used)]


def _is_wanted(member: Member, wish: Wish) -> bool:
    if (wish.active_only and member.inactive) or (wish.usable_only and member.abstract):
        return False
    if member.system in wish.without:
        return False
    return not wish.words or _matches(member, wish.words)


def _matches(member: Member, words: Sequence[str]) -> bool:
    """Whether every word begins one of the member's words."""
    names = [member.code, member.display or "", *(str(one.get("value", "")) for one in member.designations)]
    known = [word for name in names for word in normalized(name).replace("-", " ").replace("/", " ").split()]
    known += [normalized(name) for name in names]
    return all(any(one.startswith(word) for one in known) for word in words)


def _contains(members: Sequence[Member], wish: Wish) -> list[Contains]:
    entries = [_entry(member, wish) for member in members]
    if not wish.nested:
        return entries
    places = {(member.system, member.code): entry for member, entry in zip(members, entries, strict=True)}
    roots: list[Contains] = []
    for member, entry in zip(members, entries, strict=True):
        above = _nearest(member, places)
        (roots if above is None else above.setdefault("contains", [])).append(entry)
    return roots


def _nearest(member: Member, places: Mapping[tuple[str, str], Contains]) -> Contains | None:
    """The entry of a parent, where that is in the expansion too."""
    parents = member.concept.parents if member.concept else ()
    return next((places[member.system, parent] for parent in parents if (member.system, parent) in places), None)


def _entry(member: Member, wish: Wish) -> Contains:
    entry: Contains = {"system": member.system} if member.system else {}
    if member.abstract:
        entry["abstract"] = True
    if member.inactive:
        entry["inactive"] = True
    entry["code"] = member.code
    display = _in_language(member, wish.language) or member.display
    if display:
        entry["display"] = display
    if wish.designations or wish.uses:
        designations = [one for one in member.designations if not wish.uses or _is_of_use(one, wish.uses)]
        entry |= {"designation": designations} if designations else {}
    return entry


def _in_language(member: Member, language: str | None) -> str | None:
    """The designation in a language, `de-CH` also by `de`.  RFC 4647 3.4"""
    while language:
        for one in member.designations:
            if str(one.get("language", "")).lower() == language.lower():
                return str(one.get("value"))
        language = language.rpartition("-")[0]
    return None


def _is_of_use(designation: Mapping[str, Any], uses: Sequence[str]) -> bool:
    """`designation` is a token: a use, or a language by urn:ietf:bcp:47|de."""
    use = designation.get("use", {})
    known = {f"{use.get('system', '')}|{use.get('code')}", str(use.get("code"))}
    known |= {f"urn:ietf:bcp:47|{designation.get('language')}", str(designation.get("language"))}
    return not known.isdisjoint(uses)


OPERATIONS = (
    OperationDefinition(
        "expand",
        with_fallback("expand", run),
        ("ValueSet",),
        levels=("type", "instance"),
        parameters=(
            "url",
            "valueSet",
            "valueSetVersion",
            "context",
            "contextDirection",
            "designation",
            "exclude-system",
            *PINNING[1:],
            *ECHOED,
        ),
        body="valueSet",
    ),
)
