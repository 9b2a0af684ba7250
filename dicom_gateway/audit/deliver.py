"""Telling the FHIR server: each event is put under an id of its own, so a second time finds it there.

Nothing is given up: while the server is away, or does not let us, the row waits.  What it refuses as malformed stays in
the outbox as failed, to be seen.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid5

import httpx

from dicom_gateway.audit.event import Payload, Resource, audit_event, study_entity
from dicom_gateway.publish import codes
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import FhirError
from konsil.outbox import Again, Failed, Job

logger = logging.getLogger(__name__)

AT_ONCE = 20
AWAY_SECONDS, REFUSED_SECONDS, PATIENCE_SECONDS = 10.0, 60.0, 5.0
ALREADY_THERE = 405
MALFORMED = frozenset({400, 413, 422})


def deliver(exchange: Exchange, job: Job) -> Again | None:
    """Tell one row: an event for each patient in it.  Raises Failed for what the server finds malformed."""
    try:
        published = studies_of(exchange, job.payload["studies"])
        if len(published) < len(job.payload["studies"]) and _may_wait(job.payload):
            return Again(PATIENCE_SECONDS)
        for event in events(job.payload, published, exchange.gateway.settings.base_url):
            send(exchange, event)
            job.renew()
    except FhirError as error:
        if error.status in MALFORMED:
            raise Failed(f"FHIR server: {error.status}") from error
        return _later(str(error.status), REFUSED_SECONDS if error.status < 500 else AWAY_SECONDS)
    except httpx.HTTPError as error:
        return _later(type(error).__name__, AWAY_SECONDS)
    return None


def _may_wait(payload: Payload) -> bool:
    return time.time() < float(payload["at"]) + float(payload["patience_seconds"])


def _later(why: str, seconds: float) -> Again:
    logger.warning("the FHIR server did not take an AuditEvent: %s", why)
    return Again(seconds)


def studies_of(exchange: Exchange, uids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The resource of each study that is published, and whose it is.  Raises FhirError, httpx.HTTPError."""
    found: dict[str, tuple[str, str]] = {}
    wanted = list(uids)
    for start in range(0, len(wanted), AT_ONCE):
        part = wanted[start : start + AT_ONCE]
        tokens = ",".join(f"urn:dicom:uid|urn:oid:{uid}" for uid in part)
        criteria = {"identifier": tokens, "_elements": "identifier,subject", "_count": "100"}
        for study in exchange.fhir.search(exchange.system, "ImagingStudy", criteria):
            place = f"ImagingStudy/{study['id']}", codes.reference_of(study.get("subject"))
            for identifier in study.get("identifier", []):
                found[str(identifier.get("value", "")).removeprefix("urn:oid:")] = place
    return {uid: found[uid] for uid in wanted if uid in found}


def events(payload: dict[str, Any], published: dict[str, tuple[str, str]], server: str) -> Iterable[Resource]:
    """An event for each patient, so that none names two.

    Their ids follow from the row's and from a study in each, never from whose it is: that changes with a decision.
    """
    about: dict[str, list[Resource]] = {}
    for uid, instances in payload["studies"].items():
        reference, patient = published.get(uid, ("", ""))
        about.setdefault(payload["patient"] or patient, []).append(study_entity(uid, reference, instances))
    for patient, studies in (about or {payload["patient"]: []}).items():
        first = studies[0]["what"]["identifier"]["value"] if studies else ""
        event_id = str(uuid5(UUID(payload["id"]), first))
        yield audit_event(payload, event_id, (patient, studies), server)


def send(exchange: Exchange, event: Resource) -> None:
    """Put one event; one that is there already is not touched.  Raises FhirError, httpx.HTTPError."""
    try:
        exchange.fhir.put_new(exchange.recorder, event)
    except FhirError as error:
        if error.status != ALREADY_THERE:
            raise
