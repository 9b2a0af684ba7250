"""The outbox's handlers of this package, by kind."""

from collections.abc import Callable
from functools import partial
from typing import Any

from dicom_gateway import route
from dicom_gateway.audit import deliver, happened, reception
from dicom_gateway.audit import received as audit_received
from dicom_gateway.gateway import Gateway
from dicom_gateway.imports import take, uploads
from dicom_gateway.keeping import retention
from dicom_gateway.publish import admitted, arrival, cursor, decision, documents, late, progress
from dicom_gateway.publish.exchange import Exchange, exchange_of
from dicom_gateway.publish.fhir import FhirError
from dicom_gateway.retrieval.state import PROGRESS_KIND
from dicom_gateway.routing import plan
from konsil.outbox import Failed, Job, Retry

Handler = Callable[[Job], Any]
KINDS: dict[str, Callable[[Exchange, Job], Any]] = {
    cursor.KIND: cursor.step,
    "want": cursor.want,
    "unwant": cursor.unwant,
    PROGRESS_KIND: progress.tell,
    "arrival": arrival.arrive,
    "decide": decision.decide,
    "publish": decision.publish_job,
    "withdraw": decision.withdraw_job,
    "late": late.inherit,
    admitted.KIND: admitted.tell,
    documents.KIND: documents.run,
    plan.RELEASE: plan.released,
    plan.AHEAD: plan.assigned,
    happened.KIND: deliver.deliver,
    retention.RETRACT: retention.retract,
    uploads.TAKE: take.take,
    uploads.EXPIRE: lambda exchange, job: uploads.expire(exchange.gateway, job),
}


def handlers(gateway: Gateway, exchange: Exchange | None) -> dict[str, Handler]:
    """Who does what; without a FHIR server nothing is published and nobody is listened to."""
    if exchange is None:
        return {PROGRESS_KIND: ignore}
    found: dict[str, Handler] = {kind: partial(guarded, partial(handle, exchange)) for kind, handle in KINDS.items()}
    return found | route.handlers(gateway) | {audit_received.KIND: partial(reception.tell, gateway)}


def guarded(handle: Handler, job: Job) -> Any:
    """Run a handler: what the FHIR server refuses for good is final, anything else is tried again."""
    try:
        return handle(job)
    except FhirError as error:
        if error.status in {400, 403, 404, 410, 422}:
            raise Failed(f"FHIR server: {error}") from error
        raise Retry(f"FHIR server: {error.status}") from error


def ignore(job: Job) -> None:
    """Nobody is told of the progress of an archive."""


def begin(gateway: Gateway) -> Exchange | None:
    """Open the exchange with the FHIR server and see that the cursor runs; None for an archive.

    Raises GatewayError.
    """
    if gateway.settings.mode == "archive" or gateway.settings.fhir_base_url is None:
        return None
    with gateway.engine.begin() as connection:
        cursor.start(connection)
    return exchange_of(gateway)
