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
from fhir_server.interactions.subset import subset


async def metadata(request: Request) -> Response:
    """GET [base]/metadata.  https://hl7.org/fhir/R4/http.html#capabilities"""
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=PREFLIGHT)
    try:
        negotiate(request)
    except FhirError as error:
        return failure(error)
    state = request.app.state
    generation, made = getattr(state, "capabilities", (None, b""))
    if generation != state.node.registry.generation:
        generation, made = state.capabilities = (
            state.node.registry.generation,
            wire.dumps(capabilities(state.node)),
        )
    body = subset(made, presentation_of(request), state.node.definitions)
    headers = {**CORS, "Cache-Control": "max-age=60", "Vary": "Accept, Accept-Encoding"}
    return await packed(request, answer(request, body, 200, headers))


async def healthz(request: Request) -> Response:
    """GET /healthz: 200 when the database answers."""
    node: Node = request.app.state.node
    await node.database.fetch(select(literal(1).label("one")))
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
