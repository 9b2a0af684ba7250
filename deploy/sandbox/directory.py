"""Our own server's directory: organizations, service lines, who answers in them."""

from typing import Any

from deploy.sandbox.hospitals import HOSPITALS, PROGRAMME, PROGRAMME_TITLE
from deploy.sandbox.people import CONSULTANTS, Person

Resource = dict[str, Any]
SERVICE_LINES = {
    "neurosurgery": ("Neurosurgery", "Brain and spine tumours, aneurysms, complex spine.", "ito"),
    "cardiac-surgery": ("Cardiac Surgery", "Valve, bypass and aortic surgery; whether and when to operate.", "okafor"),
    "thoracic-oncology": (
        "Thoracic Oncology",
        "Lung nodules and lung cancer: diagnosis, staging, treatment.",
        "lindqvist",
    ),
    "breast-oncology": (
        "Breast Oncology",
        "Breast cancer: extent, surgery, drug treatment before or after it.",
        "adeyemi",
    ),
    "pathology": ("Pathology", "Glass or whole slides read again by a subspecialist.", "haas"),
    "spine-surgery": (
        "Spine Surgery",
        "Stenosis, slipped vertebrae, deformity: whether to fuse, and how far.",
        "ferreira",
    ),
    "paediatric-neurology": (
        "Paediatric Neurology",
        "Epilepsy that drugs do not control, and other disease of the child's brain.",
        "raman",
    ),
    "rheumatology-vascular": (
        "Rheumatology and Vascular Medicine",
        "Inflamed vessels and other rare systemic disease.",
        "demir",
    ),
    "radiology": ("Radiology", "CT, MR, mammograms and other images read again.", "weiss"),
    "hepatobiliary-surgery": (
        "Hepatobiliary Surgery",
        "Tumours of pancreas, liver and bile ducts: can it be removed, and when.",
        "chen",
    ),
    "endocrine-surgery": ("Endocrine Surgery", "Thyroid, parathyroid and adrenal: how much to remove.", "rossi"),
}


def resources() -> list[Resource]:
    """Everything in the directory, each resource after those that it refers to."""
    hospitals = [organization(each.organization, each.title) for each in HOSPITALS]
    lines = [service_line(key, *words[:2]) for key, words in SERVICE_LINES.items()]
    people = {person.username: person for person in CONSULTANTS}
    roles = [role(people[words[2]], key, words[0]) for key, words in SERVICE_LINES.items()]
    practitioners = [person.practitioner() for person in CONSULTANTS]
    return [organization(PROGRAMME, PROGRAMME_TITLE), *hospitals, *lines, *practitioners, *roles]


def organization(reference: str, name: str) -> Resource:
    """An Organization."""
    return {"resourceType": "Organization", "id": reference.partition("/")[2], "active": True, "name": name}


def service_line(key: str, name: str, comment: str) -> Resource:
    """A HealthcareService that requests can be sent to."""
    return {
        "resourceType": "HealthcareService",
        "id": key,
        "active": True,
        "providedBy": {"reference": PROGRAMME},
        "name": name,
        "comment": comment,
        "specialty": [{"text": name}],
    }


def role(person: Person, key: str, name: str) -> Resource:
    """A consultant's PractitionerRole in a service line."""
    return {
        "resourceType": "PractitionerRole",
        "id": f"{person.username}-{key}",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{person.username}", "display": person.name},
        "organization": {"reference": PROGRAMME},
        "code": [{"text": "Consultant"}],
        "specialty": [{"text": name}],
        "healthcareService": [{"reference": f"HealthcareService/{key}"}],
    }
