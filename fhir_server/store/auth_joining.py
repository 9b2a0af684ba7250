"""Rows of people who come by a link.  What works once is consumed by `UPDATE ... RETURNING`."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Select, insert, or_, select, update

from fhir_server.store.auth_joining_models import acting, email_change, invitation, mail
from fhir_server.store.auth_models import account, step
from fhir_server.store.database import Contention, Database, Row, Transaction

Executor = Database | Transaction
Values = Mapping[str, Any]
Key = Literal["invitation_id", "link_hash", "proof_hash"]
MOST_FAILURES = 5
OPEN = invitation.c.used_at.is_(None) & invitation.c.revoked_at.is_(None)


async def add_invitation(db: Transaction, row: Values) -> None:
    """Insert an invitation; a former one of the same person that is open ends."""
    same = update(invitation).where(invitation.c.subject == row["subject"], OPEN)
    await db.execute(same.values(revoked_at=row["created_at"]))
    await db.execute(insert(invitation).values(**row))


async def find_invitation(db: Executor, key: Key, value: str) -> Row | None:
    """Look one up, open or not."""
    rows = await db.fetch(select(invitation).where(invitation.c[key] == value))
    return rows[0] if rows else None


async def invitations(db: Executor, organization: str | None, offset: int, count: int) -> Sequence[Row]:
    """List them, the newest first, with what became of the last mail; of one organization, or (None) of all."""
    statement: Select[Any] = (
        select(invitation, mail.c.state, mail.c.last_error)
        .outerjoin(mail, mail.c.dedupe_key == invitation.c.mail_key)
        .order_by(invitation.c.created_at.desc(), invitation.c.invitation_id)
    )
    if organization is not None:
        statement = statement.where(invitation.c.organization == organization)
    return await db.fetch(statement.limit(count).offset(offset))


async def change_invitation(db: Transaction, invitation_id: str, values: Values) -> bool:
    """Change an open one; False when it is open no more."""
    statement = update(invitation).where(invitation.c.invitation_id == invitation_id, OPEN).values(**values)
    return bool(await db.fetch(statement.returning(invitation.c.invitation_id)))


async def count_guess(db: Transaction, invitation_id: str, now: float) -> bool:
    """Count an answer as wrong before it is looked at, so that many at once count as many; False: no try is left."""
    left = OPEN & (invitation.c.failures < MOST_FAILURES) & (invitation.c.expires_at > now)
    statement = update(invitation).where(invitation.c.invitation_id == invitation_id, left)
    counted = statement.values(failures=invitation.c.failures + 1).returning(invitation.c.failures)
    return bool(await db.fetch(counted))


async def count_step_guess(db: Transaction, handle_hash: str) -> bool:
    """The same for what a person has begun otherwise: a code by e-mail, a forgotten password."""
    left = step.c.used_at.is_(None) & (step.c.failures < MOST_FAILURES)
    statement = update(step).where(step.c.handle_hash == handle_hash, left).values(failures=step.c.failures + 1)
    return bool(await db.fetch(statement.returning(step.c.failures)))


async def add_account(db: Transaction, row: Values) -> None:
    """Insert an account that belongs to an e-mail address.  Raises Contention where there is one."""
    taken = await db.fetch(select(account.c.account_id).where(account.c.username == row["username"]))
    if taken:
        raise Contention
    await db.execute(insert(account).values(**row))


async def change_account(db: Transaction, account_id: str, values: Values) -> None:
    """Change columns of an account."""
    await db.execute(update(account).where(account.c.account_id == account_id).values(**values))


async def username_is_taken(db: Executor, username: str) -> bool:
    """Whether somebody signs in by this name."""
    return bool(await db.fetch(select(account.c.account_id).where(account.c.username == username)))


async def add_acting(db: Transaction, account_id: str, related_person: str, patient: str) -> None:
    """Note that the account is this RelatedPerson; nothing where it was noted before."""
    same = acting.c.account_id == account_id, acting.c.related_person == related_person
    if not await db.fetch(select(acting.c.patient).where(*same)):
        row = {"account_id": account_id, "related_person": related_person, "patient": patient}
        await db.execute(insert(acting).values(**row))


async def acting_for(db: Executor, account_id: str) -> Sequence[Row]:
    """List the RelatedPersons that an account is."""
    return await db.fetch(select(acting).where(acting.c.account_id == account_id).order_by(acting.c.related_person))


async def add_email_change(db: Transaction, row: Values) -> None:
    """Insert a change of e-mail; a former one that waits ends."""
    former = update(email_change).where(
        email_change.c.account_id == row["account_id"], email_change.c.used_at.is_(None)
    )
    await db.execute(former.values(used_at=0.0))
    await db.execute(insert(email_change).values(**row))


async def find_email_change(db: Executor, link_hash: str, now: float) -> Row | None:
    """Look up the change that a link, the old or the new address's, belongs to."""
    waiting = email_change.c.used_at.is_(None) & (email_change.c.expires_at > now)
    either = or_(email_change.c.old_hash == link_hash, email_change.c.new_hash == link_hash)
    rows = await db.fetch(select(email_change).where(either, waiting))
    return rows[0] if rows else None


async def confirm_email_change(db: Transaction, change: Row, link_hash: str, now: float) -> bool:
    """Note that one address has confirmed; True when both have, once."""
    side = "old_at" if change["old_hash"] == link_hash else "new_at"
    same = email_change.c.old_hash == change["old_hash"]
    await db.execute(update(email_change).where(same).values({side: now}))
    both = email_change.c.old_at.is_not(None) & email_change.c.new_at.is_not(None) & email_change.c.used_at.is_(None)
    done = update(email_change).where(same, both).values(used_at=now)
    return bool(await db.fetch(done.returning(email_change.c.old_hash)))


async def mails_since(db: Executor, order_key: str, since: float) -> int:
    """How many mails to one address were written since."""
    return len(await db.fetch(select(mail.c.id).where(mail.c.order_key == order_key, mail.c.created_at > since)))
