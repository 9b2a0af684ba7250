"""What the audit was kept for long enough leaves it: first as a file that proves itself, then for good.

45 CFR 164.316(b)(2)(i) wants six years.  Whole seals leave, the oldest first; the head at the cut is kept and signed,
so that `verify` proves the rest from there on.  The newest seal always stays.
"""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_server.audit import archive
from fhir_server.audit.batch import events_of
from fhir_server.audit.chain import START, Sign
from fhir_server.audit.event import DESTROY, EXPORT, Happening, Kind, Origin
from fhir_server.audit.trail import event_row
from fhir_server.audit.verify import CheckSignature, cut_claims, verify
from fhir_server.store import audit
from fhir_server.store.audit import JournalRow, Seal
from fhir_server.store.database import Database
from fhir_server.store.models import LISTED

DAY = 86_400_000_000


class CannotRemove(Exception):
    """The journal or the file is not what was written: nothing more is removed."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The server's signature: how it is made and checked, and the public keys that say so elsewhere."""

    sign: Sign
    check: CheckSignature
    public: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Old:
    """Seals that may leave, and the head before them."""

    previous: bytes
    seals: tuple[Seal, ...]

    @property
    def range(self) -> str:
        """In words, for the audit and for who runs the command."""
        entries = sum(seal.count for seal in self.seals)
        return f"seals {self.seals[0].seal} to {self.seals[-1].seal}, {entries} entries"


async def old(database: Database, keys: Keys, days: int, now: int) -> Old:
    """The seals made more than so many days before `now` (microseconds), all proved.  Raises CannotRemove."""
    last, cut = await audit.last_seal(database), await audit.cut(database)
    newest, found = last and last.seal, []
    async with aclosing(verify(database, keys.check)) as proofs:  # type: ignore[type-var]
        async for proof in proofs:
            seal = proof.seal
            if proof.problems:
                raise CannotRemove(f"seal {seal.seal}: {proof.problems[0]}")
            if seal.sealed_at >= now - days * DAY or seal.seal == newest or not await _is_listed(database, seal):
                break
            found.append(seal)
    return Old(bytes.fromhex((await keys.check(cut) or {})["head"]) if cut else START, tuple(found))


async def _is_listed(database: Database, seal: Seal) -> bool:
    return all(row["state"] == LISTED for row in await audit.sealed_rows(database, seal))


async def export(database: Database, keys: Keys, leaving: Old, file: Path, origin: Origin) -> None:
    """Write them into a new file, read that again, and put down that it was taken.  DICOM PS3.15 A.5.3.8

    Raises CannotRemove, FileExistsError.
    """
    await archive.write(database, file, (leaving.previous, leaving.seals), keys.public, keys.sign)
    problems = await archive.problems_of(file, keys.check)
    if problems:
        raise CannotRemove(f"{file}: {problems[0]}")
    async with database.transaction() as transaction:
        await audit.append(transaction, [_put_down(origin, EXPORT, leaving, file)])


async def remove(database: Database, keys: Keys, leaving: Old, file: Path, origin: Origin) -> None:
    """Remove what was exported, a seal at a time; the cut is signed anew with each.  ISO 21089 Destroy

    That it begins is put down with the first; what a crash leaves the next run removes.
    """
    rows = [_put_down(origin, DESTROY, leaving, file)]
    for seal in leaving.seals:
        signature = await keys.sign(cut_claims(seal))
        ids = [event_id for row in await audit.sealed_rows(database, seal) for event_id in _event_ids(row)]
        async with database.transaction() as transaction:
            await audit.append(transaction, rows)
            await audit.remove(transaction, seal, ids, signature)
        rows = []


def _event_ids(row: Any) -> list[str]:
    return list(events_of(row["event_id"], archive.content_of(row)))


def _put_down(origin: Origin, kind: Kind, leaving: Old, file: Path) -> JournalRow:
    details = (("file", str(file.absolute())), ("seals", leaving.range))
    happened = Happening(kind.code, time.time_ns() // 1000, kind=kind, thing="the audit", details=details)
    return event_row(origin, happened, None)
