"""What stands around an opinion on paper: patient, asker, author, from the case and the directory."""

from datetime import date, datetime

from smart_app.case.view import Case
from smart_app.fhir import FhirClient, Resource
from smart_app.report.opinion import Letterhead, Person
from smart_app.words import concept, human_name, person_name


async def letterhead(fhir: FhirClient, case: Case, signer: str, when: datetime) -> Letterhead:
    """Names and titles for the PDF.  What the directory does not show is left empty, never guessed."""
    author = await fhir.find(signer)
    asker = await fhir.find(case.request.get("requester", {}).get("reference"))
    roles = await fhir.search("PractitionerRole", {"practitioner": signer})
    role = roles.matches[0] if roles.matches else {}
    organization = await fhir.find(role.get("organization", {}).get("reference"))
    return Letterhead(
        person=person_of(case.patient),
        question=case.question,
        case_number=case.number,
        asked_by=person_name(asker) if asker else case.request.get("requester", {}).get("display", ""),
        author=person_name(author) if author else "",
        author_title=title(author, role),
        organization=(organization or {}).get("name", ""),
        signed_at=when,
    )


def person_of(patient: Resource) -> Person:
    """The patient on paper: every name that is written, the official one first."""
    names = [human_name(name) for name in patient.get("name", [])]
    identifier: Resource = next(iter(patient.get("identifier", [])), {})
    born = patient.get("birthDate", "")
    return Person(
        name=" / ".join(dict.fromkeys(names)) or "Name unknown",
        birth_date=date.fromisoformat(born) if len(born) == 10 else None,
        sex=patient.get("gender", "unknown"),
        record_number=identifier.get("value", ""),
        issuer=identifier.get("assigner", {}).get("display", ""),
    )


def title(author: Resource | None, role: Resource) -> str:
    """`Neurosurgery`: the specialty of the role, else the qualification."""
    specialties = [concept(each) for each in role.get("specialty", [])]
    qualifications = [concept(each.get("code")) for each in (author or {}).get("qualification", [])]
    return next((each for each in [*specialties, *qualifications] if each), "")
