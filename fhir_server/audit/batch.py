"""What was read, many events in one row of the journal: who asked is said once, an event is what differs.

A batch is JSON: {"batch": 1, "common": [[before, after], ...], "events": [[number, recorded, reference, query,
patient], ...]}. `common` holds the elements of AuditEvents before and after their `recorded`, of which an event names
one by its number. A batch stays as it was put down; its AuditEvents are made of it, the same each time, their ids too.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID, uuid4, uuid5

from fhir_server import wire
from fhir_server.audit.chain import digest
from fhir_server.audit.event import LONGEST_QUERY, Document, Happening, Origin, common, entities, said_of
from fhir_server.search.dates import instant
from fhir_server.store.audit import JournalRow, journal_row

Noted = tuple[Origin, Happening, tuple[str | None, ...]]
"""Where from, what, of which patients: an event for each."""
HEAD = b'{"batch":1,'
MOST_IN_A_BATCH = 200
"""A few are listed at a time, each time out of the whole batch."""


def is_batch(content: bytes) -> bool:
    """Whether a row holds many events; any other holds one, as JSON."""
    return content.startswith(HEAD)


def batch_rows(noted: Iterable[Noted]) -> list[JournalRow]:
    """The rows of what has happened."""
    events = [(origin, happening, patient) for origin, happening, patients in noted for patient in patients]
    return [_row(events[start : start + MOST_IN_A_BATCH]) for start in range(0, len(events), MOST_IN_A_BATCH)]


def _row(events: Sequence[tuple[Origin, Happening, str | None]]) -> JournalRow:
    kept: dict[Any, int] = {}
    shared: list[tuple[Document, Document]] = []
    rows = []
    for origin, happening, patient in events:
        # By their ids: a caller's hash takes as long as all the rest, and the same object is the same caller.
        about = origin.about(patient)
        interaction, recorded, reference, query, outcome, problem, kind, *_ = happening
        key = id(origin.caller), origin.address, id(kind), interaction, outcome, problem, about
        number = kept.get(key)
        if number is None:
            number = kept[key] = len(shared)
            shared.append(common(origin, said_of(happening), about))
        rows.append((number, recorded, reference, query and query[:LONGEST_QUERY], patient))
    content = wire.dumps({"batch": 1, "common": shared, "events": rows})
    return journal_row(str(uuid4()), content, digest(content))


def events_of(batch_id: str, content: bytes) -> dict[str, Document]:
    """The AuditEvents of a row, as they were put down, by their ids."""
    if not is_batch(content):
        return {batch_id: wire.trusted(content)}
    batch, space = wire.trusted(content), UUID(batch_id)
    ids = (str(uuid5(space, str(number))) for number in range(len(batch["events"])))
    return {
        event_id: _event(event_id, batch["common"][event[0]], event[1:])
        for event_id, event in zip(ids, batch["events"], strict=True)
    }


def _event(event_id: str, shared: tuple[Document, Document], event: Sequence[Any]) -> Document:
    before, after = shared
    recorded, *named = event
    made = {"resourceType": "AuditEvent", "id": event_id, **before, "recorded": instant(recorded), **after}
    listed = entities(*named)
    return made | ({"entity": listed} if listed else {})
