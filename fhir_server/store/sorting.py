"""`_sort` and keyset paging: an order that ends in `row_id`, and the test for what comes after a page.

https://hl7.org/fhir/R4/search.html#sort  Without a value a resource comes last, whichever the direction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, tuple_

from fhir_server.errors import Invalid
from fhir_server.search.dates import EARLIEST, LATEST
from fhir_server.search.extract import MAIN_DATE
from fhir_server.search.positions import Point
from fhir_server.search.query import LAST_CHARACTER, Query, Sort
from fhir_server.search.registry import Parameter
from fhir_server.store.matches import one_of, squared
from fhir_server.store.models import INDEX_TABLES, resource

COLUMNS = {
    "token": "code",
    "string": "value",
    "date": "low",
    "number": "low",
    "quantity": "canonical_low",
    "reference": "target_id",
    "uri": "value",
}
TEXTUAL = {"token", "string", "reference", "uri"}


Numbers = Callable[[Parameter], list[int]]


@dataclass(frozen=True, slots=True)
class Key:
    """One part of the order."""

    expression: ColumnElement[Any]
    descending: bool


def keys_of(query: Query, numbers: Numbers) -> list[Key]:
    """The whole order of a query, made total by `row_id`."""
    keys = [Key(_expression(sort, numbers, query.places), sort.descending) for sort in query.sort]
    return [*keys, Key(resource.c.row_id, keys[-1].descending if keys else False)]


def ordering(keys: Sequence[Key]) -> list[ColumnElement[Any]]:
    """ORDER BY."""
    return [key.expression.desc() if key.descending else key.expression.asc() for key in keys]


def beyond(keys: Sequence[Key], after: Sequence[Any]) -> ColumnElement[bool]:
    """Rows that come after these values in the order; one row comparison when all keys run the same way."""
    if len(after) != len(keys):
        raise Invalid("The cursor does not belong to this search.")
    if len({key.descending for key in keys}) == 1:
        place = tuple_(*(key.expression for key in keys))
        limit = tuple_(*(literal(value) for value in after))
        return place < limit if keys[0].descending else place > limit
    tests = []
    for n, key in enumerate(keys):
        equal = [keys[k].expression == after[k] for k in range(n)]
        tests.append(and_(*equal, key.expression < after[n] if key.descending else key.expression > after[n]))
    return or_(*tests)


def _expression(sort: Sort, numbers: Numbers, places: Sequence[Point]) -> ColumnElement[Any]:
    code = sort.parameter.code
    if code == "_lastUpdated":
        return resource.c.last_updated
    if code == "_id":
        return resource.c.resource_id
    if code == MAIN_DATE and sort.descending:
        return resource.c.moment
    if sort.parameter.type == "special":
        return _distance(sort, numbers, places)
    return _indexed(sort, numbers)


def _distance(sort: Sort, numbers: Numbers, places: Sequence[Point]) -> ColumnElement[Any]:
    """How far it is to the first place that is searched near to."""
    if not places:
        raise Invalid(f"To sort by {sort.parameter.code}, say what is to be near.")
    c = INDEX_TABLES["special"].alias().c
    value = select(func.min(squared(places[0], c))).where(
        c.row_id == resource.c.row_id, one_of(c.parameter, numbers(sort.parameter))
    )
    return func.coalesce(value.correlate(resource).scalar_subquery(), _last_of_all(sort))


def _indexed(sort: Sort, numbers: Numbers) -> ColumnElement[Any]:
    """The least value of the parameter, or the greatest when sorted down."""
    parameter = sort.parameter
    rows = INDEX_TABLES[parameter.type].alias()
    column = rows.c[COLUMNS[parameter.type]]
    chosen = func.max(column) if sort.descending else func.min(column)
    value = select(chosen).where(rows.c.row_id == resource.c.row_id, one_of(rows.c.parameter, numbers(parameter)))
    return func.coalesce(value.correlate(resource).scalar_subquery(), _last_of_all(sort))


def _last_of_all(sort: Sort) -> Any:
    if sort.parameter.type in TEXTUAL:
        return "" if sort.descending else LAST_CHARACTER
    if sort.parameter.type == "date":
        return EARLIEST if sort.descending else LATEST
    return -1e308 if sort.descending else 1e308
