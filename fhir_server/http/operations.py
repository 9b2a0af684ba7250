"""Operations over HTTP: `$name` after the base, a type or an instance.  https://hl7.org/fhir/R4/operations.html#executing"""

from starlette.responses import Response

from fhir_server.http.endpoint import Call
from fhir_server.http.responses import document
from fhir_server.interactions.operations import Request, invoke


async def on_operation(call: Call) -> Response:
    """GET or POST [base]/$[name], [base]/[type]/$[name], [base]/[type]/[id]/$[name]"""
    path = call.request.path_params
    body = None
    if call.request.method == "POST" and _has_body(call):
        body = await call.body()
    request = Request(
        call.request.method,
        path["operation"],
        call.resource_type if "type" in path else None,
        call.path("id") if "id" in path else None,
        tuple(call.query),
        body,
        call.preference.asynchronous,
        call.preference.lenient,
    )
    reply = await invoke(call.ctx, request)
    return document(call.request, reply.document, reply.status, reply.headers)


def _has_body(call: Call) -> bool:
    headers = call.request.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
