"""`/l/{launch}/my`: what a patient, or who acts for one, sees first: cases as sentences, the report, the releases."""

from dataclasses import dataclass

from starlette.responses import Response

from smart_app.banner import banner_of
from smart_app.case.states import state_title
from smart_app.case.view import Case, load_cases
from smart_app.errors import NotFound
from smart_app.fhir import Resource
from smart_app.visit import NavItem, Visit, page

IN_PERSON = ("patient", "proxy")
MOST = 50
RELEASE_OF_INFORMATION = "64292-6"
WORDS = {
    "intake": "The request is being written.",
    "submitted": "The request has been sent. The coordinator looks at it next.",
    "awaiting-records": "Records and images are being collected from other hospitals.",
    "reconciling": "Images from outside have arrived. Staff check that they belong to the right person.",
    "ready-for-triage": "Everything is there. A specialist is being chosen.",
    "offered": "A specialist has been asked to take the case.",
    "assigned": "A specialist has taken the case.",
    "in-review": "The specialist is reading the records.",
    "ancillary-read": "Images or slides are being read again.",
    "info-requested": "The specialist has asked your physician a question.",
    "consent-lapsed": "The release of the records has ended. Nothing more is shown until it is renewed.",
    "report-signed": "The second opinion is ready. Talk about it with your physician.",
    "report-amended": "The second opinion was changed. Talk about it with your physician.",
    "acknowledged": "Your physician has read the second opinion.",
    "follow-up-due": "Your physician is asked how it went.",
    "closed": "The case is closed.",
    "declined": "The service could not take this case. Your physician knows why.",
    "unable": "The service could not answer. Your physician knows why.",
    "cancel-requested": "Your physician wants to withdraw the request.",
    "withdrawn": "The request was withdrawn.",
}
OVER = frozenset({"acknowledged", "closed", "declined", "unable", "withdrawn", "follow-up-due"})


@dataclass(frozen=True, slots=True)
class Mine:
    """One case: where it stands, since when, the promised day while it runs, and whether it is answered."""

    case: Case
    sentence: str
    since: str
    promised: str
    answered: bool


@dataclass(frozen=True, slots=True)
class Release:
    """One Consent: what it is, whether it is in force, from when until when, and whether it is one to withdraw."""

    id: str
    title: str
    in_force: bool
    start: str
    end: str
    open_to_withdrawal: bool


async def my(visit: Visit) -> Response:
    """The page."""
    visit.require(*IN_PERSON)
    patient = await patient_of(visit)
    cases = await load_cases(visit.fhir, {"patient": f"Patient/{patient['id']}"}, MOST)
    found = await visit.fhir.search("Consent", {"patient": f"Patient/{patient['id']}", "_sort": "-date"}, MOST)
    shown = [mine_of(case) for case in cases]
    releases = [release_of(each) for each in found.matches]
    return visit.render("my.html", banner=banner_of(patient), proxy=is_proxy(visit), cases=shown, releases=releases)


async def patient_of(visit: Visit) -> Resource:
    """The patient of this launch.  Raises NotFound."""
    found = await visit.fhir.find(visit.launch.patient or "")
    if found is None:
        raise NotFound("The record is not yours to see any more.", "Ask the hospital that keeps it.")
    return found


def is_proxy(visit: Visit) -> bool:
    """Whether the person acts for somebody else."""
    return visit.launch.has_role("proxy")


def mine_of(case: Case) -> Mine:
    """A case in plain words."""
    sentence = WORDS.get(case.state, f"{state_title(case.state)}.")
    since = str(case.task.get("lastModified") or case.task.get("authoredOn") or "")
    return Mine(case, sentence, since, "" if case.state in OVER else case.promised, bool(case.report))


def release_of(consent: Resource) -> Release:
    """A Consent in plain words; whether its period holds is for the server to say at each request."""
    period = consent.get("provision", {}).get("period", {})
    title = next((each.get("text", "") for each in consent.get("category", []) if each.get("text")), "")
    in_force = consent.get("status") == "active"
    start, end = period.get("start", ""), period.get("end", "")
    return Release(consent["id"], title or "Release of records", in_force, start, end, can_be_withdrawn(consent))


def can_be_withdrawn(consent: Resource) -> bool:
    """Whether it releases something: what only denies is for the hospital to lift.  Consent.provision.type"""
    codes = {coding.get("code") for each in consent.get("category", []) for coding in each.get("coding", [])}
    denies = consent.get("provision", {}).get("type") == "deny"
    return consent.get("status") == "active" and RELEASE_OF_INFORMATION in codes and not denies


async def withdraw(visit: Visit) -> Response:
    """A patient withdraws a release: the new version is inactive, and nothing new is shown by it.  Raises NotFound."""
    visit.require("patient")
    consent = await visit.fhir.find(f"Consent/{visit.request.path_params['consent']}")
    if consent is None:
        raise NotFound("This release is not on record.", "Go back to your cases.")
    if not can_be_withdrawn(consent):
        return visit.go("my", "This release was not in force any more.")
    await visit.fhir.update({**consent, "status": "inactive"})
    return visit.go("my", "The release is withdrawn. Nothing new is shown by it.")


routes = [page("my", my), page("my/releases/{consent}/withdraw", withdraw, ("POST",))]
nav = [NavItem("Cases", "my", "report-medical", IN_PERSON)]
