"""Service lines: whom a request can be sent to."""

from dataclasses import dataclass

from smart_app.fhir import FhirClient, Resource
from smart_app.words import concept


@dataclass(frozen=True)
class ServiceLine:
    """A HealthcareService as the form shows it."""

    reference: str
    name: str
    specialty: str
    comment: str
    resource: Resource


async def service_lines(fhir: FhirClient) -> list[ServiceLine]:
    """All active HealthcareServices, by name."""
    found = await fhir.search("HealthcareService", {"active": "true"}, most=200)
    lines = [
        ServiceLine(
            reference=f"HealthcareService/{each['id']}",
            name=each.get("name", "Service without a name"),
            specialty=", ".join(filter(None, (concept(one) for one in each.get("specialty", [])))),
            comment=each.get("comment", ""),
            resource=each,
        )
        for each in found.matches
    ]
    return sorted(lines, key=lambda line: line.name)


def line_named(lines: list[ServiceLine], reference: str) -> ServiceLine | None:
    """The service line that a draft chose."""
    return next((line for line in lines if line.reference == reference), None)
