"""What people store by STOW-RS: the study in FHIR follows what is here, and the case names what was made for it."""

from dicom_gateway.index.arrivals import ADMITTED_KIND
from dicom_gateway.publish import codes, documents, imaging_study, late
from dicom_gateway.publish.arrival import content_of, create_entry, send, study_resource, update_entry, with_study
from dicom_gateway.publish.codes import fresh_id
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import Resource
from konsil.database import reader
from konsil.outbox import Job

KIND = ADMITTED_KIND


def tell(exchange: Exchange, job: Job) -> None:
    """Bring ImagingStudy, case and documents to what is stored now.  Raises Retry, FhirError, httpx.HTTPError."""
    uid, admission = str(job.payload["study_instance_uid"]), str(job.payload["admission"])
    case = admission if admission.startswith("Task/") else ""
    study = study_resource(exchange, uid)
    if study is None and case:
        create(exchange, uid, case)
    elif study is not None:
        late.tell(exchange, uid)
    study = study_resource(exchange, uid)
    if study is None or codes.is_quarantined(study):
        return
    if case:
        name(exchange, case, study)
    documents.publish(exchange, study, uid, case)


def create(exchange: Exchange, uid: str, case_reference: str) -> None:
    """The ImagingStudy of a study that came for a case, and is its patient's."""
    settings = exchange.gateway.settings
    with reader(exchange.gateway.engine).begin() as connection:
        content = content_of(connection, uid, ("released",))
    if content is None:
        return
    case = exchange.fhir.read(exchange.system, case_reference)
    endpoint = imaging_study.endpoint(settings.base_url)
    place = f"urn:uuid:{fresh_id('endpoint', uid, case_reference)}"
    study = {
        **imaging_study.imaging_study(content, settings.time_zone),
        "subject": case["for"],
        "endpoint": [{"reference": place}],
    }
    urn = f"urn:uuid:{fresh_id('study', uid, case_reference)}"
    entries = [create_entry(place, endpoint, endpoint["identifier"][0])]
    send(exchange, [*entries, create_entry(urn, study, study["identifier"][0])])


def name(exchange: Exchange, case_reference: str, study: Resource) -> None:
    """Name the study in the case, if it is its patient's."""
    case = exchange.fhir.read(exchange.system, case_reference)
    if codes.reference_of(study.get("subject")) != codes.reference_of(case.get("for")):
        return
    changed = with_study(case, f"ImagingStudy/{study['id']}")
    if changed != case:
        send(exchange, [update_entry(changed)])
