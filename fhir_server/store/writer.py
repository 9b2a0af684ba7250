"""Writing inside one transaction: locks in sorted order, one bulk statement a table, a last look at what is left
behind.

https://hl7.org/fhir/R4/http.html#transaction
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import ColumnElement, Table, bindparam, case, delete, func, insert, select, text, update

from fhir_server.caller import Caller
from fhir_server.errors import Forbidden
from fhir_server.search.extract import TARGET_ID, TARGET_TYPE, Extracted, Extractor
from fhir_server.search.hashing import hash64
from fhir_server.store.audit import INSERT, JournalRow
from fhir_server.store.compiler import Lookup, Records, Step
from fhir_server.store.conditions import Numbering
from fhir_server.store.database import Row, Transaction
from fhir_server.store.grants import Grants
from fhir_server.store.models import INDEX_TABLES, history, resource
from fhir_server.store.repository import Version, version_of
from fhir_server.store.rows import Batch, Interaction, Placement, Write, add_deletion, add_write, is_quarantined
from fhir_server.store.slots import filled_list, open_list, size_of

Identity = tuple[str, str]
# The row of the audit journal for a write.
Wrote = Callable[[Version], JournalRow]

CHANGED = [column.name for column in resource.columns if column.name != "row_id"]
UPDATE = (
    update(resource)
    .where(resource.c.row_id == bindparam("at_row_id"))
    .values({name: bindparam(f"new_{name}") for name in CHANGED})
)
FIRST = case((resource.c.version_id == 1, "create"), else_="update")
KEPT = [column.name for column in history.columns if column.name != "interaction"]
KEPT_SIZES = 32
# Writes whose rows go to the database together.
AT_ONCE = 250
ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(:key)").bindparams(bindparam("key", type_=resource.c.row_id.type))
REMOVE = {table.name: delete(table).where(table.c.row_id == bindparam("at_row_id")) for table in INDEX_TABLES.values()}
REMOVE_STATE = delete(resource).where(resource.c.row_id == bindparam("at_row_id"))
ADD_STATE, ADD_HISTORY = resource.insert(), history.insert()
# What a resource of these types is about is what it points to by this parameter.
ABOUT_ITS_TARGET = {"Provenance": "target", "AuditEvent": "entity"}


@dataclass(frozen=True, slots=True)
class Existing:
    """The locked current version of something to be written. `readable` and `writable`: by this caller."""

    version: Version
    readable: bool
    writable: bool


class Writer:
    """Writes for one caller inside one transaction."""

    def __init__(
        self,
        transaction: Transaction,
        grants: Grants,
        extractor: Extractor,
        number: Numbering,
        wrote: Wrote | None = None,
    ) -> None:
        self.transaction = transaction
        self.grants = grants
        self.extractor = extractor
        self.number = number
        self.wrote = wrote

    @property
    def caller(self) -> Caller:
        """Who writes."""
        return self.grants.caller

    async def lock(self, criteria: Iterable[str]) -> None:
        """Keep others from answering the same conditions until this transaction ends; SQLite has one writer anyway."""
        if self.transaction.dialect == "postgresql":
            for key in sorted({hash64("criteria", text) for text in criteria}):
                await self.transaction.fetch(ADVISORY_LOCK, {"key": key})

    async def existing(self, interaction: Interaction, identities: Iterable[Identity]) -> dict[Identity, Existing]:
        """Lock the current versions, type by type and id by id, whether or not the caller may see them."""
        found: dict[Identity, Existing] = {}
        for resource_type, ids in _by_type(identities).items():
            statement = self.grants.existing(interaction, resource_type, size_of(ids))
            for row in await self._of(statement, resource_type, ids):
                state = Existing(version_of(row), bool(row["readable"]), bool(row["writable"]))
                found[resource_type, row["resource_id"]] = state
        return found

    async def last_versions(self, identities: Iterable[Identity]) -> dict[Identity, int]:
        """The last version number of what has been deleted."""
        found: dict[Identity, int] = {}
        for resource_type, ids in _by_type(identities).items():
            for row in await self._of(_last_versions(size_of(ids)), resource_type, ids):
                found[resource_type, row["resource_id"]] = row["last"]
        return found

    async def _of(self, statement: Lookup, resource_type: str, ids: Sequence[str]) -> Sequence[Row]:
        """What a statement says of some ids of a type."""
        return await self.transaction.fetch(statement, {"resource_type": resource_type, **filled_list(ids)})

    async def write(
        self, writes: Sequence[Write], now: int, extracted: Sequence[Extracted] | None = None
    ) -> list[Version]:
        """Store all changes. Raises Forbidden when the caller may not leave one of them behind.

        `extracted`: the index rows of those that are no deletions, where the caller has them already.
        """
        kept = [write for write in writes if write.interaction != "delete"]
        versions = await self._store_deletions([write for write in writes if write.interaction == "delete"], now)
        versions += await self._store_kept(kept, now, extracted)
        await self._check(kept)
        by_identity = {(version.resource_type, version.resource_id): version for version in versions}
        return [by_identity[write.resource_type, write.resource_id] for write in writes]

    async def _store_deletions(self, writes: Sequence[Write], now: int) -> list[Version]:
        batch = Batch()
        for write in writes:
            add_deletion(batch, write, self.caller, now)
        if writes:
            await self._store(batch)
        return batch.versions

    async def _store_kept(
        self, writes: Sequence[Write], now: int, extracted: Sequence[Extracted] | None
    ) -> list[Version]:
        """Store what is new, some at a time: the rows of a large transaction are never all in memory."""
        if extracted is None:
            extracted = [self._extract(write) for write in writes]
        placements = await self._placements(writes, extracted)
        waiting = list(zip(writes, placements, extracted, strict=True))[::-1]
        del extracted
        versions: list[Version] = []
        while waiting:
            batch = Batch()
            for _ in range(min(AT_ONCE, len(waiting))):
                add_write(batch, *waiting.pop(), (self.caller, now, self.number))
            await self._store(batch)
            versions += batch.versions
        return versions

    def _extract(self, write: Write) -> Extracted:
        return self.extractor.extract({**(write.resource or {}), "id": write.resource_id})

    async def _store(self, batch: Batch) -> None:
        steps: list[Step] = []
        replaced = sorted(batch.replaced)
        if replaced:
            steps.append((_superseded(size_of(replaced)), [filled_list(replaced)]))
            for table in self._tables(batch):
                steps.append((REMOVE[table.name], [{"at_row_id": row_id} for row_id in replaced]))
        if batch.deleted:
            steps.append((REMOVE_STATE, [{"at_row_id": row_id} for row_id in batch.deleted]))
        filled = [(ADD_HISTORY, batch.deletions), (UPDATE, batch.updated), (ADD_STATE, batch.inserted)]
        if self.wrote is not None:
            filled.append((INSERT, [dict(self.wrote(version)) for version in batch.versions]))
        index = [Records(INDEX_TABLES[name], rows) for name, rows in batch.index.items() if rows]
        await self.transaction.run([*steps, *(step for step in filled if step[1]), *index])

    def _tables(self, batch: Batch) -> list[Table]:
        """The index tables that resources of the replaced types can have rows in."""
        types = {version.resource_type for version in batch.versions}
        kinds = {kind for name in types for kind in self.extractor.registry.kinds(name)}
        return [INDEX_TABLES[kind] for kind in sorted(kinds)]

    async def _check(self, writes: Sequence[Write]) -> None:
        """Every new state must be one that the caller may leave behind."""
        groups: dict[tuple[Interaction, str], set[str]] = {}
        for write in writes:
            groups.setdefault((write.interaction, write.resource_type), set()).add(write.resource_id)
        for (interaction, resource_type), ids in sorted(groups.items()):
            statement = self.grants.left_behind(interaction, resource_type, size_of(list(ids)))
            if statement is None:
                continue
            rows = await self._of(statement, resource_type, sorted(ids))
            if rows[0]["count"] != len(ids):
                raise Forbidden(f"This caller may not {interaction} this {resource_type}.")

    async def _placements(self, writes: Sequence[Write], extracted: Sequence[Extracted]) -> list[Placement]:
        """Patient and organization of every write: the patient's organization, else the one it had, else the
        caller's.
        """
        about = await self._patients(writes, extracted)
        own = {
            write.resource_id: self._first_organization(write) for write in writes if write.resource_type == "Patient"
        }
        organizations = await self._organizations({patient for patient in about if patient} - own.keys()) | own
        return [
            Placement(patient, organizations.get(patient) if patient else self._first_organization(write))
            for write, patient in zip(writes, about, strict=True)
        ]

    def _first_organization(self, write: Write) -> str | None:
        if write.old is not None:
            return write.old.organization
        if write.resource_type == "Patient" and is_quarantined(write.resource or {}):
            return None
        return (self.caller.organization or "").partition("/")[2] or None

    async def _organizations(self, patients: set[str]) -> dict[str, str | None]:
        if not patients:
            return {}
        rows = await self._of(_placed(size_of(list(patients))), "Patient", sorted(patients))
        return {row["resource_id"]: row["organization"] for row in rows}

    async def _patients(self, writes: Sequence[Write], extracted: Sequence[Extracted]) -> list[str | None]:
        known = {
            (write.resource_type, write.resource_id): rows.patient
            for write, rows in zip(writes, extracted, strict=True)
        }
        indirect = [
            () if rows.patient else tuple(_targets(write, rows)) for write, rows in zip(writes, extracted, strict=True)
        ]
        missing = {target for targets in indirect for target in targets if target not in known}
        known |= await self._patients_of(missing)
        return [
            rows.patient or next((known[target] for target in targets if known.get(target)), None)
            for rows, targets in zip(extracted, indirect, strict=True)
        ]

    async def _patients_of(self, identities: Iterable[Identity]) -> dict[Identity, str | None]:
        found: dict[Identity, str | None] = {}
        for resource_type, ids in _by_type(identities).items():
            for row in await self._of(_placed(size_of(ids)), resource_type, ids):
                found[resource_type, row["resource_id"]] = row["patient"]
        return found


def _targets(write: Write, extracted: Extracted) -> Iterable[Identity]:
    """What a resource is about when it names no patient itself."""
    code = ABOUT_ITS_TARGET.get(write.resource_type)
    for parameter, row in extracted.rows.get("reference", ()) if code else ():
        if parameter == code and row[TARGET_TYPE]:
            yield row[TARGET_TYPE], row[TARGET_ID]
    context = (write.resource or {}).get("securityContext", {}).get("reference", "")
    if write.resource_type == "Binary" and context.count("/") == 1:
        resource_type, _, resource_id = context.partition("/")
        yield resource_type, resource_id


@lru_cache(maxsize=KEPT_SIZES)
def _superseded(size: int) -> Lookup:
    """Versions that others take the place of go into history."""
    old = select(*(resource.c[name] for name in KEPT), FIRST).where(open_list(resource.c.row_id, size))
    return Lookup(insert(history).from_select([*KEPT, "interaction"], old))


@lru_cache(maxsize=KEPT_SIZES)
def _last_versions(size: int) -> Lookup:
    columns = history.c.resource_id, func.max(history.c.version_id).label("last")
    return Lookup(select(*columns).where(*_named(history, size)).group_by(history.c.resource_id))


@lru_cache(maxsize=KEPT_SIZES)
def _placed(size: int) -> Lookup:
    """To whom resources belong."""
    columns = resource.c.resource_id, resource.c.patient, resource.c.organization
    return Lookup(select(*columns).where(*_named(resource, size)))


def _named(table: Table, size: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Some ids of a type, both left open."""
    return table.c.resource_type == bindparam("resource_type"), open_list(table.c.resource_id, size)


def _by_type(identities: Iterable[Identity]) -> dict[str, list[str]]:
    grouped: dict[str, set[str]] = {}
    for resource_type, resource_id in identities:
        grouped.setdefault(resource_type, set()).add(resource_id)
    return {resource_type: sorted(grouped[resource_type]) for resource_type in sorted(grouped)}
