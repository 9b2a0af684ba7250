"""The pretend patients' charts as FHIR R4 resources in the shape of US Core, the same every time."""

from deploy.sandbox import people
from deploy.sandbox.charts import (
    alrashid,
    andersson,
    garcia,
    huang,
    johnson,
    kowalczyk,
    lefevre,
    moreno,
    nguyen,
    oneill,
    wang,
)
from deploy.sandbox.charts.catalogue import Resource
from deploy.sandbox.hospitals import HOSPITALS, Hospital

STORIES = {
    "epic": (lefevre, wang, andersson, garcia, kowalczyk, nguyen),
    "oracle": (oneill, alrashid, huang, johnson, moreno),
}


def resources(key: str) -> list[Resource]:
    """What one EHR tenant ("epic" or "oracle") holds: hospital, physicians, charts, each after what it refers to."""
    hospital = next(each for each in HOSPITALS if each.key == key)
    staff = [
        resource for each in people.REQUESTERS[hospital.key] for resource in (each.practitioner(), role(each, hospital))
    ]
    return [house(hospital), *staff, *(resource for story in STORIES[key] for resource in story.chart())]


def house(hospital: Hospital) -> Resource:
    """The tenant's own Organization."""
    identity = hospital.organization.partition("/")[2]
    return {"resourceType": "Organization", "id": identity, "active": True, "name": hospital.title}


def role(person: people.Person, hospital: Hospital) -> Resource:
    """A physician's PractitionerRole in the hospital."""
    return {
        "resourceType": "PractitionerRole",
        "id": f"role-{person.username}",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{person.username}", "display": person.name},
        "organization": {"reference": hospital.organization, "display": hospital.title},
        "specialty": [{"text": person.specialty}],
    }
