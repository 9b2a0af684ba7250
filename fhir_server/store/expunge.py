"""Removing for good: the rows of a history.  Only `$expunge` comes here."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from fhir_server.store.binaries import kept_of
from fhir_server.store.database import Transaction
from fhir_server.store.models import STATE, history, resource
from fhir_server.store.parts import forget
from fhir_server.store.repository import Version, version_of

Identity = tuple[str, str]
AT_ONCE = 500


async def versions(transaction: Transaction, identity: Identity) -> tuple[Version | None, list[Version]]:
    """The living version, locked, and all that came before it or were deleted."""
    columns = [resource.c[name] for name in STATE]
    living = await transaction.fetch(select(*columns).where(*_is(resource, identity)).with_for_update())
    former = await transaction.fetch(select(*(history.c[name] for name in STATE)).where(*_is(history, identity)))
    return (version_of(living[0]) if living else None), [version_of(row) for row in former]


async def candidates(
    transaction: Transaction, types: Collection[str], after: Identity, *, deleted: bool
) -> list[Identity]:
    """Resources that are deleted, or that live and have a history; in order, after a place."""
    living = select(resource.c.row_id).where(
        resource.c.resource_type == history.c.resource_type, resource.c.resource_id == history.c.resource_id
    )
    place = (history.c.resource_type > after[0]) | (
        (history.c.resource_type == after[0]) & (history.c.resource_id > after[1])
    )
    statement = (
        select(history.c.resource_type, history.c.resource_id)
        .distinct()
        .where(history.c.resource_type.in_(sorted(types)), place, ~living.exists() if deleted else living.exists())
        .order_by(history.c.resource_type, history.c.resource_id)
        .limit(AT_ONCE)
    )
    return [(row["resource_type"], row["resource_id"]) for row in await transaction.fetch(statement)]


async def remove_history(
    transaction: Transaction, identity: Identity, living: Version | None, former: Sequence[Version]
) -> int:
    """Remove what came before the living version, or all of a deleted resource; gives the number of versions.

    The bytes of a large Binary go too, unless the living version still names them.
    """
    kept = kept_of(living.content if living else None)
    await forget(transaction, [one.content for one in former if kept is None or kept_of(one.content) != kept])
    return await transaction.execute(delete(history).where(*_is(history, identity)))


def _is(table: Any, identity: Identity) -> Sequence[ColumnElement[bool]]:
    return table.c.resource_type == identity[0], table.c.resource_id == identity[1]
