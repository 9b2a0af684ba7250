"""Statements of searches, composed once for each shape and what the caller may see, and filled with other values."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from sqlalchemy import Select

from fhir_server.search.query import Query
from fhir_server.search.shape import NoShape, Shaped
from fhir_server.store.compiler import Lookup
from fhir_server.store.conditions import Numbering
from fhir_server.store.grants import Grants
from fhir_server.store.slots import filled, is_slot

MOST = 2000
Compose = Callable[[Query], Select[Any]]


class Kept:
    """A statement with the names of what it leaves open, and the query that it was composed of."""

    def __init__(self, statement: Select[Any], query: Query) -> None:
        self.lookup = Lookup(statement)
        self.names = [name for name in statement.compile().params if is_slot(name)]
        self.query = query


_kept: OrderedDict[Hashable, Kept] = OrderedDict()


def prepared(
    grants: Grants, number: Numbering, kind: str, query: Query, compose: Compose
) -> tuple[Lookup | Select[Any], Mapping[str, Any] | None]:
    """The statement of a search with its values; `kind`: what is composed of it. Raises Forbidden."""
    try:
        shaped = Shaped(query)
    except NoShape:
        return compose(query), None
    key = number, kind, shaped.shape, grants.identity(shaped.types)
    kept = _kept.get(key)
    if kept is None:
        kept = _kept[key] = Kept(compose(shaped.query), shaped.query)
        if len(_kept) > MOST:
            _kept.popitem(last=False)
    else:
        _kept.move_to_end(key)
    return kept.lookup, filled(kept.names, shaped.values)
