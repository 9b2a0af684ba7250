"""Which profiles, tags and security labels are in use, as far as the caller may see."""

from collections.abc import Iterable

from sqlalchemy import func, select

from fhir_server.store.models import STATE, index_token, index_uri, resource
from fhir_server.store.repository import Repository, Version, version_of

AT_ONCE = 500
MOST = 5000


async def labelled(repository: Repository, resource_types: Iterable[str]) -> list[Version]:
    """One resource for every profile, tag and label of these types: between them they have all. Raises Forbidden."""
    types = sorted(resource_types)
    rows: set[int] = set()
    for codes, table in ((("_tag", "_security"), index_token), (("_profile",), index_uri)):
        known = repository.registry.of
        numbers = [repository.number(name, code) for name in types for code in codes if code in known(name)]
        values = (table.c.system, table.c.code) if table is index_token else (table.c.value,)
        statement = (
            select(func.min(table.c.row_id).label("row_id"))
            .select_from(table.join(resource, resource.c.row_id == table.c.row_id))
            .where(table.c.parameter.in_(numbers), repository.grants.of_any_type("search", types, resource))
            .group_by(table.c.parameter, *values)
            .limit(MOST)
        )
        rows |= {row["row_id"] for row in await repository.source.fetch(statement)}
    return await _versions(repository, sorted(rows))


async def _versions(repository: Repository, rows: list[int]) -> list[Version]:
    found: list[Version] = []
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        statement = select(*(resource.c[name] for name in STATE)).where(resource.c.row_id.in_(part))
        found += [version_of(row) for row in await repository.source.fetch(statement)]
    return found
