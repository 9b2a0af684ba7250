"""Viewer codes and viewer sessions: how a browser inside the EHR's frame shows images without holding a token.

A code is single use and lives 30 s; the session it opens lives 15 minutes from its last use, bound to token, case and
studies. Both are random values known here by their hash alone; the token is sealed at rest.
"""

import json
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update

from dicom_gateway.access import token_hash
from dicom_gateway.index.exchange import viewer_code, viewer_session
from konsil.database import reader
from konsil.secrets import open_, seal

COOKIE = "__Host-konsil-viewer"
CODE_SECONDS = 30.0
SESSION_SECONDS = 15 * 60.0
TOUCH_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class ViewerSession:
    """Whose token opens which studies of which case, in the viewer."""

    token: str = field(repr=False)
    case: str
    studies: tuple[str, ...]


@dataclass(frozen=True)
class SessionStore:
    """Codes and sessions in SQL, so that every process of the gateway knows them."""

    engine: Engine
    clock: Callable[[], float] = time.time

    def new_code(self, token: str, case: str, studies: Collection[str]) -> str:
        """Make a code for these studies; the caller has checked that the token is shown them."""
        code = secrets.token_urlsafe(32)
        row = {
            "code_hash": token_hash(code),
            "sealed_token": seal(token.encode()),
            "case_reference": case,
            "studies": json.dumps(list(studies)),
            "expires_at": self.clock() + CODE_SECONDS,
        }
        with self.engine.begin() as connection:
            connection.execute(delete(viewer_code).where(viewer_code.c.expires_at < self.clock()))
            connection.execute(delete(viewer_session).where(viewer_session.c.expires_at < self.clock()))
            connection.execute(insert(viewer_code).values(row))
        return code

    def redeem(self, code: str) -> tuple[str, ViewerSession] | None:
        """Use a code up: the session's cookie value and the session; None for a code unknown, used or too old."""
        taken = (
            delete(viewer_code)
            .where(viewer_code.c.code_hash == token_hash(code), viewer_code.c.expires_at >= self.clock())
            .returning(viewer_code.c.sealed_token, viewer_code.c.case_reference, viewer_code.c.studies)
        )
        value = secrets.token_urlsafe(32)
        with self.engine.begin() as connection:
            row = connection.execute(taken).one_or_none()
            if row is None:
                return None
            session = {**row._mapping, "session_hash": token_hash(value), "expires_at": self.clock() + SESSION_SECONDS}
            connection.execute(insert(viewer_session).values(session))
        return value, self._session(row)

    def touch(self, value: str) -> ViewerSession | None:
        """The session of a cookie, its end moved on (written at most each 15 s); None when it has ended."""
        table, now = viewer_session, self.clock()
        with reader(self.engine).begin() as connection:
            known = table.c.session_hash == token_hash(value)
            row = connection.execute(select(table).where(known, table.c.expires_at >= now)).one_or_none()
        if row is None:
            return None
        if row.expires_at < now + SESSION_SECONDS - TOUCH_SECONDS:
            with self.engine.begin() as connection:
                connection.execute(update(table).where(known).values(expires_at=now + SESSION_SECONDS))
        return self._session(row)

    def _session(self, row: Any) -> ViewerSession:
        token = open_(row.sealed_token).decode()
        return ViewerSession(token=token, case=row.case_reference, studies=tuple(json.loads(row.studies)))
