"""What answers without a token: the CapabilityStatement, and whether the server can work."""

from sqlalchemy import literal, select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_server import wire
from fhir_server.context import Node
from fhir_server.errors import FhirError
from fhir_server.http.compression import packed
from fhir_server.http.negotiation import negotiate, presentation_of
from fhir_server.http.responses import CORS, PREFLIGHT, answer, failure
from fhir_server.interactions.capabilities import capabilities
from fhir_server.interactions.openapi import openapi
from fhir_server.interactions.subset import subset

PUBLIC = {**CORS, "Cache-Control": "max-age=60", "Vary": "Accept, Accept-Encoding"}


async def metadata(request: Request) -> Response:
    """GET [base]/metadata.  https://hl7.org/fhir/R4/http.html#capabilities"""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=PREFLIGHT)
    try:
        negotiate(request)
    except FhirError as error:
        return failure(error)
    node = request.app.state.node
    body = subset(_statement(request), presentation_of(request), node.definitions)
    return await packed(request, answer(request, body, 200, PUBLIC))


async def openapi_document(request: Request) -> Response:
    """GET [base]/openapi.json: what the CapabilityStatement says, in OpenAPI 3.1"""
    body = wire.dumps(openapi(wire.loads(_statement(request))))
    return await packed(request, Response(body, headers=PUBLIC, media_type="application/json"))


def _statement(request: Request) -> bytes:
    """The CapabilityStatement, made anew when search parameters have changed."""
    state = request.app.state
    generation, made = getattr(state, "capabilities", (None, b""))
    if generation != state.node.registry.generation:
        generation, made = state.capabilities = (
            state.node.registry.generation,
            wire.dumps(capabilities(state.node)),
        )
    return bytes(made)


async def healthz(request: Request) -> Response:
    """GET /healthz: 200 when the database answers."""
    node: Node = request.app.state.node
    await node.database.fetch(select(literal(1).label("one")))
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
