"""Rows of the audit journal: put down, sealed, made resources of, read again to prove them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, delete, func, or_, select, text, update

from fhir_server.store.bytewise import holds
from fhir_server.store.database import Database, Row, Transaction
from fhir_server.store.models import INDEX_TABLES, LISTED, SEALED, UNSEALED, audit, audit_seal, database_value, resource
from fhir_server.store.rows import next_row_id

JournalRow = Mapping[str, Any]
LOCK = text("SELECT pg_advisory_xact_lock(:key)").bindparams(bindparam("key", type_=BigInteger))
SEALER, LISTER = 0x617564697401, 0x617564697402
INSERT = audit.insert()
WAITING = (
    select(audit.c.position, audit.c.event_id, audit.c.content)
    .where(audit.c.state == bindparam("state"), audit.c.state < LISTED)
    .order_by(audit.c.position)
    .limit(bindparam("limit"))
)
UNSEALED_ROWS = (
    select(audit.c.position, audit.c.digest)
    .where(audit.c.state == UNSEALED, audit.c.state < LISTED)
    .order_by(audit.c.position)
    .limit(bindparam("limit"))
)
SEAL_ROW = (
    update(audit).where(audit.c.position == bindparam("at_position")).values(state=SEALED, seal=bindparam("new_seal"))
)
LIST_ROW = update(audit).where(audit.c.position == bindparam("at_position")).values(state=LISTED, content=None)
LIST_BATCH = update(audit).where(audit.c.position == bindparam("at_position")).values(state=LISTED)
AT_ONCE = 500
CUT = "audit cut"
NAMES = ("seal", "sealed_at", "first", "last", "count", "head", "signature")


@dataclass(frozen=True, slots=True)
class Seal:
    """A sealed batch: its number, time (microseconds), range of positions, number of rows, last digest, signature."""

    seal: int
    sealed_at: int
    first: int
    last: int
    count: int
    head: bytes
    signature: str | None = None


def journal_row(event_id: str, content: bytes, digest: bytes) -> JournalRow:
    """A row to be inserted by `INSERT`."""
    return {"position": next_row_id(), "event_id": event_id, "state": UNSEALED, "content": content, "digest": digest}


async def append(transaction: Transaction, rows: Sequence[JournalRow]) -> None:
    """Put events down."""
    if rows:
        await transaction.run([(INSERT, rows)])


async def there(transaction: Transaction, rows: Sequence[JournalRow]) -> set[int]:
    """The positions of those that have been put down already."""
    positions = [row["position"] for row in rows]
    found: set[int] = set()
    for start in range(0, len(positions), AT_ONCE):
        part = positions[start : start + AT_ONCE]
        answer = await transaction.fetch(select(audit.c.position).where(audit.c.position.in_(part)))
        found |= {row["position"] for row in answer}
    return found


async def alone(transaction: Transaction, key: int) -> None:
    """Wait until nobody else does this; SQLite has one writer anyway."""
    if transaction.dialect == "postgresql":
        await transaction.fetch(LOCK, {"key": key})


async def waiting(source: Database | Transaction, state: int, limit: int) -> Sequence[Row]:
    """Rows in this state, oldest first: position, event_id, content."""
    return await source.fetch(WAITING, {"state": state, "limit": limit})


async def unsealed(source: Transaction, limit: int) -> Sequence[Row]:
    """Rows that no seal holds, oldest first: position, digest."""
    return await source.fetch(UNSEALED_ROWS, {"limit": limit})


async def last_seal(source: Database | Transaction) -> Seal | None:
    """The newest seal."""
    found = await source.fetch(_seals().order_by(audit_seal.c.seal.desc()).limit(1))
    return _seal(found[0]) if found else None


async def seals(source: Database | Transaction, after: int, limit: int) -> list[Seal]:
    """Seals with a number above `after`, in order."""
    found = await source.fetch(_seals().where(audit_seal.c.seal > after).order_by(audit_seal.c.seal).limit(limit))
    return [_seal(row) for row in found]


async def unsigned(source: Database | Transaction) -> list[Seal]:
    """Seals without a signature."""
    found = await source.fetch(_seals().where(audit_seal.c.signature.is_(None)).order_by(audit_seal.c.seal).limit(100))
    return [_seal(row) for row in found]


async def add_seal(transaction: Transaction, seal: Seal, positions: Sequence[int]) -> None:
    """Store a seal, and which rows are its own."""
    await transaction.execute(audit_seal.insert(), {name: getattr(seal, name) for name in NAMES})
    changes = [{"at_position": position, "new_seal": seal.seal} for position in positions]
    await transaction.execute_many(SEAL_ROW, changes)


async def sign(transaction: Transaction, number: int, signature: str) -> None:
    """Add the signature of a seal."""
    await transaction.execute(update(audit_seal).where(audit_seal.c.seal == number).values(signature=signature))


async def holding(source: Database | Transaction, parts: Sequence[bytes], after: int, limit: int) -> Sequence[Row]:
    """Sealed rows behind a position that are not all listed and hold one of these parts, oldest first."""
    found = or_(*(holds(audit.c.content, part) for part in parts))
    statement = WAITING.where(audit.c.position > bindparam("after"), found)
    return await source.fetch(statement, {"state": SEALED, "after": after, "limit": limit})


async def listed(transaction: Transaction, positions: Sequence[int], *, batches: bool) -> None:
    """These are resources now. A batch stays as it is beside them."""
    statement = LIST_BATCH if batches else LIST_ROW
    await transaction.execute_many(statement, [{"at_position": position} for position in positions])


async def kept(source: Database | Transaction, event_ids: Sequence[str]) -> dict[str, bytes]:
    """Those that are resources already, with their JSON."""
    found: dict[str, bytes] = {}
    for start in range(0, len(event_ids), AT_ONCE):
        part = list(event_ids[start : start + AT_ONCE])
        answer = await source.fetch(
            select(resource.c.resource_id, resource.c.content).where(
                resource.c.resource_type == "AuditEvent", resource.c.resource_id.in_(part)
            )
        )
        found |= {row["resource_id"]: bytes(row["content"]) for row in answer}
    return found


async def sealed_rows(source: Database | Transaction, seal: Seal) -> Sequence[Row]:
    """The rows of a seal in order, each with what it holds (`content`) or its resource holds (`kept`)."""
    same = (resource.c.resource_type == "AuditEvent") & (resource.c.resource_id == audit.c.event_id)
    columns = (audit.c[name] for name in ("position", "event_id", "state", "content", "digest"))
    return await source.fetch(
        select(*columns, resource.c.content.label("kept"))
        .select_from(audit.outerjoin(resource, same))
        .where(audit.c.position >= seal.first, audit.c.position <= seal.last, audit.c.seal == seal.seal)
        .order_by(audit.c.position)
    )


async def remove(transaction: Transaction, seal: Seal, event_ids: Sequence[str], signature: str) -> None:
    """Remove the oldest seal with its rows and their resources; `signature` is about the cut behind it."""
    for start in range(0, len(event_ids), AT_ONCE):
        part = list(event_ids[start : start + AT_ONCE])
        same = (resource.c.resource_type == "AuditEvent") & (resource.c.resource_id.in_(part))
        row_ids = [row["row_id"] for row in await transaction.fetch(select(resource.c.row_id).where(same))]
        for table in (*INDEX_TABLES.values(), resource):
            await transaction.execute(delete(table).where(table.c.row_id.in_(row_ids)))
    own = (audit.c.position >= seal.first) & (audit.c.position <= seal.last) & (audit.c.seal == seal.seal)
    await transaction.execute(delete(audit).where(own))
    await transaction.execute(delete(audit_seal).where(audit_seal.c.seal == seal.seal))
    await transaction.execute(delete(database_value).where(database_value.c.name == CUT))
    await transaction.execute(database_value.insert(), {"name": CUT, "value": signature.encode()})


async def cut(source: Database | Transaction) -> str | None:
    """What the server signed about where the journal begins; None when nothing has left it."""
    found = await source.fetch(select(database_value.c.value).where(database_value.c.name == CUT))
    return bytes(found[0]["value"]).decode() if found else None


async def count_unsealed(source: Database | Transaction) -> int:
    """How many events no seal holds yet."""
    found = await source.fetch(select(func.count().label("count")).select_from(audit).where(audit.c.state == UNSEALED))
    return int(found[0]["count"])


def _seals() -> Select[Any]:
    return select(*(audit_seal.c[name] for name in NAMES))


def _seal(row: Row) -> Seal:
    return Seal(*(row[name] for name in NAMES))
