"""Browser sessions, sign-ins under way and launches.

The cookie's value is never stored, only its SHA-256.  A session belongs to one person: another person's launch in the
same browser ends it with all its launches.
"""

import hashlib
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update

from konsil.database import reader
from smart_app.launches import AuthorizationRequest, Launch, Tokens
from smart_app.store.models import authorization_request, launch, session
from smart_app.store.sealed import open_model, seal_model


def digest(secret: str) -> str:
    """How secrets that come back from browsers are kept: SHA-256, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Session:
    """A browser session; `subject` is empty until somebody signed in."""

    id: str
    subject: str | None


class SessionStore:
    """Reads and writes of sessions and launches; each method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.reads = reader(engine)

    def begin(self, hours: float, subject: str | None = None) -> tuple[Session, str]:
        """Begin a session; returns it with the cookie's value, which is not kept."""
        secret, identity, now = secrets.token_urlsafe(32), str(uuid.uuid4()), time.time()
        row = {"id": identity, "secret_hash": digest(secret), "subject": subject}
        with self.engine.begin() as connection:
            connection.execute(insert(session).values(**row, created_at=now, expires_at=now + hours * 3600))
        return Session(identity, subject), secret

    def find(self, secret: str) -> Session | None:
        """The live session of a cookie."""
        alive = (session.c.ended_at.is_(None), session.c.expires_at > time.time())
        statement = select(session.c.id, session.c.subject).where(session.c.secret_hash == digest(secret), *alive)
        with self.reads.connect() as connection:
            row = connection.execute(statement).first()
        return Session(row.id, row.subject) if row else None

    def adopt(self, session_id: str, subject: str) -> bool:
        """Give a session its person.  False when it already belongs to another one."""
        mine = session.c.subject.is_(None) | (session.c.subject == subject)
        statement = update(session).where(session.c.id == session_id, session.c.ended_at.is_(None), mine)
        with self.engine.begin() as connection:
            return connection.execute(statement.values(subject=subject)).rowcount == 1

    def end(self, session_id: str) -> list[Tokens]:
        """End a session and its launches; the tokens, overwritten here, are returned to be given back."""
        with self.engine.begin() as connection:
            connection.execute(update(session).where(session.c.id == session_id).values(ended_at=time.time()))
            connection.execute(delete(authorization_request).where(authorization_request.c.session_id == session_id))
            return _end_launches(connection, launch.c.session_id == session_id)

    def used_at(self, launch_id: str) -> float:
        """When a launch was last used, or begun."""
        statement = select(func.coalesce(launch.c.used_at, launch.c.created_at)).where(launch.c.id == launch_id)
        with self.reads.connect() as connection:
            return float(connection.execute(statement).scalar() or 0.0)

    def use(self, launch_id: str, now: float) -> None:
        """Note that a launch is used."""
        with self.engine.begin() as connection:
            connection.execute(update(launch).where(launch.c.id == launch_id).values(used_at=now))

    def end_launch(self, launch_id: str) -> list[Tokens]:
        """End one launch; its tokens, overwritten here, are returned to be given back."""
        with self.engine.begin() as connection:
            return _end_launches(connection, launch.c.id == launch_id)

    def remember(self, state: str, request: AuthorizationRequest, minutes: float) -> None:
        """Keep a sign-in under way until its answer comes."""
        row = {"state_hash": digest(state), "session_id": request.session_id, "issuer": request.issuer}
        now = time.time()
        with self.engine.begin() as connection:
            connection.execute(delete(authorization_request).where(authorization_request.c.expires_at < now - 86400))
            statement = insert(authorization_request).values(
                **row, content=seal_model(request), expires_at=now + minutes * 60
            )
            connection.execute(statement)

    def redeem(self, state: str, session_id: str) -> AuthorizationRequest | None:
        """The sign-in that a state belongs to, once: of this very browser, not used, not expired."""
        table = authorization_request
        mine = (table.c.state_hash == digest(state), table.c.session_id == session_id)
        fresh = (table.c.used_at.is_(None), table.c.expires_at > time.time())
        with self.engine.begin() as connection:
            statement = update(table).where(*mine, *fresh).values(used_at=time.time()).returning(table.c.content)
            content = connection.execute(statement).scalar()
        return open_model(AuthorizationRequest, content) if content else None

    def why_not(self, state: str, session_id: str) -> Literal["unknown", "used", "expired"]:
        """Why a sign-in of this browser cannot be redeemed; another browser's is unknown, as a forged one is."""
        table = authorization_request
        mine = (table.c.state_hash == digest(state), table.c.session_id == session_id)
        with self.reads.connect() as connection:
            row = connection.execute(select(table.c.used_at).where(*mine)).first()
        return "unknown" if row is None else "expired" if row.used_at is None else "used"

    def hospital_of(self, launch_id: str) -> str | None:
        """The hospital from which a launch came, ended ones too: for the way back; says nothing of whose it is."""
        with self.reads.connect() as connection:
            return connection.execute(select(launch.c.tenant).where(launch.c.id == launch_id)).scalar()

    def add_launch(self, found: Launch, tokens: Tokens) -> None:
        """Keep a launch whose sign-in succeeded."""
        row = {"id": found.id, "session_id": found.session_id, "tenant": found.tenant, "expires_at": found.expires_at}
        with self.engine.begin() as connection:
            connection.execute(
                insert(launch).values(
                    **row, content=seal_model(found), tokens=seal_model(tokens), created_at=time.time()
                )
            )

    def find_launch(self, launch_id: str, secret: str) -> Launch | None:
        """A live launch of the browser that holds this cookie.

        When the launch has ended, the newest live one of this browser takes its place if it is the same person's, from
        the same hospital and for the same patient: a page that was open all the time goes on where it was.
        """
        now = time.time()
        mine = (session.c.secret_hash == digest(secret), session.c.ended_at.is_(None), session.c.expires_at > now)
        alive = (launch.c.ended_at.is_(None), launch.c.expires_at > now, *mine)
        joined = select(launch.c.content).join(session, session.c.id == launch.c.session_id).where(*alive)
        with self.reads.connect() as connection:
            content = connection.execute(joined.where(launch.c.id == launch_id)).scalar()
            if content:
                return open_model(Launch, content)
            ended = connection.execute(select(launch.c.content).where(launch.c.id == launch_id)).scalar()
            others = connection.execute(joined.order_by(launch.c.created_at.desc())).scalars().all() if ended else []
        former = open_model(Launch, ended) if ended else None
        found = (open_model(Launch, each) for each in others)
        return next((each for each in found if former and each.continues(former)), None)

    def launches_of(self, session_id: str) -> list[Launch]:
        """The live launches of a session, newest first."""
        alive = (launch.c.session_id == session_id, launch.c.ended_at.is_(None), launch.c.expires_at > time.time())
        statement = select(launch.c.content).where(*alive).order_by(launch.c.created_at.desc())
        with self.reads.connect() as connection:
            return [open_model(Launch, content) for content in connection.execute(statement).scalars()]

    def tokens(self, launch_id: str) -> Tokens | None:
        """The tokens of a live launch."""
        statement = select(launch.c.tokens).where(launch.c.id == launch_id, launch.c.ended_at.is_(None))
        with self.reads.connect() as connection:
            sealed = connection.execute(statement).scalar()
        return open_model(Tokens, sealed) if sealed else None

    def replace_tokens(self, launch_id: str, tokens: Tokens) -> None:
        """Keep renewed tokens; a refresh token that was used is gone with the old row."""
        statement = update(launch).where(launch.c.id == launch_id, launch.c.ended_at.is_(None))
        with self.engine.begin() as connection:
            connection.execute(statement.values(tokens=seal_model(tokens)))


def _end_launches(connection: Connection, which: ColumnElement[bool]) -> list[Tokens]:
    """End live launches, overwriting their tokens; gives those."""
    alive = (which, launch.c.ended_at.is_(None))
    sealed = connection.execute(select(launch.c.tokens).where(*alive)).scalars().all()
    connection.execute(update(launch).where(*alive).values(ended_at=time.time(), tokens=b""))
    return [open_model(Tokens, each) for each in sealed]
