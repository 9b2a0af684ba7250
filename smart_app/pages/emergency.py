"""`/l/{launch}/emergency`: one patient's record in an emergency, for those who treat, and its review for officers."""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

import profiles
from smart_app import emergency as accesses
from smart_app.banner import banner_of, known_allergies
from smart_app.case.material import date_of, read_all, title_of
from smart_app.case.view import load_cases
from smart_app.emergency import OFFICERS, TREATING, Emergency
from smart_app.errors import AppError, FhirFailure, Invalid, NotFound
from smart_app.fhir import Resource
from smart_app.pages.record import SHOWN_AS_FILE, attachments, author_of, facts_of, lines, part
from smart_app.pages.steps import clock_of
from smart_app.request.chart import GROUP_TITLES, items, read_chart
from smart_app.visit import NavItem, Visit, page

MINUTES = {"15": "15 minutes", "60": "1 hour", "120": "2 hours", "240": "4 hours"}
SHORTEST = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form says: of a case, of a patient known by id, or by record number and date of birth."""

    case: str = ""
    patient: str = ""
    number: str = ""
    born: str = ""
    reason: str = ""
    words: str = ""
    minutes: str = "60"

    @classmethod
    def of(cls, given: Any) -> "Asked":
        """The fields that were given."""
        found = {name: str(given.get(name, "")).strip()[:2000] for name in cls.__slots__ if given.get(name)}
        return cls(**found)

    @property
    def target(self) -> str:
        """Of what the operation is called."""
        return f"Task/{self.case}" if self.case else f"Patient/{self.patient}" if self.patient else "Patient"

    @property
    def said(self) -> dict[str, str | int]:
        """The operation's parameters."""
        named = {} if self.case or self.patient else {"identifier": self.number, "birthdate": self.born}
        minutes = int(self.minutes) if self.minutes in MINUTES else 60
        return {"reason": self.reason, "comment": self.words, "minutes": minutes, **named}

    def wrong(self) -> dict[str, str]:
        """What is still to be said, by field."""
        found = {
            "reason": "" if self.reason in reasons() else "Choose why.",
            "words": "" if len(self.words) >= SHORTEST else "Say it in words: who reviews this reads them.",
            "number": "" if self.case or self.patient or self.number else "Which patient?",
            "born": "" if self.case or self.patient or self.born else "The date of birth, so that it is the right one.",
        }
        return {name: sentence for name, sentence in found.items() if sentence}


def reasons() -> dict[str, str]:
    """The coded reasons and their words."""
    (included,) = profiles.load("ValueSet-break-glass-reason.json")["compose"]["include"]
    return {each["code"]: each["display"] for each in included["concept"]}


async def form(visit: Visit) -> Response:
    """The question why, and this person's former accesses."""
    visit.require(*TREATING)
    return await _form(visit, Asked.of(visit.request.query_params), {})


async def begin(visit: Visit) -> Response:
    """Open the record, and show it."""
    visit.require(*TREATING)
    asked = Asked.of(await visit.form())
    wrong = asked.wrong()
    if wrong:
        return await _form(visit, asked, wrong, 422)
    try:
        access = await accesses.begin(visit.fhir, asked.target, asked.said)
    except NotFound:
        nobody = "No one patient here has this number and this date of birth." if not asked.case else "No such case."
        return await _form(visit, asked, {"number": nobody}, 422)
    except FhirFailure as failure:
        if failure.status != 400:
            raise
        return await _form(visit, asked, {"words": failure.sentence}, 422)
    _forget(visit)
    return visit.go(f"emergency/{access}", "The record is open. The privacy officers have been told.", tone="neutral")


async def _form(visit: Visit, asked: Asked, wrong: dict[str, str], status: int = 200) -> Response:
    mine = await accesses.accesses(visit.fhir, {"focus": visit.launch.practitioner}, most=20)
    values = {"asked": asked, "wrong": wrong, "mine": mine, "reasons": reasons(), "minutes": MINUTES}
    return visit.render("emergency.html", status, **values)


async def record(visit: Visit) -> Response:
    """The record while the access lasts."""
    visit.require(*TREATING)
    access = await _own(visit)
    if not access.is_open:
        return visit.go("emergency", "This emergency access is over.", tone="neutral")
    patient = await visit.fhir.read(f"Patient/{access.patient}")
    chart, allergies = await asyncio.gather(
        read_chart(visit.fhir, access.patient), known_allergies(visit.fhir, access.patient)
    )
    found = items(chart, clock_of(visit).now().date())
    groups = [(title, [each for each in found if each.group == group]) for group, title in GROUP_TITLES.items()]
    studies = (await visit.fhir.search("ImagingStudy", {"patient": access.patient, "_sort": "-started"})).matches
    return visit.render(
        "emergency_record.html",
        access=access,
        banner=banner_of(patient, allergies),
        elsewhere=visit.launch.is_about_another(f"Patient/{access.patient}"),
        groups=[(title, several) for title, several in groups if several],
        studies=studies,
        cases=await load_cases(visit.fhir, {"patient": access.patient}),
        missing=chart.missing,
    )


async def part_of_record(visit: Visit) -> Response:
    """One record as a page."""
    resource = await _resource(visit)
    results = await read_all(visit.fhir, [each.get("reference", "") for each in resource.get("result", [])])
    here = visit.request.url.path
    return visit.render(
        "record.html",
        results=lines(list(results.values())),
        resource=resource,
        title=title_of(resource),
        date=date_of(resource),
        by=author_of(resource),
        facts=facts_of(resource),
        parts=[part(each, f"{here}/{place}") for place, each in enumerate(attachments(resource))],
    )


async def attachment(visit: Visit) -> Response:
    """One attachment's bytes: PDF and pictures as they are, anything else as a download."""
    found, place = attachments(await _resource(visit)), int(visit.request.path_params["place"])
    if place >= len(found):
        raise NotFound("The record has no such attachment.")
    content, content_type = await visit.fhir.attachment(found[place])
    shown = content_type in SHOWN_AS_FILE
    headers = {} if shown else {"content-disposition": "attachment"}
    return Response(content, media_type=content_type if shown else "application/octet-stream", headers=headers)


async def _resource(visit: Visit) -> Resource:
    """A record of the patient whose record is open, and of no other."""
    visit.require(*TREATING)
    access, params = await _own(visit), visit.request.path_params
    resource = await visit.fhir.read(f"{params['type']}/{params['id']}")
    named = resource.get("subject") or resource.get("patient") or {}
    if not access.is_open or named.get("reference") != f"Patient/{access.patient}":
        raise NotFound("This record is not part of the record that is open.")
    return resource


async def _own(visit: Visit) -> Emergency:
    access = await accesses.one(visit.fhir, visit.request.path_params["access"])
    if access is None or access.person != visit.launch.practitioner:
        raise NotFound("There is no such emergency access of yours.")
    return access


async def end(visit: Visit) -> Response:
    """End it now: by who has it, or by an officer."""
    visit.require(*TREATING, *OFFICERS)
    await accesses.end(visit.fhir, visit.request.path_params["access"])
    _forget(visit)
    return visit.go(
        "emergencies" if visit.launch.has_role(*OFFICERS) else "emergency", "The emergency access has ended."
    )


async def listed(visit: Visit) -> Response:
    """All accesses for the officers: those that wait first."""
    visit.require(*OFFICERS)
    return await _listed(visit)


async def _listed(visit: Visit, wrong: str = "", status: int = 200) -> Response:
    waiting = await accesses.accesses(visit.fhir, {"status": "requested"})
    reviewed = await accesses.accesses(visit.fhir, {"status": "completed"})
    return visit.render("emergencies.html", status, waiting=waiting, reviewed=reviewed, wrong=wrong)


async def review(visit: Visit) -> Response:
    """Keep an officer's judgement."""
    visit.require(*OFFICERS)
    given, access = await visit.form(), visit.request.path_params["access"]
    verdict, words = str(given.get("verdict", "")), str(given.get("comment", "")).strip()
    if not verdict or len(words) < SHORTEST:
        return await _listed(visit, access, 422)
    try:
        await accesses.review(visit.fhir, access, verdict, words)
    except FhirFailure as failure:
        raise _refused(failure) from failure
    _forget(visit)
    return visit.go("emergencies", "The review is kept.")


def _refused(failure: FhirFailure) -> AppError:
    """Somebody else was quicker (409), or it is this officer's own access (403)."""
    return Invalid(failure.sentence, "Go back to the list.") if failure.status in (400, 403, 409) else failure


def _forget(visit: Visit) -> None:
    visit.request.app.state.emergencies.forget(visit.launch.practitioner)


routes = [
    page("emergency", form),
    page("emergency", begin, ("POST",)),
    page("emergency/{access}", record),
    page("emergency/{access}/end", end, ("POST",)),
    page("emergency/{access}/records/{type}/{id}", part_of_record),
    page("emergency/{access}/records/{type}/{id}/{place:int}", attachment),
    page("emergencies", listed),
    page("emergencies/{access}/review", review, ("POST",)),
]
nav = [
    NavItem("Emergency", "emergency", "urgent", TREATING),
    NavItem("Emergency accesses", "emergencies", "urgent", OFFICERS),
]
