"""The pretend patients' charts as FHIR R4 resources in the shape of US Core, the same every time."""

from deploy.sandbox import people
from deploy.sandbox.charts import lefevre, oneill, register, wang
from deploy.sandbox.charts.catalogue import Resource
from deploy.sandbox.charts.clinicians import DELGADO, FELD, HOLLOWAY, MARSH, MEYER, PRUITT, SOLBERG, STONE
from deploy.sandbox.charts.patient import Payer, open_chart
from deploy.sandbox.hospitals import HOSPITALS, LAKESIDE, NORTHFIELD, Hospital

OPENED = {
    "epic": (
        open_chart("garcia", register.GARCIA, LAKESIDE, DELGADO, Payer("Northern Plains Health", "NPH-3310972")),
        open_chart("kowalczyk", register.KOWALCZYK, LAKESIDE, FELD, Payer("Great Lakes Mutual", "GLM-804416")),
        open_chart("andersson", register.ANDERSSON, LAKESIDE, SOLBERG, Payer("Great Lakes Mutual", "GLM-755203")),
        open_chart("nguyen", register.NGUYEN, LAKESIDE, MARSH, Payer("Northern Plains Health", "NPH-2917745")),
    ),
    "oracle": (
        open_chart("alrashid", register.ALRASHID, NORTHFIELD, STONE, Payer("Casco Bay Health Plan", "CBH-118204")),
        open_chart("huang", register.HUANG, NORTHFIELD, PRUITT, Payer("Casco Bay Health Plan", "CBH-092751")),
        open_chart("johnson", register.JOHNSON, NORTHFIELD, HOLLOWAY, Payer("Medicare Part B", "7QN2-WX8-RD31")),
        open_chart("moreno", register.MORENO, NORTHFIELD, MEYER, Payer("Medicare Part B", "3KH9-CV2-PL64")),
    ),
}
STORIES = {"epic": (lefevre, wang), "oracle": (oneill,)}


def resources(key: str) -> list[Resource]:
    """What one EHR tenant ("epic" or "oracle") holds: hospital, physicians, charts, each after what it refers to."""
    hospital = next(each for each in HOSPITALS if each.key == key)
    staff = [
        resource for each in people.REQUESTERS[hospital.key] for resource in (each.practitioner(), role(each, hospital))
    ]
    opened = [resource for each in OPENED[key] for resource in each.resources]
    return [house(hospital), *staff, *(resource for story in STORIES[key] for resource in story.chart()), *opened]


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
