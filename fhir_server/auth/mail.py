"""E-mails as rows of the outbox: written in the transaction of their cause, delivered by a thread of the server.

What a row holds is sealed: the address, and a link or code that opens an account.
"""

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from uuid import uuid4

import orjson
from anyio import to_thread
from sqlalchemy import select
from sqlalchemy.engine import Engine

from fhir_server.auth import forgotten, letters, opaque, postman
from fhir_server.settings import Settings
from fhir_server.store import auth_joining
from fhir_server.store.auth_joining_models import mail
from fhir_server.store.database import Database, Transaction
from konsil.database import reader, sync_engine
from konsil.outbox import Failed, Job, NewJob, Policy, Runner, enqueue
from konsil.secrets import open_, seal

POLICY = Policy(max_attempts=30)
LOOK_SECONDS = 1.0
MOST_AN_HOUR = 10
"""So many mails to one address: more would help a stranger to fill somebody's mailbox."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be sent: to whom, which template, its values, and until when it is of use (epoch seconds)."""

    to: str
    template: str
    values: Mapping[str, str]
    until: float
    key: str = field(default_factory=lambda: str(uuid4()))


async def post(transaction: Transaction, letter: Letter) -> None:
    """Put a letter into the outbox, in the transaction of its cause."""
    content = {"to": letter.to, "values": dict(letter.values), "until": letter.until}
    await _enqueue(transaction, letter.template, content, letter.key)


async def post_forgotten(transaction: Transaction, address: str, base: str) -> None:
    """Note that somebody has forgotten a password: whether the address is known is looked up later, by the worker."""
    await _enqueue(transaction, forgotten.KIND, {"to": address, "base": base}, str(uuid4()))


async def may_post(db: Database, address: str, now: float) -> bool:
    """Whether the address may get one more this hour."""
    return await auth_joining.mails_since(db, _order_key(address), now - 3600) < MOST_AN_HOUR


async def _enqueue(transaction: Transaction, kind: str, content: Mapping[str, Any], key: str) -> None:
    job = NewJob(kind, sealed(content), key, _order_key(str(content["to"])))
    await transaction.execute(enqueue(mail, transaction.dialect, job))


def sealed(content: Mapping[str, Any]) -> dict[str, str]:
    """Write the payload of a row."""
    return {"sealed": base64.b64encode(seal(orjson.dumps(content))).decode()}


def _order_key(address: str) -> str:
    return f"mail {opaque.digest(address)}"


KINDS = ("invitation", "code", "email_old", "email_new")


def runner(settings: Settings, engine: Engine) -> Runner:
    """Make what delivers."""

    def send(job: Job) -> None:
        content = _content(job)
        if content["until"] <= time.time():
            raise Failed("too late: what it says has expired")
        message = letters.write(settings.mail_from, content["to"], job.kind, content["values"])
        postman.deliver(settings, message)

    def remind(job: Job) -> None:
        content = _content(job)
        values = forgotten.values(engine, content["to"], content["base"], settings.product_name)
        if values is not None:
            postman.deliver(settings, letters.write(settings.mail_from, content["to"], forgotten.KIND, values))

    handlers = {kind: send for kind in KINDS} | {forgotten.KIND: remind}
    return Runner(engine, mail, handlers, policy=POLICY)


def _content(job: Job) -> dict[str, Any]:
    return dict(orjson.loads(open_(base64.b64decode(job.payload["sealed"]))))


async def running(settings: Settings) -> None:
    """Deliver what is due, until cancelled; the database is let go of when the thread at work has ended."""
    engine, at_work = sync_engine(settings.database_url), Lock()
    delivering = runner(settings, engine)
    try:
        while True:
            await to_thread.run_sync(_deliver_due, delivering, at_work)
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        delivering.stop()
        await to_thread.run_sync(_let_go, engine, at_work)


def _deliver_due(delivering: Runner, at_work: Lock) -> None:
    with at_work:
        due = delivering.next_due()
        if due is not None and due <= time.time():
            delivering.run_due()


def _let_go(engine: Engine, at_work: Lock) -> None:
    with at_work:
        engine.dispose()


def failed(settings: Settings) -> list[tuple[int, str, str]]:
    """The mails that could not be delivered for good: number, template, why; to whom stays sealed."""
    engine = sync_engine(settings.database_url)
    try:
        with reader(engine).connect() as connection:
            columns = select(mail.c.id, mail.c.kind, mail.c.last_error)
            rows = connection.execute(columns.where(mail.c.state == "failed").order_by(mail.c.id))
            return [(row.id, row.kind, row.last_error) for row in rows]
    finally:
        engine.dispose()


def send_again(settings: Settings, number: int) -> bool:
    """Make a failed one due again; False when there is none of this number."""
    engine = sync_engine(settings.database_url)
    try:
        return runner(settings, engine).resend(number)
    finally:
        engine.dispose()
