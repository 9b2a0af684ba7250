"""Search one type.  https://hl7.org/fhir/R4/http.html#search"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from fhir_server import wire
from fhir_server.access.policy import OPEN_TYPES
from fhir_server.context import Context
from fhir_server.errors import Invalid, NotFound
from fhir_server.interactions.bundle import Document, bundle, match_entry, outcome_entry, suppressed_entry
from fhir_server.interactions.cursor import seal, unseal
from fhir_server.interactions.events import INCOMPLETE, listed_for
from fhir_server.interactions.provenance import of_includes, of_search
from fhir_server.interactions.subset import subset
from fhir_server.search.positions import Point, metres_between, point
from fhir_server.search.query import Include, Pairs, Query
from fhir_server.search.ucum import SYSTEM as UCUM
from fhir_server.store.repository import Page, Repository, Version
from fhir_server.store.rows import next_row_id

MAX_ROUNDS = 4
DISTANCE = "http://hl7.org/fhir/StructureDefinition/location-distance"


async def search_type(
    ctx: Context, resource_type: str, pairs: Pairs, *, lenient: bool = False, store: Repository | None = None
) -> Document:
    """Search one resource type.

    Unknown parameters raise Invalid, unless `lenient`: then they are left out of the `self` link and named in an
    OperationOutcome entry. At most `_count` matches (default 50, cap 1000) plus includes. `total` counts matches
    only; it is there when it was asked for or is known without counting. Raises Invalid, Forbidden.
    """
    await ctx.node.stored_canonicals.refresh()
    query = ctx.node.parser.parse(resource_type, pairs, lenient=lenient)
    return await answer(ctx, query, store or ctx.store)


async def search_system(ctx: Context, pairs: Pairs, *, lenient: bool = False) -> Document:
    """Search all types, or those of `_type`, by the parameters that they share.  R4 http.html#search"""
    await ctx.node.stored_canonicals.refresh()
    return await answer(ctx, ctx.node.parser.parse(None, pairs, lenient=lenient), ctx.store)


async def search_compartment(
    ctx: Context, compartment: tuple[str, str], resource_type: str, pairs: Pairs, *, lenient: bool = False
) -> Document:
    """Search one type, or (`*`) all, of what belongs to a patient, encounter, practitioner, device or related person.

    https://hl7.org/fhir/R4/http.html#vsearch  Raises NotFound for what is no compartment, Invalid, Forbidden.
    """
    if compartment[0] not in ctx.node.definitions.compartments:
        raise NotFound(f"There is no compartment of a {compartment[0]}.")
    await ctx.node.stored_canonicals.refresh()
    name = None if resource_type == "*" else resource_type
    query = ctx.node.parser.parse(name, pairs, lenient=lenient, compartment=compartment)
    return await answer(ctx, query, ctx.store)


async def answer(ctx: Context, query: Query, repository: Repository) -> Document:
    """The page of a parsed search. Raises Invalid, Forbidden."""
    complete = await listed_for(ctx, query, repository)
    found = await _answer(ctx, query, repository)
    if not complete:
        found.setdefault("entry", []).append(outcome_entry(INCOMPLETE))
    return found


async def _answer(ctx: Context, query: Query, repository: Repository) -> Document:
    made = await of_search(ctx, query) if query.resource_type == "Provenance" else []
    if query.summary == "count":
        counted = await repository.count(query) + len(made)
        return bundle("searchset", _warnings(ctx, query), [("self", _url(ctx, query))], counted)
    after, ceiling = _place(ctx, query)
    page = await repository.search(query, after, None if after is None else ceiling)
    included = await _included(ctx, repository, query, page.matches)
    included += await of_includes(ctx, query.includes, page.matches)
    shown = page.matches if page.more else [*page.matches, *made]
    entries = [_entry(ctx, query, version, "match") for version in shown]
    entries += [_entry(ctx, query, version, "include") for version in included]
    total = await _total(repository, query, page, first=after is None)
    total = None if total is None else total + len(made)
    return bundle("searchset", entries + _warnings(ctx, query), _links(ctx, query, page, ceiling), total)


def _place(ctx: Context, query: Query) -> tuple[Sequence[Any] | None, int]:
    """Where this page starts, and the last resource that existed when the first page was read."""
    if query.cursor is None:
        return None, next_row_id()
    *after, ceiling = unseal(ctx.node.cursor_key, _purpose(query), query.cursor)
    return after, int(ceiling)


def _purpose(query: Query) -> str:
    return f"search {query.address}?{urlencode(query.accepted)}"


def _url(ctx: Context, query: Query, *more: tuple[str, str]) -> str:
    pairs = urlencode([*query.accepted, *more], quote_via=quote, safe=",:|/$")
    address = f"{ctx.node.settings.fhir_url}/{query.address}".rstrip("/")
    return address + (f"?{pairs}" if pairs else "")


def _links(ctx: Context, query: Query, page: Page, ceiling: int) -> list[tuple[str, str]]:
    more = [("_cursor", query.cursor)] if query.cursor else []
    links = [("self", _url(ctx, query, *more))]
    if page.more and page.last is not None:
        cursor = seal(ctx.node.cursor_key, _purpose(query), [*page.last, ceiling])
        links.append(("next", _url(ctx, query, ("_cursor", cursor))))
    return links


async def _total(repository: Repository, query: Query, page: Page, *, first: bool) -> int | None:
    if first and not page.more:
        return len(page.matches)
    if query.total == "estimate":
        return await repository.estimate(query)
    return None if query.total == "none" else await repository.count(query)


def _entry(ctx: Context, query: Query, version: Version, mode: str) -> Document:
    content = subset(version.content or b"{}", query, ctx.node.definitions)
    entry = match_entry(ctx.node.settings.fhir_url, version, mode, content)
    if query.places and mode == "match":
        entry["search"] = _distance(query.places, version) | entry["search"]
    return entry


def _distance(places: Sequence[Point], version: Version) -> Document:
    """How far it is to the nearest place that was asked for.  R4 extension-location-distance.html"""
    position = wire.loads(version.content or b"{}").get("position", {})
    metres = min(metres_between(place, point(position["latitude"], position["longitude"])) for place in places)
    distance = {"value": round(metres / 1000, 3), "unit": "km", "system": UCUM, "code": "km"}
    return {"extension": [{"url": DISTANCE, "valueDistance": distance}]}


def _warnings(ctx: Context, query: Query) -> list[Document]:
    """What was not searched by, and that Consents keep something from this caller.

    The latter is the same whatever is asked, so that nobody learns by asking what is hidden.
    """
    ignored = f"Not searched by: {', '.join(sorted(query.ignored))}."
    warnings = [outcome_entry(ignored)] if query.ignored else []
    withheld = "" if query.resource_type in OPEN_TYPES else ctx.grants.terms.withheld
    return [*warnings, suppressed_entry(withheld)] if withheld else warnings


async def _included(ctx: Context, repository: Repository, query: Query, matches: list[Version]) -> list[Version]:
    """What `_include` and `_revinclude` add; those with :iterate are repeated on what they added."""
    limit = ctx.node.settings.max_includes
    seen = {version.row_id for version in matches}
    found: list[Version] = []
    fresh, includes = matches, query.includes
    for _ in range(MAX_ROUNDS):
        fresh = await _round(repository, includes, fresh, seen, limit - len(found) + 1)
        found += fresh
        includes = [include for include in includes if include.iterate]
        if not fresh or not includes:
            break
    if len(found) > limit:
        raise Invalid(f"More than {limit} resources would be included; ask for fewer matches by _count.")
    return found


async def _round(
    repository: Repository, includes: Sequence[Include], sources: Sequence[Version], seen: set[int], limit: int
) -> list[Version]:
    fresh: list[Version] = []
    for include in includes:
        for version in await repository.included(include, sources, max(limit, 1)):
            if version.row_id not in seen:
                seen.add(version.row_id)
                fresh.append(version)
    return fresh
