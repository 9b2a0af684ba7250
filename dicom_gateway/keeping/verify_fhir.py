"""The last part of a verification: what FHIR says of the studies that are published.

Studies that nobody asked for are in quarantine and not in FHIR: that is how it is meant.
"""

from collections.abc import Iterator
from functools import partial

from sqlalchemy import select

from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import instance, study
from dicom_gateway.keeping.findings import Finding, Kind
from dicom_gateway.publish import codes, imaging_study
from dicom_gateway.publish.arrival import content_of, create_entry, send
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.publish.imaging_study import StudyContent
from dicom_gateway.publish.late import with_content
from konsil.database import reader

PUBLISHED = ("waiting", "deciding", "published")


def check(exchange: Exchange, *, repair: bool = False) -> Iterator[Finding]:
    """Every ImagingStudy against the index, both ways.  Raises FhirError, httpx.HTTPError."""
    resources = {
        uid: found
        for found in exchange.fhir.search(exchange.system, "ImagingStudy", {"_count": "200"})
        for uid in uids_of(found)
    }
    with reader(exchange.gateway.engine).connect() as connection:
        wanted = publication.c.state.in_(PUBLISHED)
        rows = connection.execute(select(publication).where(wanted)).mappings().all()
        held = set(
            connection.execute(
                select(study.c.study_instance_uid).join(instance, instance.c.study_id == study.c.id).distinct()
            ).scalars()
        )
    for uid, row in {row["study_instance_uid"]: row for row in rows}.items():
        state = "released" if row["state"] == "published" else "quarantined"
        with reader(exchange.gateway.engine).begin() as connection:
            content = content_of(connection, uid, (state,))
        if content is None:
            continue
        resource = resources.get(uid)
        if resource is None:
            yield Finding(Kind.FHIR_MISSING, uid, repair and publish(exchange, content, uid, row["patient_reference"]))
        elif listed(resource) != instances(content):
            if repair:
                change = partial(with_content, content, exchange.gateway.settings.time_zone)
                exchange.fhir.amend(exchange.system, f"ImagingStudy/{resource['id']}", change)
            yield Finding(Kind.FHIR_DIFFERS, uid, repair)
    for uid, resource in resources.items():
        if uid not in held and is_ours(exchange, resource) and resource.get("status") == "available":
            yield Finding(Kind.FHIR_UNKNOWN, f"ImagingStudy/{resource['id']}")


def uids_of(resource: Resource) -> list[str]:
    """The Study Instance UID of an ImagingStudy."""
    mine = [each for each in resource.get("identifier", []) if each.get("system") == codes.SYSTEM_UID]
    return [str(each.get("value", "")).removeprefix("urn:oid:") for each in mine]


def listed(resource: Resource) -> set[tuple[str, str]]:
    """Series and instance UIDs that the resource lists."""
    return {
        (str(series.get("uid")), str(each.get("uid")))
        for series in resource.get("series", [])
        for each in series.get("instance", [])
    }


def instances(content: StudyContent) -> set[tuple[str, str]]:
    """Series and instance UIDs that the index has."""
    return {(imaging_study.text(each, "0020000E"), imaging_study.text(each, "00080018")) for each in content.instances}


def is_ours(exchange: Exchange, resource: Resource) -> bool:
    """Whether the study says that it is to be had here."""
    ours = exchange.fhir.search(
        exchange.system,
        "Endpoint",
        {"identifier": imaging_study.endpoint(exchange.gateway.settings.base_url)["address"]},
    )
    mine = {f"Endpoint/{each['id']}" for each in ours}
    return any(codes.reference_of(each) in mine for each in resource.get("endpoint", []))


def publish(exchange: Exchange, content: StudyContent, uid: str, patient: str) -> bool:
    """Publish a released study anew, as the patient's for whom it was accepted; a quarantined one is not touched."""
    with reader(exchange.gateway.engine).begin() as connection:
        if content_of(connection, uid, ("released",)) is None:
            return False
    settings = exchange.gateway.settings
    endpoint = imaging_study.endpoint(settings.base_url)
    url = f"urn:uuid:{codes.fresh_id('endpoint', uid)}"
    resource = {
        **imaging_study.imaging_study(content, settings.time_zone),
        "subject": {"reference": patient},
        "endpoint": [{"reference": url}],
    }
    place = f"urn:uuid:{codes.fresh_id('study', uid, 'again')}"
    send(
        exchange,
        [
            create_entry(url, endpoint, endpoint["identifier"][0]),
            create_entry(place, resource, resource["identifier"][0]),
        ],
    )
    return True
