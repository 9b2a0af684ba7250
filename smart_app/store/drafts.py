"""Drafts: what a person is writing, saved as they type, sealed.

A draft is `open` while it is written, `sending` from the moment the person presses the button, `sent` at the end: the
step from open to sending can be taken once, so a double click sends once; who finds it `sending` for long looks at the
server and sends again.  A `discarded` one can be taken back for a day.
"""

import time
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, update

from konsil.database import reader
from konsil.secrets import open_, seal
from smart_app.store.models import draft, draft_part
from smart_app.store.sealed import open_json, seal_json

SENDING_SECONDS = 90
DISCARDED_SECONDS = 24 * 3600
UNSENT = ("open", "sending")


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as read; `version` guards against two windows writing the same draft."""

    id: str
    owner: str
    patient: str
    purpose: str
    focus: str
    state: str
    version: int
    content: dict[str, Any]
    updated_at: float


class DraftStore:
    """Reads and writes of drafts; each method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reads = reader(engine)

    def current(self, owner: str, purpose: str, focus: str, patient: str) -> Draft:
        """The owner's unsent draft on this, newest first; made when there is none."""
        mine = (draft.c.owner == owner, draft.c.purpose == purpose, draft.c.focus == focus, draft.c.state.in_(UNSENT))
        with self.engine.begin() as connection:
            found = connection.execute(select(draft).where(*mine).order_by(draft.c.updated_at.desc())).first()
            if found is None:
                row = {"id": str(uuid.uuid4()), "owner": owner, "purpose": purpose, "focus": focus, "patient": patient}
                values = {**row, "state": "open", "version": 1, "content": seal_json({}), "updated_at": time.time()}
                found = connection.execute(insert(draft).values(values).returning(draft)).one()
        return _draft(found)

    def existing(self, owner: str, purpose: str, focus: str) -> Draft | None:
        """The owner's unsent draft on this if there is one, newest first."""
        mine = (draft.c.owner == owner, draft.c.purpose == purpose, draft.c.focus == focus, draft.c.state != "sent")
        with self.reads.connect() as connection:
            found = connection.execute(select(draft).where(*mine).order_by(draft.c.updated_at.desc())).first()
        return _draft(found) if found else None

    def find(self, draft_id: str, owner: str) -> Draft | None:
        """A draft of this owner."""
        with self.reads.connect() as connection:
            found = connection.execute(select(draft).where(draft.c.id == draft_id, draft.c.owner == owner)).first()
        return _draft(found) if found else None

    def save(self, known: Draft, content: dict[str, Any]) -> bool:
        """Keep new content if the draft is still open and still the version that was read; False otherwise."""
        same = (draft.c.id == known.id, draft.c.version == known.version, draft.c.state == "open")
        values = {"content": seal_json(content), "version": known.version + 1, "updated_at": time.time()}
        with self.engine.begin() as connection:
            return connection.execute(update(draft).where(*same).values(values)).rowcount == 1

    def start_sending(self, draft_id: str) -> bool:
        """Take the step to `sending`: one caller gets True; after it hung for too long, the next one."""
        stuck = (draft.c.state == "sending") & (draft.c.updated_at < time.time() - SENDING_SECONDS)
        free = (draft.c.id == draft_id, (draft.c.state == "open") | stuck)
        with self.engine.begin() as connection:
            changed = update(draft).where(*free).values(state="sending", updated_at=time.time())
            return connection.execute(changed).rowcount == 1

    def reopen(self, draft_id: str) -> None:
        """Back to `open` after sending failed, so that the person can correct and send again."""
        self._set_state(draft_id, "open")

    def finish(self, draft_id: str) -> None:
        """Sent: the content has become resources; the copies kept beside it are removed."""
        with self.engine.begin() as connection:
            connection.execute(delete(draft_part).where(draft_part.c.draft_id == draft_id))
            connection.execute(update(draft).where(draft.c.id == draft_id).values(state="sent", updated_at=time.time()))

    def unsent(self, owner: str, purpose: str) -> list[Draft]:
        """All that the owner has begun and not sent, the newest first."""
        mine = (draft.c.owner == owner, draft.c.purpose == purpose, draft.c.state.in_(UNSENT))
        with self.reads.connect() as connection:
            found = connection.execute(select(draft).where(*mine).order_by(draft.c.updated_at.desc())).all()
        return [_draft(row) for row in found]

    def discard(self, draft_id: str) -> None:
        """Put a draft away; `restore` takes it back.  What was put away a day ago is removed for good."""
        now = time.time()
        old = (draft.c.state == "discarded", draft.c.updated_at < now - DISCARDED_SECONDS)
        with self.engine.begin() as connection:
            gone = select(draft.c.id).where(*old)
            connection.execute(delete(draft_part).where(draft_part.c.draft_id.in_(gone)))
            connection.execute(delete(draft).where(*old))
            away = update(draft).where(draft.c.id == draft_id, draft.c.state == "open")
            connection.execute(away.values(state="discarded", updated_at=now))

    def restore(self, draft_id: str) -> None:
        """Take a discarded draft back."""
        with self.engine.begin() as connection:
            back = update(draft).where(draft.c.id == draft_id, draft.c.state == "discarded")
            connection.execute(back.values(state="open", updated_at=time.time()))

    def put_part(self, draft_id: str, name: str, content: bytes) -> None:
        """Keep a large piece beside the draft: chart copy, search answer, uploaded file."""
        with self.engine.begin() as connection:
            _remove_part(connection, draft_id, name)
            row = {"draft_id": draft_id, "name": name, "content": seal(content), "updated_at": time.time()}
            connection.execute(insert(draft_part).values(row))

    def part(self, draft_id: str, name: str) -> bytes | None:
        """The piece of that name."""
        mine = (draft_part.c.draft_id == draft_id, draft_part.c.name == name)
        with self.reads.connect() as connection:
            sealed = connection.execute(select(draft_part.c.content).where(*mine)).scalar()
        return open_(sealed) if sealed else None

    def remove_part(self, draft_id: str, name: str) -> None:
        """Remove the piece of that name."""
        with self.engine.begin() as connection:
            _remove_part(connection, draft_id, name)

    def _set_state(self, draft_id: str, state: str) -> None:
        with self.engine.begin() as connection:
            values = {"state": state, "updated_at": time.time()}
            connection.execute(update(draft).where(draft.c.id == draft_id).values(values))


def _remove_part(connection: Connection, draft_id: str, name: str) -> None:
    connection.execute(delete(draft_part).where(draft_part.c.draft_id == draft_id, draft_part.c.name == name))


def _draft(row: Any) -> Draft:
    return Draft(
        id=row.id,
        owner=row.owner,
        patient=row.patient,
        purpose=row.purpose,
        focus=row.focus,
        state=row.state,
        version=row.version,
        content=open_json(row.content),
        updated_at=row.updated_at,
    )
