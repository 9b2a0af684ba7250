"""The sensitive labels of resources made anew from their tokens, where rows were made without them."""

from typing import Any

from sqlalchemy import ColumnElement, and_, case, distinct, func, select, update

from fhir_server.access.labels import BITS
from fhir_server.search.hashing import hash64
from fhir_server.store.models import index_token, resource, search_parameter
from fhir_server.store.rows import SPOKEN_OF

HASHES = sorted({hash64(code) for _, code in BITS})
NOT_A_LABEL = select(search_parameter.c.parameter).where(
    search_parameter.c.resource_type == "Consent", search_parameter.c.code == SPOKEN_OF
)


def relabelled(*tests: ColumnElement[bool]) -> Any:
    """Set `labels` of these rows of `resource` to what their tokens say: each label is a bit, so they add up."""
    bits = case(
        *(
            (and_(index_token.c.system == system, index_token.c.code == code), bit)
            for (system, code), bit in BITS.items()
        ),
        else_=0,
    )
    found = select(func.coalesce(func.sum(distinct(bits)), 0)).where(
        index_token.c.row_id == resource.c.row_id, *_may_be_labels()
    )
    return update(resource).where(*tests).values(labels=found.scalar_subquery())


def may_be_labelled() -> ColumnElement[bool]:
    """Rows of `resource` with a token that has the code of a label."""
    return resource.c.row_id.in_(select(index_token.c.row_id).where(*_may_be_labels()))


def _may_be_labels() -> tuple[ColumnElement[bool], ...]:
    return index_token.c.code_hash.in_(HASHES), index_token.c.parameter.not_in(NOT_A_LABEL)
