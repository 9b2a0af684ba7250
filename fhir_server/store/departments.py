"""An organization with all that are part of it, asked in SQL at the time of each statement: nothing is kept.

https://hl7.org/fhir/R4/organization-definitions.html#Organization.partOf
"""

from functools import lru_cache

from sqlalchemy import CTE, BigInteger, ColumnElement, FromClause, Text, and_, cast, literal, or_, select

from fhir_server.search.hashing import hash64
from fhir_server.store.models import index_reference, resource


def belongs(table: FromClause, organization: str, part_of: int) -> ColumnElement[bool]:
    """Whether the row is of this organization or of a department of it; `part_of`: the number of the search parameter.

    The departments are looked up once a statement, and only when it meets a row that is not of the organization itself.
    """
    among = select(_departments(organization, part_of).c.resource_id).correlate(None)
    return or_(table.c.organization == organization, table.c.organization.in_(among))


@lru_cache(maxsize=1000)
def _departments(organization: str, part_of: int) -> CTE:
    """What is part of it, however many above each other; a circle ends where it was."""
    own = (
        cast(literal(organization), Text).label("resource_id"),
        cast(literal(hash64("Organization", organization)), BigInteger).label("identity_hash"),
    )
    known = select(*own).cte(recursive=True)
    link, part = index_reference.alias(), resource.alias()
    pointing = and_(
        link.c.parameter == part_of,
        link.c.target_hash == known.c.identity_hash,
        link.c.target_type == "Organization",
        link.c.target_id == known.c.resource_id,
    )
    below = (
        select(cast(part.c.resource_id, Text), part.c.identity_hash)
        .select_from(known)
        .join(link, pointing)
        .join(part, part.c.row_id == link.c.row_id)
    )
    return known.union(below)
