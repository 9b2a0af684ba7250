"""Inviting a patient, or somebody who acts for one, to an account: by whom, whom, and what became of it.

A link is single-use, of 256 random bits, kept as its hash; neither it nor the mail says a word about the person.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from fhir_server.access.proxies import in_force
from fhir_server.auth import mail, opaque, records
from fhir_server.auth.accounts import normal
from fhir_server.auth.mail import Letter
from fhir_server.auth.patients import written_name
from fhir_server.auth.server import AuthorizationServer
from fhir_server.caller import Caller
from fhir_server.errors import Forbidden, NotFound, TooManyRequests, Unprocessable
from fhir_server.store import auth_joining
from fhir_server.store.auth_joining_models import invitation
from fhir_server.store.database import Row
from konsil.secrets import open_, seal

INVITERS = frozenset({"coordinator", "him", "administrator", "interface-engine"})
ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z0-9-]{2,63}")
WHOLE_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
SUBJECT = re.compile(r"(Patient|RelatedPerson)/[A-Za-z0-9\-.]{1,64}")
AT_ONCE = 50
Resource = Mapping[str, Any]
State = Literal["open", "used", "revoked", "expired", "locked"]


@dataclass(frozen=True, slots=True)
class Invitation:
    """One as those who invite see it; `mail` says whether it went out: due, done, or failed with `problem`."""

    id: str
    subject: str
    patient: str
    email: str
    invited_by: str
    created_at: float
    expires_at: float
    state: State
    mail: str | None = None
    problem: str | None = None


async def invite(server: AuthorizationServer, caller: Caller, subject: str, email: str) -> Invitation:
    """Invite `Patient/x` or `RelatedPerson/x`; without an address the one of the record is used.

    A former invitation of the same person that is still open ends.  Raises Forbidden, NotFound for whom the caller does
    not see, Unprocessable for who cannot prove who she is or does not act for anybody, TooManyRequests.
    """
    _require(caller)
    person = await _person(server, caller, subject)
    patient = subject if subject.startswith("Patient/") else str(person["patient"]["reference"])
    address = normal(email or _telecom(person))
    if not ADDRESS.fullmatch(address):
        raise Unprocessable("No e-mail address was given, the record has none, or it cannot be one.")
    if not await mail.may_post(server.db, address, server.clock()):
        raise TooManyRequests("This address had many e-mails from us: wait an hour.")
    link, now, key = opaque.make(), server.clock(), str(uuid4())
    row = {
        "invitation_id": str(uuid4()),
        "subject": subject,
        "patient": patient.rpartition("/")[2],
        "email_sealed": seal(address.encode()),
        "invited_by": caller.subject,
        "organization": caller.organization,
        "created_at": now,
        **_fresh(server, link, key),
    }
    letter = await _letter(server, address, link, patient, key)
    async with server.db.transaction() as transaction:
        await auth_joining.add_invitation(transaction, row)
        await mail.post(transaction, letter)
    return shown(server, {**row, "used_at": None, "revoked_at": None, "state": "due", "last_error": None})


async def resend(server: AuthorizationServer, caller: Caller, invitation_id: str) -> Invitation:
    """Send a new link; the former one ends.  Raises Forbidden, NotFound where it is open no more."""
    row = await _own(server, caller, invitation_id)
    address, link, key = open_(row["email_sealed"]).decode(), opaque.make(), str(uuid4())
    if not await mail.may_post(server.db, address, server.clock()):
        raise TooManyRequests("This address had many e-mails from us: wait an hour.")
    fresh = _fresh(server, link, key) | {"proof_hash": None, "begun_json": None}
    letter = await _letter(server, address, link, f"Patient/{row['patient']}", key)
    async with server.db.transaction() as transaction:
        if not await auth_joining.change_invitation(transaction, invitation_id, fresh):
            raise NotFound("This invitation is open no more.")
        await mail.post(transaction, letter)
    return shown(server, {**_values(row), **fresh, "state": "due", "last_error": None})


async def revoke(server: AuthorizationServer, caller: Caller, invitation_id: str) -> Invitation:
    """Take an invitation back.  Raises Forbidden, NotFound where it is open no more."""
    row = await _own(server, caller, invitation_id)
    now = server.clock()
    async with server.db.transaction() as transaction:
        if not await auth_joining.change_invitation(transaction, invitation_id, {"revoked_at": now}):
            raise NotFound("This invitation is open no more.")
    gone = {**_values(row), "revoked_at": now, "state": None, "last_error": None}
    return shown(server, gone)


async def listed(server: AuthorizationServer, caller: Caller, page: int) -> list[Invitation]:
    """A page of invitations, the newest first: those of the own organization for an interface engine, else all."""
    _require(caller)
    rows = await auth_joining.invitations(server.db, _of(caller), page * AT_ONCE, AT_ONCE)
    return [shown(server, row) for row in rows]


def shown(server: AuthorizationServer, row: Row | Mapping[str, Any]) -> Invitation:
    """Read a row."""
    return Invitation(
        id=row["invitation_id"],
        subject=row["subject"],
        patient=f"Patient/{row['patient']}",
        email=open_(bytes(row["email_sealed"])).decode(),
        invited_by=row["invited_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        state=state_of(row, server.clock()),
        mail=row["state"],
        problem=row["last_error"],
    )


def state_of(row: Row | Mapping[str, Any], now: float) -> State:
    """Say what has become of it."""
    if row["used_at"] is not None:
        return "used"
    if row["revoked_at"] is not None:
        return "revoked"
    if row["failures"] >= auth_joining.MOST_FAILURES:
        return "locked"
    return "open" if row["expires_at"] > now else "expired"


def birth_dates(person: Resource, patient: Resource) -> tuple[str, ...]:
    """What the person has to know: the patient's birth date, and who acts for one the own too."""
    own = () if person["resourceType"] == "Patient" else (str(person.get("birthDate", "")),)
    return (str(patient.get("birthDate", "")), *own)


async def people(server: AuthorizationServer, caller: Caller, subject: str) -> tuple[Resource, Resource]:
    """The person and the patient, as the caller sees them.  Raises NotFound, Unprocessable."""
    person = await _seen(server, caller, subject)
    if person["resourceType"] == "Patient":
        return person, person
    return person, await _seen(server, caller, str(person.get("patient", {}).get("reference", "")))


def _fresh(server: AuthorizationServer, link: str, key: str) -> dict[str, Any]:
    expires_at = server.clock() + server.settings.invitation_seconds
    return {"link_hash": opaque.digest(link), "expires_at": expires_at, "failures": 0, "mail_key": key}


async def _letter(server: AuthorizationServer, address: str, link: str, patient: str, key: str) -> Letter:
    """The mail: the hospital's name, when the link ends, the link."""
    expires_at = server.clock() + server.settings.invitation_seconds
    values = {
        "name": await hospital(server, patient),
        "link": server.url(f"account/welcome?link={link}"),
        "until": f"{datetime.fromtimestamp(expires_at, UTC):%d %B %Y, %H:%M}",
    }
    return Letter(address, "invitation", values, expires_at, key)


async def hospital(server: AuthorizationServer, patient: str) -> str:
    """The name of the hospital that keeps the patient's record; the product's where none is named."""
    registrar = records.registrar(None)
    found = await records.search(server.node, registrar, "Patient", {"_id": patient.rpartition("/")[2]})
    reference = next((str(each.get("managingOrganization", {}).get("reference", "")) for each in found), "")
    kept = await records.search(server.node, registrar, "Organization", {"_id": reference.rpartition("/")[2] or "-"})
    return " ".join(str(next((each.get("name") for each in kept), "") or server.settings.product_name).split())


async def _person(server: AuthorizationServer, caller: Caller, subject: str) -> Resource:
    person, patient = await people(server, caller, subject)
    if not all(WHOLE_DATE.fullmatch(each) for each in birth_dates(person, patient)):
        raise Unprocessable("The record has no whole birth date to ask for: of the patient, or of who acts for her.")
    if person["resourceType"] == "RelatedPerson":
        if not in_force(person, int(server.clock() * 1e6)):
            raise Unprocessable("Who acts for a patient is named active, with a period that has begun and not ended.")
        if not person.get("relationship"):
            raise Unprocessable("The record does not say how this person is related to the patient.")
    if not written_name(person):
        raise Unprocessable("The record has no name of this person.")
    return person


async def _seen(server: AuthorizationServer, caller: Caller, reference: str) -> Resource:
    if not SUBJECT.fullmatch(reference):
        raise Unprocessable("Named is neither a Patient nor a RelatedPerson of this server.")
    resource_type, _, resource_id = reference.partition("/")
    found = await records.search(server.node, caller, resource_type, {"_id": resource_id})
    if not found:
        raise NotFound("This person is not known, or not yours to see.")
    return found[0]


async def _own(server: AuthorizationServer, caller: Caller, invitation_id: str) -> Row:
    _require(caller)
    row = await auth_joining.find_invitation(server.db, "invitation_id", invitation_id)
    if row is None or (_of(caller) is not None and row["organization"] != _of(caller)):
        raise NotFound("There is no such invitation.")
    return row


def _values(row: Row) -> dict[str, Any]:
    return {column.name: row[column.name] for column in invitation.columns}


def _of(caller: Caller) -> str | None:
    return caller.organization if caller.roles == {"interface-engine"} else None


def _require(caller: Caller) -> None:
    if not caller.roles & INVITERS:
        raise Forbidden("Coordinators, HIM staff, administrators and interface engines invite.")


def _telecom(person: Resource) -> str:
    telecom: Sequence[Resource] = person.get("telecom", ())
    return next((str(each.get("value", "")) for each in telecom if each.get("system") == "email"), "")
