"""A GET inside a Bundle: read, vread, search or history by its relative URL.  https://hl7.org/fhir/R4/http.html#transaction"""

from dataclasses import dataclass

from fhir_server import wire
from fhir_server.context import Context
from fhir_server.errors import Invalid
from fhir_server.interactions.bundle import Document, etag
from fhir_server.interactions.history import history
from fhir_server.interactions.matching import pairs_of
from fhir_server.interactions.search import search_type
from fhir_server.interactions.vread import vread
from fhir_server.search.dates import instant
from fhir_server.store.repository import HistoryScope, Repository, Version


@dataclass(frozen=True, slots=True)
class Answer:
    """What to put into the response entry."""

    resource: object
    response: Document


async def inquire(ctx: Context, url: str, store: Repository) -> Answer:
    """Answer one GET with this store. Raises every FhirError."""
    path, _, query = url.partition("?")
    parts = path.strip("/").split("/")
    if parts[0] != "_history" and parts[0] not in ctx.node.definitions.resource_types:
        raise Invalid(f"'{parts[0][:40]}' is no resource type of R4.")
    if parts[-1] == "_history":
        resource_type, resource_id = [*parts[:-1], None, None][:2]
        scope = HistoryScope(resource_type, resource_id)
        return _document(await history(ctx, scope, pairs_of(query), store))
    if len(parts) == 1:
        return _document(await search_type(ctx, parts[0], pairs_of(query), store=store))
    if len(parts) == 2:
        return _version(await store.read(parts[0], parts[1]))
    if len(parts) == 4 and parts[2] == "_history":
        return _version(await vread(ctx, (parts[0], parts[1]), parts[3], store))
    raise Invalid("This is not the address of a read, vread, search or history.")


def _document(document: Document) -> Answer:
    return Answer(document, {"status": "200 OK"})


def _version(version: Version) -> Answer:
    response = {"status": "200 OK", "etag": etag(version), "lastModified": instant(version.last_updated)}
    return Answer(wire.fragment(version.content or b"{}"), response)
