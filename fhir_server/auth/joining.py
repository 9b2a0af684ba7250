"""From the link of an invitation to an account: who proves to be the person sets up a password and a second step.

The link alone shows nothing. Five wrong answers, birth dates and codes together, end it.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import orjson
from anyio import to_thread

from fhir_server.access.proxies import in_force
from fhir_server.auth import accounts, invitations, mail, mail_codes, opaque, passwords, records, steps, totp
from fhir_server.auth.patients import written_name
from fhir_server.auth.server import AuthorizationServer
from fhir_server.errors import FhirError
from fhir_server.store import auth_joining, auth_registry
from fhir_server.store.auth_values import Account
from fhir_server.store.database import Contention, Row
from konsil.secrets import open_, seal

PROOF_SECONDS = 1800.0
Factor = Literal["totp", "email"]


class Ended(Exception):
    """The link or the page is of no use (any more); which of the reasons it was is not said."""


@dataclass(frozen=True, slots=True)
class Joining:
    """Somebody who has proved to be the person; `begun`: what was chosen before the last code."""

    handle: str
    row: Row
    email: str
    begun: Mapping[str, Any]

    @property
    def is_proxy(self) -> bool:
        """Whether the account will act for somebody else."""
        return str(self.row["subject"]).startswith("RelatedPerson/")


async def opened(server: AuthorizationServer, link: str) -> Row:
    """Find the invitation of a link.  Raises Ended."""
    row = await auth_joining.find_invitation(server.db, "link_hash", opaque.digest(link))
    if row is None or invitations.state_of(row, server.clock()) != "open":
        raise Ended
    return row


async def prove(server: AuthorizationServer, row: Row, given: Sequence[str]) -> str | None:
    """Compare birth dates; gives the handle to go on with, None where one is wrong.  Raises Ended.

    A try is counted before it is looked at; right answers give it back.
    """
    async with server.db.transaction() as transaction:
        if not await auth_joining.count_guess(transaction, row["invitation_id"], server.clock()):
            raise Ended
    wanted = invitations.birth_dates(*await _people(server, row["subject"]))
    pairs = zip(wanted, [*given, "", ""], strict=False)
    right = [hmac.compare_digest(date.encode(), answer.strip().encode()) for date, answer in pairs]
    if not all(right):
        return None
    handle = opaque.make()
    values = {"proof_hash": opaque.digest(handle), "proof_until": server.clock() + PROOF_SECONDS, "failures": 0}
    await _change(server, row, values | {"begun_json": None})
    return handle


async def proved(server: AuthorizationServer, handle: str) -> Joining:
    """Take it up again.  Raises Ended."""
    row = await auth_joining.find_invitation(server.db, "proof_hash", opaque.digest(handle))
    now = server.clock()
    if row is None or invitations.state_of(row, now) != "open" or (row["proof_until"] or 0.0) <= now:
        raise Ended
    begun = orjson.loads(row["begun_json"]) if row["begun_json"] else {}
    return Joining(handle, row, open_(bytes(row["email_sealed"])).decode(), begun)


async def choose(server: AuthorizationServer, joining: Joining, password: str, factor: Factor) -> None:
    """Keep password and second step until the code shows that the step works.  Raises Unsuitable, Ended."""
    accounts.check_suitable(password, joining.email)
    hashed = await to_thread.run_sync(passwords.make, password)
    begun: dict[str, Any] = {"password_hash": hashed, "factor": factor}
    if factor == "totp":
        begun["secret"] = totp.sealed(totp.new_secret())
        await _change(server, joining.row, {"begun_json": orjson.dumps(begun).decode()})
        return
    await _send_code(server, joining, begun)


async def send_again(server: AuthorizationServer, joining: Joining) -> None:
    """Send another code; the former one ends.  Raises Ended."""
    await _send_code(server, joining, dict(joining.begun))


async def finish(server: AuthorizationServer, joining: Joining, code: str) -> Account | None:
    """Make the account, if the code is right; None where it is not.  Raises Ended."""
    now = server.clock()
    async with server.db.transaction() as transaction:
        if not await auth_joining.count_guess(transaction, joining.row["invitation_id"], now):
            raise Ended
    step = _matching(server, joining, code)
    if step is None:
        return None
    account = await _account(server, joining)
    row = _account_row(joining, account, step)
    try:
        async with server.db.transaction() as transaction:
            if not await auth_joining.change_invitation(
                transaction, joining.row["invitation_id"], {"used_at": now, "begun_json": None}
            ):
                raise Ended
            await auth_joining.add_account(transaction, row)
            if joining.is_proxy:
                await auth_joining.add_acting(
                    transaction, account.account_id, joining.row["subject"], joining.row["patient"]
                )
    except Contention:
        raise Ended from None
    return account


async def add_to(server: AuthorizationServer, joining: Joining, account: Account) -> None:
    """Let the account of the same address, whose person is signed in, act for one more patient.  Raises Ended."""
    await _people(server, joining.row["subject"])
    values: dict[str, Any] = {"roles_json": orjson.dumps(sorted(account.roles | {_role(joining)})).decode()}
    if not joining.is_proxy:
        if account.fhir_user not in {None, joining.row["subject"]}:
            raise Ended
        values["fhir_user"] = joining.row["subject"]
    async with server.db.transaction() as transaction:
        used = {"used_at": server.clock(), "begun_json": None}
        if not await auth_joining.change_invitation(transaction, joining.row["invitation_id"], used):
            raise Ended
        if joining.is_proxy:
            await auth_joining.add_acting(
                transaction, account.account_id, joining.row["subject"], joining.row["patient"]
            )
        await auth_joining.change_account(transaction, account.account_id, values)


async def has_account(server: AuthorizationServer, joining: Joining) -> bool:
    """Whether the invited address has an account: only who holds the link and has proved learns it."""
    return await auth_registry.find_local_account(server.db, joining.email) is not None


async def _send_code(server: AuthorizationServer, joining: Joining, begun: dict[str, Any]) -> None:
    if not await mail.may_post(server.db, joining.email, server.clock()):
        raise Ended
    code = mail_codes.new_code()
    begun |= {"code": mail_codes.hashed(joining.handle, code), "until": server.clock() + steps.SECONDS["mailed"]}
    async with server.db.transaction() as transaction:
        kept = {"begun_json": orjson.dumps(begun).decode()}
        if not await auth_joining.change_invitation(transaction, joining.row["invitation_id"], kept):
            raise Ended
        await mail.post(transaction, mail_codes.letter(server, joining.email, code))


def _matching(server: AuthorizationServer, joining: Joining, code: str) -> int | None:
    """The time step of an authenticator's code, 0 for the right code of an e-mail; None for a wrong one."""
    begun, now = joining.begun, server.clock()
    if begun.get("factor") == "totp":
        return totp.matching_step(totp.unsealed(str(begun["secret"])), code, now)
    right = hmac.compare_digest(str(begun.get("code", "")), mail_codes.hashed(joining.handle, code))
    return 0 if right and begun["until"] > now else None


async def _account(server: AuthorizationServer, joining: Joining) -> Account:
    person, _ = await _people(server, joining.row["subject"])
    return Account(
        account_id=str(uuid4()),
        name=written_name(person),
        roles=frozenset({_role(joining)}),
        organization=None,
        fhir_user=None if joining.is_proxy else joining.row["subject"],
        username=joining.email,
        email=joining.email,
        email_codes=joining.begun["factor"] == "email",
        second_factor=joining.begun["factor"] == "totp",
    )


def _account_row(joining: Joining, account: Account, step: int) -> dict[str, Any]:
    by_totp = account.second_factor
    return {
        "account_id": account.account_id,
        "username": account.username,
        "password_hash": joining.begun["password_hash"],
        "name": account.name,
        "roles_json": orjson.dumps(sorted(account.roles)).decode(),
        "organization": None,
        "fhir_user": account.fhir_user,
        "disabled": False,
        "totp_sealed": seal(totp.unsealed(str(joining.begun["secret"])).encode()) if by_totp else None,
        "totp_step": step if by_totp else None,
        "email": account.email,
        "email_codes": account.email_codes,
    }


def _role(joining: Joining) -> str:
    return "proxy" if joining.is_proxy else "patient"


async def _people(server: AuthorizationServer, subject: str) -> tuple[invitations.Resource, invitations.Resource]:
    """The person and the patient as they are on record now.  Raises Ended where one acts no more for the other."""
    try:
        person, patient = await invitations.people(server, records.registrar(None), subject)
    except FhirError:
        raise Ended from None
    if person["resourceType"] == "RelatedPerson" and not in_force(person, int(server.clock() * 1e6)):
        raise Ended
    return person, patient


async def _change(server: AuthorizationServer, row: Row, values: Mapping[str, Any]) -> None:
    async with server.db.transaction() as transaction:
        if not await auth_joining.change_invitation(transaction, row["invitation_id"], values):
            raise Ended
