"""Conditions of conditional interactions, and conditional references.  https://hl7.org/fhir/R4/http.html#cond-update"""

from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.errors import Invalid, MultipleMatches
from fhir_server.search.query import Query
from fhir_server.store.repository import Repository, Version

CONTROLS = ("_sort", "_count", "_include", "_revinclude", "_summary", "_elements", "_total", "_cursor")


def pairs_of(text: str) -> list[tuple[str, str]]:
    """A query string as pairs."""
    return parse_qsl(text.partition("?")[2] if "?" in text else text, keep_blank_values=True)


def normal(resource_type: str, condition: str) -> str:
    """The same text for the same condition, whatever the order of its parameters: what concurrent writers lock."""
    return f"{resource_type}?{sorted(pairs_of(condition))!r}"


def parse_condition(ctx: Context, resource_type: str, condition: str) -> Query:
    """The condition as a search. Raises Invalid where it is empty or says how to present matches."""
    pairs = pairs_of(condition)
    if not pairs or any(name.startswith(CONTROLS) for name, _ in pairs):
        raise Invalid("A condition is a search of at least one parameter.")
    query = ctx.node.parser.parse(resource_type, pairs)
    if not query.conditions:
        raise Invalid("A condition is a search of at least one parameter.")
    query.count = 2
    return query


async def matches(ctx: Context, store: Repository, criteria: tuple[str, str], limit: int) -> list[Version]:
    """Every match of a type and condition. Raises MultipleMatches when there are more than `limit`."""
    await ctx.node.stored_canonicals.refresh()
    query = parse_condition(ctx, *criteria)
    query.count = limit
    page = await store.search(query)
    if page.more:
        raise MultipleMatches(f"The condition on {criteria[0]} is met by more than {limit} resources.")
    return page.matches


async def match(ctx: Context, store: Repository, resource_type: str, condition: str) -> Version | None:
    """The one match of a condition among what the caller may see. Raises MultipleMatches."""
    await ctx.node.stored_canonicals.refresh()
    page = await store.search(parse_condition(ctx, resource_type, condition))
    if len(page.matches) > 1:
        raise MultipleMatches(f"The condition on {resource_type} is met by more than one resource.")
    return page.matches[0] if page.matches else None
