"""Bulk exports as rows: taken up by one process at a time, forward from file to file.

A file and how far the export has come are written in one transaction, by who holds the lease: a process that dies or is
overtaken leaves nothing behind but loose bytes, and the next goes on at the last file.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import delete, func, select, update

from fhir_server.caller import Caller
from fhir_server.store.binaries import Kept
from fhir_server.store.database import Database, Row, Transaction
from fhir_server.store.models import bulk_export, bulk_export_file
from fhir_server.store.parts import claim as claim_bytes
from fhir_server.store.parts import release

State = Literal["running", "completed", "failed"]
LEASE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Export:
    """One export: who asked (`caller`), by which URL, for what; `item` and `after` say where it goes on."""

    key: str
    caller: Caller
    request: str
    asked: Mapping[str, Any]
    state: State
    item: int
    after: int
    done: int
    problem: str | None
    created: int
    finished: int | None


@dataclass(frozen=True, slots=True)
class File:
    """One file: what it holds (`kind` output or deleted), how many lines, where the bytes are."""

    number: int
    kind: str
    resource_type: str
    count: int
    kept: Kept


@dataclass(frozen=True, slots=True)
class Advance:
    """What a step came to: the place to go on from, how many resources so far, a new file, whether all is done."""

    item: int
    after: int
    done: int
    file: File | None
    finished: bool


async def add(transaction: Transaction, caller: Caller, request: str, asked: Mapping[str, Any], now: int) -> str:
    """A new export; gives its key."""
    row = {
        "key": secrets.token_hex(16),
        "subject": caller.subject,
        "client_id": caller.client_id,
        "caller": _dump(caller),
        "request": request,
        "asked": orjson.dumps(asked).decode(),
        "state": "running",
        "item": 0,
        "after": 0,
        "done": 0,
        "problem": None,
        "created": now,
        "finished": None,
        "lease": None,
        "leased_until": 0,
    }
    await transaction.execute_many(bulk_export.insert(), [row])
    return str(row["key"])


async def running_of(source: Database | Transaction, client_id: str) -> int:
    """How many of a client are running."""
    statement = select(func.count().label("count")).where(
        bulk_export.c.client_id == client_id, bulk_export.c.state == "running"
    )
    return int((await source.fetch(statement))[0]["count"])


async def find(source: Database | Transaction, key: str, caller: Caller) -> Export | None:
    """The export of this key, if it is the caller's."""
    statement = select(bulk_export).where(
        bulk_export.c.key == key,
        bulk_export.c.subject == caller.subject,
        bulk_export.c.client_id == caller.client_id,
    )
    rows = await source.fetch(statement)
    return _export(rows[0]) if rows else None


async def files(source: Database | Transaction, key: str) -> list[File]:
    """Its files so far."""
    statement = select(bulk_export_file).where(bulk_export_file.c.key == key).order_by(bulk_export_file.c.number)
    return [_file(row) for row in await source.fetch(statement)]


async def take(database: Database) -> tuple[Export, str] | None:
    """A running export that nobody works on, with the lease that was taken; None when there is none."""
    now = time.time_ns() // 1000
    free = bulk_export.c.state == "running", bulk_export.c.leased_until < now
    if not await database.fetch(select(bulk_export.c.key).where(*free).limit(1)):
        return None
    lease = secrets.token_hex(8)
    async with database.transaction() as transaction:
        first = select(bulk_export.c.key).where(*free).order_by(bulk_export.c.created).limit(1)
        if transaction.dialect == "postgresql":
            first = first.with_for_update(skip_locked=True)
        rows = await transaction.fetch(
            update(bulk_export)
            .where(bulk_export.c.key == first.scalar_subquery())
            .values(lease=lease, leased_until=now + LEASE_SECONDS * 1_000_000)
            .returning(bulk_export)
        )
    return (_export(rows[0]), lease) if rows else None


async def advance(transaction: Transaction, key: str, lease: str, step: Advance) -> bool:
    """Write a step down; False when the lease was lost or the export is gone."""
    now = time.time_ns() // 1000
    values: dict[str, Any] = {"item": step.item, "after": step.after, "done": step.done, "leased_until": 0}
    if step.finished:
        values |= {"state": "completed", "finished": now}
    if not await _held(transaction, key, lease, values):
        return False
    if step.file is not None:
        kept = step.file.kept
        await claim_bytes(transaction, kept)
        row = {
            "key": key,
            "number": step.file.number,
            "kind": step.file.kind,
            "resource_type": step.file.resource_type,
            "count": step.file.count,
            "kept_key": kept.key,
            "size": kept.size,
            "place": kept.place,
        }
        await transaction.execute_many(bulk_export_file.insert(), [row])
    return True


async def fail(transaction: Transaction, key: str, lease: str, problem: str) -> None:
    """End it with a sentence."""
    values = {"state": "failed", "problem": problem, "finished": time.time_ns() // 1000}
    await _held(transaction, key, lease, values)


async def remove(transaction: Transaction, key: str) -> None:
    """Forget an export and its files."""
    await release(transaction, [file.kept for file in await files(transaction, key)])
    await transaction.execute(delete(bulk_export_file).where(bulk_export_file.c.key == key))
    await transaction.execute(delete(bulk_export).where(bulk_export.c.key == key))


async def older(source: Database | Transaction, than: int) -> list[str]:
    """The keys of those that ended before a time, or that were begun then and never ended."""
    ended = func.coalesce(bulk_export.c.finished, bulk_export.c.created)
    rows = await source.fetch(select(bulk_export.c.key).where(ended < than, bulk_export.c.leased_until < than))
    return [row["key"] for row in rows]


async def _held(transaction: Transaction, key: str, lease: str, values: Mapping[str, Any]) -> bool:
    held = bulk_export.c.key == key, bulk_export.c.lease == lease, bulk_export.c.state == "running"
    return bool(await transaction.execute(update(bulk_export).where(*held).values(**values)))


def _dump(caller: Caller) -> str:
    named = {
        "subject": caller.subject,
        "client_id": caller.client_id,
        "fhir_user": caller.fhir_user,
        "roles": sorted(caller.roles),
        "organization": caller.organization,
        "scopes": list(caller.scopes),
        "patient": caller.patient,
    }
    return orjson.dumps(named).decode()


def _caller(text: str) -> Caller:
    found = orjson.loads(text)
    return Caller(**found | {"roles": frozenset(found["roles"]), "scopes": tuple(found["scopes"])})


def _export(row: Row) -> Export:
    return Export(
        row["key"],
        _caller(row["caller"]),
        row["request"],
        orjson.loads(row["asked"]),
        row["state"],
        row["item"],
        row["after"],
        row["done"],
        row["problem"],
        row["created"],
        row["finished"],
    )


def _file(row: Row) -> File:
    kept = Kept(row["kept_key"], row["size"], row["place"])
    return File(row["number"], row["kind"], row["resource_type"], row["count"], kept)
