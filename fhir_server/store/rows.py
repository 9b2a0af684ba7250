"""A written resource as rows: its state, its history, its index rows."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from fhir_server import wire
from fhir_server.access.labels import bits_of
from fhir_server.caller import Caller
from fhir_server.search.dates import instant
from fhir_server.search.extract import Extracted
from fhir_server.search.hashing import hash64
from fhir_server.store.conditions import Numbering
from fhir_server.store.repository import Version

LABEL = "https://konsil.example/fhir/CodeSystem/label"
QUARANTINED = "quarantined"
SPOKEN_OF = "security-label"
MILLISECOND = 1000
ROW_ID_SHIFT = 11

Interaction = Literal["create", "update", "delete"]


@dataclass(slots=True)
class Write:
    """One change to be stored. `old` is the locked current version, `last_version` the number that was used last,
    `stored` the resource as it has been written.
    """

    interaction: Interaction
    resource_type: str
    resource_id: str
    resource: dict[str, Any] | None
    old: Version | None = None
    last_version: int = 0
    stored: dict[str, Any] | None = None


@dataclass(slots=True)
class Batch:
    """Rows of all writes of a transaction, one list a table; those of the index tables have every column in order."""

    versions: list[Version] = field(default_factory=list)
    inserted: list[dict[str, Any]] = field(default_factory=list)
    updated: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    deletions: list[dict[str, Any]] = field(default_factory=list)
    index: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    @property
    def replaced(self) -> list[int]:
        """Rows whose present version goes into history, and whose index rows go."""
        return [*self.deleted, *(row["at_row_id"] for row in self.updated)]


class RowIds:
    """Row ids that rise with time: microseconds and a little chance, so that processes do not meet."""

    def __init__(self) -> None:
        self._last = 0
        self._chance = itertools.count(int.from_bytes(os.urandom(2), "big"), 7)

    def __call__(self) -> int:
        """The next id."""
        fresh = (time.time_ns() // 1000 << ROW_ID_SHIFT) | (next(self._chance) & 0x7FF)
        self._last = max(self._last + 1, fresh)
        return self._last


next_row_id = RowIds()


def moment_of(row_id: int) -> float:
    """When a row id was given, in seconds since the epoch."""
    return (row_id >> ROW_ID_SHIFT) / 1e6


@dataclass(frozen=True, slots=True)
class Placement:
    """To whom a resource belongs: the patient it is about and the organization."""

    patient: str | None
    organization: str | None


def stamped(write: Write, now: int) -> tuple[dict[str, Any], int, int]:
    """The resource with `meta` filled in, its version and its time, never older than the version before."""
    version_id = max(write.old.version_id if write.old else 0, write.last_version) + 1
    updated = now // MILLISECOND * MILLISECOND
    if write.old is not None:
        updated = max(updated, write.old.last_updated + MILLISECOND)
    resource = write.resource or {}
    meta = dict(resource.get("meta") or {})
    head: dict[str, Any] = {"resourceType": write.resource_type, "id": write.resource_id}
    head["meta"] = {"versionId": str(version_id), "lastUpdated": instant(updated)} | {
        name: value for name, value in meta.items() if name not in {"versionId", "lastUpdated"}
    }
    return head | {name: value for name, value in resource.items() if name not in head}, version_id, updated


def add_write(
    batch: Batch, write: Write, placement: Placement, extracted: Extracted, context: tuple[Caller, int, Numbering]
) -> None:
    """Add the rows of a create or update."""
    caller, now, number = context
    resource, version_id, updated = stamped(write, now)
    write.stored = resource
    row_id = write.old.row_id if write.old else next_row_id()
    quarantined = is_quarantined(resource)
    version = Version(
        row_id,
        write.resource_type,
        write.resource_id,
        version_id,
        updated,
        placement.patient,
        placement.organization,
        quarantined,
        wire.dumps(resource),
        write.interaction,
    )
    batch.versions.append(version)
    moment = updated if extracted.moment is None else extracted.moment
    identity = hash64(version.resource_type, version.resource_id)
    labels = labels_of(write.resource_type, extracted)
    state = _state(version, caller) | {"moment": moment, "identity_hash": identity, "labels": labels}
    if write.old is None:
        batch.inserted.append(state)
    else:
        batch.updated.append({f"at_{name}" if name == "row_id" else f"new_{name}": state[name] for name in state})
    _add_index(batch, version, extracted, moment, number)


def labels_of(resource_type: str, extracted: Extracted) -> int:
    """The sensitive labels that a resource carries, in whichever token; what a Consent speaks of is no label of it."""
    tokens = extracted.rows.get("token", ())
    if resource_type == "Consent":
        tokens = [each for each in tokens if each[0] != SPOKEN_OF]
    return bits_of((system, code) for _, (_, system, code) in tokens)


def _add_index(batch: Batch, version: Version, extracted: Extracted, moment: int, number: Numbering) -> None:
    key = None if version.patient is None else hash64("Patient", version.patient)
    place = version.row_id, key, moment
    for table, rows in index_rows(extracted, place, partial(number, version.resource_type)):
        batch.index.setdefault(table, []).extend(rows)


def index_rows(
    extracted: Extracted, place: tuple[int, int | None, int], number: Callable[[str], int]
) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The rows of each index table with every column; `place`: row id, key of the patient, moment."""
    row_id, key, moment = place
    for table, rows in extracted.rows.items():
        yield table, [(row_id, number(code), key, moment, *row) for code, row in rows]


def add_deletion(batch: Batch, write: Write, caller: Caller, now: int) -> None:
    """Add the rows of a delete: the version that it ends, and the deletion itself."""
    old = write.old
    if old is None:
        return
    updated = max(now // MILLISECOND * MILLISECOND, old.last_updated + MILLISECOND)
    gone = Version(
        old.row_id,
        old.resource_type,
        old.resource_id,
        old.version_id + 1,
        updated,
        old.patient,
        old.organization,
        old.quarantined,
        None,
        "delete",
    )
    batch.versions.append(gone)
    batch.deleted.append(old.row_id)
    batch.deletions.append(_state(gone, caller) | {"interaction": "delete"})


def _state(version: Version, caller: Caller) -> dict[str, Any]:
    return {
        "row_id": version.row_id,
        "resource_type": version.resource_type,
        "resource_id": version.resource_id,
        "version_id": version.version_id,
        "last_updated": version.last_updated,
        "patient": version.patient,
        "organization": version.organization,
        "quarantined": version.quarantined,
        "content": version.content,
        "subject": caller.subject,
        "client_id": caller.client_id,
        "fhir_user": caller.fhir_user,
    }


def is_quarantined(resource: dict[str, Any]) -> bool:
    """Whether HIM staff have yet to reconcile it: a security label of our own."""
    labels: Sequence[dict[str, Any]] = (resource.get("meta") or {}).get("security") or ()
    return any(label.get("system") == LABEL and label.get("code") == QUARANTINED for label in labels)
