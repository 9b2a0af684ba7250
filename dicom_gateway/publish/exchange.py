"""The gateway and its FHIR server together: what every job of this package needs."""

import json
import time
from dataclasses import dataclass

import httpx
from sqlalchemy import Connection, select, update
from sqlalchemy.engine import RowMapping

from dicom_gateway.errors import GatewayError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.exchange import publication
from dicom_gateway.publish.fhir import Authorization, FhirClient
from dicom_gateway.settings import Settings
from konsil.database import reader
from konsil.http_client import guarded_client
from konsil.oauth_client import BackendToken, ClientKey, Introspection

SCOPE = (
    "system/Task.crus system/Patient.crus system/ImagingStudy.crus system/Endpoint.crus system/Provenance.crus "
    "system/Practitioner.rs"
)
DOCUMENT_SCOPE = "system/DocumentReference.crus"
AUDIT_SCOPE = "system/AuditEvent.cu"
"""Tokens of their own: what is published goes on where a server does not take documents or AuditEvents from us."""


@dataclass(frozen=True)
class Exchange:
    """One gateway, its FHIR server, and the gateway's own authorization there: `recorder` for AuditEvents alone,
    `documents` for reports.
    """

    gateway: Gateway
    fhir: FhirClient
    system: Authorization
    recorder: Authorization
    documents: Authorization
    client: httpx.Client

    def close(self) -> None:
        """Close the connections."""
        self.fhir.client.close()
        self.client.close()


def fhir_client(settings: Settings) -> FhirClient:
    """The client of the configured FHIR server, which reaches nothing else.  Raises GatewayError."""
    if settings.fhir_base_url is None:
        raise GatewayError("KONSIL_DICOM_FHIR_BASE_URL is not set: without a FHIR server nobody may see anything.")
    base = settings.fhir_base_url.rstrip("/")
    return FhirClient(guarded_client([base]), base)


def exchange_of(gateway: Gateway) -> Exchange:
    """Put them together from the settings.  Raises GatewayError when something is not set."""
    settings = gateway.settings
    if settings.fhir_token_url is None or settings.fhir_key_file is None:
        raise GatewayError("KONSIL_DICOM_FHIR_TOKEN_URL and KONSIL_DICOM_FHIR_KEY_FILE are needed in gateway mode.")
    key_jwk = json.loads(settings.fhir_key_file.read_text("utf-8"))
    key = ClientKey(settings.fhir_client_id, key_jwk, settings.fhir_token_url)
    client = guarded_client([settings.fhir_token_url])
    system, recorder, documents = (BackendToken(client, key, scope) for scope in (SCOPE, AUDIT_SCOPE, DOCUMENT_SCOPE))
    return Exchange(gateway, fhir_client(settings), system, recorder, documents, client)


def introspection_of(settings: Settings) -> Introspection | None:
    """Who can say what a token is; None when the gateway has no key to ask with: then nobody has a role here."""
    if settings.fhir_base_url is None or settings.fhir_token_url is None or settings.fhir_key_file is None:
        return None
    key_jwk = json.loads(settings.fhir_key_file.read_text("utf-8"))
    key = ClientKey(settings.fhir_client_id, key_jwk, settings.fhir_token_url)
    base = settings.fhir_base_url.rstrip("/")
    return Introspection(guarded_client([base, settings.fhir_token_url]), key, base)


def publication_of(exchange: Exchange, task_id: str) -> RowMapping:
    """The publication of one retrieval Task.  Raises GatewayError when there is none."""
    statement = select(publication).where(publication.c.task_id == task_id)
    with reader(exchange.gateway.engine).begin() as connection:
        row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise GatewayError("There is no such publication.")
    return row


def set_publication(connection: Connection, task_id: str, **values: object) -> None:
    """Change a publication, in the caller's transaction."""
    changed = update(publication).where(publication.c.task_id == task_id)
    connection.execute(changed.values(updated_at=time.time(), **values))
