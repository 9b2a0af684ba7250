"""What was read, many events in one row of the journal: who asked is said once, an event is what differs.

A batch is JSON: {"batch": 1, "common": [[before, after], ...], "events": [[number, recorded, reference, query,
patient], ...]}. `common` holds the elements of AuditEvents before and after their `recorded`, of which an event names
one by its number; in the place of a patient there may be a list: an event for each. A batch stays as it was put down;
its AuditEvents are made of it, the same each time, their ids too.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid4, uuid5

from fhir_server import wire
from fhir_server.audit.chain import digest
from fhir_server.audit.event import LONGEST_QUERY, About, Document, Happening, Origin, common, entities, said_of
from fhir_server.search.dates import instant
from fhir_server.store.audit import JournalRow, journal_row

Patients = tuple[str | None, ...]
Noted = tuple[Origin, Happening, Patients]
"""Where from, what, of which patients: an event for each. One None: of nobody."""
HEAD = b'{"batch":1,'
MOST_IN_A_BATCH = 200
"""A few are listed at a time, each time out of the whole batch."""


def is_batch(content: bytes) -> bool:
    """Whether a row holds many events; any other holds one, as JSON."""
    return content.startswith(HEAD)


def batch_rows(noted: Iterable[Noted]) -> list[JournalRow]:
    """The rows of what has happened."""
    rows: list[JournalRow] = []
    batch, room = _Batch(), MOST_IN_A_BATCH
    for origin, happening, patients in noted:
        for about, named in _by_what_they_are_about(origin, patients):
            left = named
            while left:
                if not room:
                    rows.append(batch.row())
                    batch, room = _Batch(), MOST_IN_A_BATCH
                batch.add(origin, happening, about, left[:room])
                left, room = left[room:], max(room - len(left), 0)
    return [*rows, batch.row()] if room < MOST_IN_A_BATCH else rows


def _by_what_they_are_about(origin: Origin, patients: Patients) -> Iterable[tuple[About, Patients]]:
    if not origin.emergencies:
        return ((origin.about(patients[0]), patients),)
    return ((origin.about(patient), (patient,)) for patient in patients)


class _Batch:
    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._common: list[tuple[Document, Document]] = []
        self._events: list[tuple[Any, ...]] = []

    def add(self, origin: Origin, happening: Happening, about: About, patients: Patients) -> None:
        """Events of the same question, one for each patient."""
        interaction, recorded, reference, query, outcome, problem, kind, *_ = happening
        # By their ids: a caller's hash takes as long as all the rest, and the same object is the same caller.
        key = id(origin.caller), origin.address, id(kind), interaction, outcome, problem, about
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._common)
            self._common.append(common(origin, said_of(happening), about))
        of = patients if len(patients) > 1 else patients[0]
        self._events.append((number, recorded, reference, query and query[:LONGEST_QUERY], of))

    def row(self) -> JournalRow:
        content = wire.dumps({"batch": 1, "common": self._common, "events": self._events})
        return journal_row(str(uuid4()), content, digest(content))


def events_of(batch_id: str, content: bytes) -> dict[str, Document]:
    """The AuditEvents of a row, as they were put down, by their ids."""
    if not is_batch(content):
        return {batch_id: wire.trusted(content)}
    batch, space = wire.trusted(content), UUID(batch_id)
    one_by_one = (
        (*event, patient) for *event, of in batch["events"] for patient in (of if isinstance(of, list) else [of])
    )
    ids = ((str(uuid5(space, str(number))), event) for number, event in enumerate(one_by_one))
    return {event_id: _event(event_id, batch["common"][event[0]], event[1:]) for event_id, event in ids}


def _event(event_id: str, shared: tuple[Document, Document], event: Sequence[Any]) -> Document:
    before, after = shared
    recorded, *named = event
    made = {"resourceType": "AuditEvent", "id": event_id, **before, "recorded": instant(recorded), **after}
    listed = entities(*named)
    return made | ({"entity": listed} if listed else {})
