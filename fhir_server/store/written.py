"""Who wrote a version: what its row says, and for which organization that person or program acts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, select

from fhir_server.store.auth_models import account, client
from fhir_server.store.database import Database, Transaction
from fhir_server.store.models import history, resource
from fhir_server.store.repository import Version

AT_ONCE = 500
Source = Database | Transaction


@dataclass(frozen=True, slots=True)
class Hand:
    """Who wrote: the person (if it was one), the program, the organization that they act for."""

    subject: str
    client_id: str
    fhir_user: str | None
    organization: str | None


async def identity_of(source: Source, row_id: int) -> tuple[str, str] | None:
    """The type and id of a row, living or deleted; what may be said of it, the caller's rights decide."""
    for table in (resource, history):
        columns = table.c.resource_type, table.c.resource_id
        rows = await source.fetch(select(*columns).where(table.c.row_id == row_id).limit(1))
        if rows:
            return rows[0]["resource_type"], rows[0]["resource_id"]
    return None


async def hands(source: Source, versions: Sequence[Version]) -> dict[tuple[int, int], Hand]:
    """Who wrote these versions, by row and version."""
    found: dict[tuple[int, int], tuple[str, str, str | None]] = {}
    row_ids = sorted({version.row_id for version in versions})
    for start in range(0, len(row_ids), AT_ONCE):
        for table in (resource, history):
            names = ("row_id", "version_id", "subject", "client_id", "fhir_user")
            statement = select(*(table.c[name] for name in names))
            for row in await source.fetch(statement.where(table.c.row_id.in_(row_ids[start : start + AT_ONCE]))):
                written = row["subject"] or "", row["client_id"] or "", row["fhir_user"]
                found[row["row_id"], row["version_id"]] = written
    people = await _organizations(source, account, account.c.fhir_user, {one[2] for one in found.values() if one[2]})
    programs = await _organizations(source, client, client.c.client_id, {one[1] for one in found.values()})
    return {
        place: Hand(*written, people.get(written[2] or "") or programs.get(written[1]))
        for place, written in found.items()
    }


async def _organizations(
    source: Source, table: FromClause, key: ColumnElement[str], named: Collection[str]
) -> dict[str, str]:
    statement = select(key.label("key"), table.c.organization).where(key.in_(sorted(named)))
    rows = await source.fetch(statement) if named else []
    return {row["key"]: row["organization"] for row in rows if row["organization"]}
