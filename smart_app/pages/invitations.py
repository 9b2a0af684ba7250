"""`/l/{launch}/invitations`: staff invite patients, and who acts for them, to an account; what became of each.

The FHIR server sends the e-mail, keeps the invitation, says who may and writes the audit.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.responses import Response

from smart_app.banner import banner_of
from smart_app.errors import FhirFailure, Invalid, NotFound, Unavailable, Unreadable
from smart_app.fhir import Resource
from smart_app.visit import NavItem, Visit, page
from smart_app.words import concept, person_name

INVITERS = ("coordinator", "him", "administrator")
MOST_FOUND = 20
NAMED = {"Patient", "RelatedPerson"}
DEEDS = {"resend": "Sent again; the former link ends.", "revoke": "Taken back: its link opens nothing any more."}


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation in words; `again`: a new link may be sent, and this one be taken back."""

    id: str
    who: str
    acts_for: str
    email: str
    sent: str
    ends: str
    state: str
    tone: str
    icon: str
    problem: str
    again: bool


async def listed(visit: Visit) -> Response:
    """What was sent, the newest first, in pages."""
    visit.require(*INVITERS)
    at = visit.request.query_params.get("page", "0")
    at = at if re.fullmatch(r"[0-9]{1,6}", at) else "0"
    found = await _ask(visit, "GET", f"?page={at}")
    rows = found["invitations"]
    names = await _names(visit, {row[member] for row in rows for member in ("subject", "patient")})
    invited = [invited_of(row, names) for row in rows]
    return visit.render("invitations.html", invited=invited, at=int(at), more=found["more"])


def invited_of(row: Mapping[str, Any], names: Mapping[str, str]) -> Invited:
    """Read one."""
    state, tone, icon = state_of(row)
    proxy = row["subject"] != row["patient"]
    return Invited(
        id=row["id"],
        who=names.get(row["subject"], "Somebody who is not yours to see"),
        acts_for=names.get(row["patient"], "a patient") if proxy else "",
        email=row["email"],
        sent=_moment(row["created_at"]),
        ends=_moment(row["expires_at"]),
        state=state,
        tone=tone,
        icon=icon,
        problem=row["problem"] or "",
        again=row["state"] in {"open", "expired", "locked"},
    )


def state_of(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """The state in words, its tone and its icon; while the link is open it is the e-mail's."""
    if row["state"] != "open":
        return {
            "used": ("accepted", "good", "circle-check"),
            "revoked": ("taken back", "neutral", "ban"),
            "expired": ("expired", "attention", "clock-exclamation"),
        }.get(row["state"], ("locked after wrong answers", "attention", "lock"))
    if row["mail"] == "failed":
        return "could not be delivered", "danger", "alert-triangle"
    return ("invited", "active", "mail") if row["mail"] == "done" else ("on its way", "neutral", "hourglass")


async def choose(visit: Visit) -> Response:
    """Whom to invite: of a patient that is named, else of those that a name or record number (POST) finds."""
    visit.require(*INVITERS)
    patient = visit.request.query_params.get("patient", "")
    if patient:
        return await _form(visit, patient, {})
    asked = str((await visit.form()).get("who") or "").strip()[:100] if visit.request.method == "POST" else ""
    by = {"identifier": asked} if re.search(r"\d", asked) else {"name": asked}
    found = (await visit.fhir.search("Patient", by, most=MOST_FOUND)).matches if asked else []
    return visit.render("invitation_find.html", asked=asked, found=[(each["id"], banner_of(each)) for each in found])


async def _form(visit: Visit, patient: str, given: Mapping[str, str], wrong: str = "") -> Response:
    """The form for one patient: the patient, and everybody who acts for her."""
    found = await visit.fhir.find(f"Patient/{patient}") if re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", patient) else None
    if found is None:
        raise NotFound("This patient is not known, or not yours to see.")
    related = (await visit.fhir.search("RelatedPerson", {"patient": patient}, most=MOST_FOUND)).matches
    people = [(f"{each['resourceType']}/{each['id']}", person_name(each), _is(each), _email(each)) for each in related]
    people.insert(0, (f"Patient/{patient}", person_name(found), "the patient", _email(found)))
    chosen = given.get("subject") or people[0][0]
    values = {"people": people, "chosen": chosen, "email": given.get("email", ""), "wrong": wrong}
    return visit.render(
        "invitation_new.html", 422 if wrong else 200, banner=banner_of(found), patient=patient, **values
    )


async def invite(visit: Visit) -> Response:
    """POST: send it; what the server does not take is said at the form, which keeps what was written."""
    visit.require(*INVITERS)
    posted = await visit.form()
    given = {name: str(posted.get(name) or "").strip()[:400] for name in ("patient", "subject", "email")}
    try:
        made = await _ask(visit, "POST", "", {"subject": given["subject"], "email": given["email"]})
    except FhirFailure as refused:
        return await _form(visit, given["patient"], given, refused.sentence)
    return visit.go("invitations", said=f"The invitation goes to {made['email']}.")


async def do(visit: Visit) -> Response:
    """POST: send it again with a new link, or take it back."""
    visit.require(*INVITERS)
    invitation, deed = visit.request.path_params["invitation"], visit.request.path_params["deed"]
    if deed not in DEEDS or not re.fullmatch(r"[0-9a-f-]{36}", invitation):
        raise Invalid("There is no such deed.")
    try:
        await _ask(visit, "POST", f"/{invitation}/{deed}")
    except FhirFailure as refused:
        return visit.go("invitations", said=refused.sentence, tone="danger")
    return visit.go("invitations", said=DEEDS[deed])


async def _ask(visit: Visit, method: str, path: str, content: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Ask the server's `/account/invitations` with the person's token.  Raises FhirFailure, Unavailable, Unreadable."""
    base = visit.services.settings.fhir_base_url.rstrip("/").removesuffix("/fhir")
    http = visit.services.clients.for_origins([base])
    headers = {"Authorization": f"Bearer {await visit.own_token()}"}
    try:
        answer = await http.request(method, f"{base}/account/invitations{path}", headers=headers, json=content)
    except httpx.HTTPError as error:
        raise Unavailable("The server that invites does not answer.", "Try again in a moment.") from error
    try:
        said = dict(answer.json())
    except ValueError as error:
        raise Unreadable("The server that invites gives an answer that cannot be read.") from error
    if answer.is_error:
        raise FhirFailure(answer.status_code, [str(each.get("diagnostics", "")) for each in said.get("issue", [])])
    return said


async def _names(visit: Visit, references: Iterable[str]) -> dict[str, str]:
    """The names of people, by reference, as far as they may be seen."""
    by_type: dict[str, list[str]] = {}
    for reference in sorted(references):
        resource_type, _, resource_id = reference.partition("/")
        by_type.setdefault(resource_type, []).append(resource_id)
    names: dict[str, str] = {}
    for resource_type in NAMED & by_type.keys():
        ids = by_type[resource_type]
        found = await visit.fhir.search(resource_type, {"_id": ",".join(ids)}, most=len(ids))
        names |= {f"{resource_type}/{each['id']}": person_name(each) for each in found.matches}
    return names


def _is(related: Resource) -> str:
    return next((concept(each) for each in related.get("relationship", ())), "acts for the patient")


def _email(person: Resource) -> str:
    return next((str(each.get("value", "")) for each in person.get("telecom", ()) if each.get("system") == "email"), "")


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


routes = [
    page("invitations", listed),
    page("invitations/new", choose, ("GET", "POST")),
    page("invitations/send", invite, ("POST",)),
    page("invitations/{invitation}/{deed}", do, ("POST",)),
]
nav = [NavItem("Invitations", "invitations", "mail", INVITERS)]
