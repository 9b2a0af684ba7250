"""Reports among the images: each structured report, key object selection and encapsulated PDF of a released study
becomes a DocumentReference that the case names, and so do the objects that its reader saved from the viewer.
https://hl7.org/fhir/R4/documentreference.html

The text goes along, and a PDF while it is small, so that both are read and cited without a viewer.
"""

import base64
import hashlib
from collections.abc import Iterable
from functools import partial
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SegmentationStorage
from sqlalchemy import select

from dicom_gateway.attributes import UNREADABLE, text, to_json
from dicom_gateway.index.models import instance, study
from dicom_gateway.index.query import Located, Place, locate
from dicom_gateway.publish import codes, structured_report
from dicom_gateway.publish.arrival import create_entry, located, study_resource
from dicom_gateway.publish.codes import coded, fresh_id
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.publish.imaging_study import started, without_empty
from dicom_gateway.web.frames import read_header
from konsil.database import reader
from konsil.outbox import Job, NewJob

KIND: Final = "documents"
STRUCTURED: Final = "1.2.840.10008.5.1.4.1.1.88."
PDF, SEGMENTATION = str(EncapsulatedPDFStorage), str(SegmentationStorage)
SMALL_BYTES: Final = 4 << 20


def job(study_instance_uid: str, case: str, cause: str) -> NewJob:
    """The row that makes them: apart from what releases the study, which a server without documents must not stop."""
    payload = {"study_instance_uid": study_instance_uid, "case": case}
    return NewJob(KIND, payload, f"{KIND}:{study_instance_uid}:{cause}", f"{KIND}:{study_instance_uid}")


def run(exchange: Exchange, job: Job) -> None:
    """Make them for a study.  Raises as `publish`."""
    uid = str(job.payload["study_instance_uid"])
    found = study_resource(exchange, uid)
    if found is not None and not codes.is_quarantined(found):
        publish(exchange, found, uid, str(job.payload["case"]))


def publish(exchange: Exchange, imaging_study: Resource, study_instance_uid: str, case: str) -> None:
    """Make what is missing, and name it in the case, if there is one.  Raises FhirError, httpx.HTTPError.

    What was stored for another case is left to that one.
    """
    found = reports(exchange, study_instance_uid, case)
    if not found:
        return
    entries = [entry(exchange, imaging_study, item) for item in found]
    made = exchange.fhir.transaction(exchange.documents, entries)
    if case:
        references = [f"DocumentReference/{located(each)}" for each in made]
        exchange.fhir.amend(exchange.system, case, partial(with_records, references))


def reports(exchange: Exchange, study_instance_uid: str, case: str) -> list[Located]:
    """The released reports of a study that are this case's, or nobody's in particular."""
    with reader(exchange.gateway.engine).begin() as connection:
        of_study = study.c.study_instance_uid == study_instance_uid, instance.c.admission.like("Task/%")
        joined = select(instance.c.sop_instance_uid, instance.c.admission).join(
            study, instance.c.study_id == study.c.id
        )
        rows = connection.execute(joined.where(*of_study))
        admitted = {row.sop_instance_uid: row.admission for row in rows}
        found = locate(connection, Place(study_instance_uid))
    return [item for item in found if is_report(item) and admitted.get(item.sop_instance_uid, case) == case]


def is_report(item: Located) -> bool:
    """Whether an object is read rather than looked at, or is a reader's own work."""
    return item.sop_class_uid in {PDF, SEGMENTATION} or item.sop_class_uid.startswith(STRUCTURED)


def entry(exchange: Exchange, imaging_study: Resource, item: Located) -> Resource:
    """The conditional create of one DocumentReference."""
    settings = exchange.gateway.settings
    with exchange.gateway.archive.open(item.object_key) as stream:
        ds = read_header(stream)
    path = f"studies/{item.study_instance_uid}/series/{item.series_instance_uid}/instances/{item.sop_instance_uid}"
    address = f"{settings.base_url.rstrip('/')}/dicom-web/{path}"
    identifier = codes.study_identifier(item.sop_instance_uid)
    title = structured_report.title_of(ds)
    resource = without_empty(
        {
            "resourceType": "DocumentReference",
            "masterIdentifier": identifier,
            "identifier": [identifier],
            "status": "current",
            "type": {"text": title},
            "subject": imaging_study.get("subject"),
            "date": moment(ds, settings.time_zone),
            "description": title,
            "content": [{"attachment": each} for each in attachments(ds, item, title, address)],
            "context": {"related": [{"reference": f"ImagingStudy/{imaging_study['id']}"}]},
        }
    )
    return create_entry(f"urn:uuid:{fresh_id('document', item.sop_instance_uid)}", resource, identifier)


def attachments(ds: Dataset, item: Located, title: str, address: str) -> Iterable[Resource]:
    """What is read in place first, then the object itself by its address."""
    if item.sop_class_uid == PDF:
        content = document(ds)
        if content and len(content) <= SMALL_BYTES:
            yield inline("application/pdf", title, content)
        else:
            yield {"contentType": "application/pdf", "url": f"{address}/rendered", "title": title}
    elif lines := structured_report.lines_of(ds):
        yield inline("text/plain", title, "\n".join(lines).encode())
    yield {"contentType": "application/dicom", "url": address, "title": f"{title} (DICOM)", "size": item.size}


def document(ds: Dataset) -> bytes:
    """The bytes of an encapsulated document without their padding.  PS3.3 C.24.2"""
    try:
        return bytes(ds.EncapsulatedDocument)[: int(ds.get("EncapsulatedDocumentLength") or 0) or None]
    except UNREADABLE:
        return b""


def inline(content_type: str, title: str, content: bytes) -> Resource:
    """An attachment with its bytes and their hash.  datatypes.html#Attachment"""
    digest = base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()
    encoded = base64.b64encode(content).decode()
    return {"contentType": content_type, "title": title, "data": encoded, "size": len(content), "hash": digest}


def moment(ds: Dataset, zone: str) -> str | None:
    """When the content was made, as an instant; None without day and time."""
    model = to_json(ds, ("ContentDate", "ContentTime", "TimezoneOffsetFromUTC"))
    found = started(model, ("00080023", "00080033"), zone)
    return found if found is not None and "T" in found and text(ds, "ContentTime") else None


def with_records(references: Iterable[str], case: Resource) -> Resource | None:
    """The case with these among its records; None when it names them all."""
    known = {codes.reference_of(each) for each in codes.values(case.get("input", []), codes.TASK_INPUT, "record")}
    new = [each for each in references if each not in known]
    added = [{"type": coded(codes.TASK_INPUT, "record"), "valueReference": {"reference": each}} for each in new]
    return {**case, "input": [*case.get("input", []), *added]} if added else None
