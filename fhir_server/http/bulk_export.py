"""State, files and end of an export over HTTP.  https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request"""

import re
from email.utils import formatdate

from starlette.responses import Response, StreamingResponse

from fhir_server import wire
from fhir_server.errors import FhirError, NotFound
from fhir_server.http.endpoint import Call
from fhir_server.http.responses import CORS, PRIVATE, document
from fhir_server.interactions.bulk_export.manifest import manifest, progress
from fhir_server.interactions.bulk_export.request import Asked
from fhir_server.interactions.bundle import outcome
from fhir_server.store import exports
from fhir_server.store.exports import Export
from fhir_server.store.parts import parts

FILE = re.compile(r"([0-9]{1,6})\.ndjson\Z", re.ASCII)
NDJSON = "application/fhir+ndjson"
LOOK_AGAIN_SECONDS = 2


async def on_status(call: Call) -> Response:
    """GET [base]/$export/[key]: 202 while it runs, then the manifest, or the reason why there is none."""
    export, base = await _own(call), call.ctx.node.settings.fhir_url
    if export.state == "failed":
        raise FhirError(export.problem or "The export failed.")
    if export.state == "running" or export.finished is None:
        waiting = {"X-Progress": progress(export, len(Asked.of(export.asked).parts()))}
        waiting["Retry-After"] = str(LOOK_AGAIN_SECONDS)
        return Response(status_code=202, headers={**PRIVATE, **CORS, **waiting})
    until = export.finished // 1_000_000 + call.ctx.node.settings.export_kept_seconds
    found = manifest(base, export, await exports.files(call.ctx.node.database, export.key))
    headers = {**PRIVATE, **CORS, "Expires": formatdate(until, usegmt=True)}
    return Response(wire.dumps(found), headers=headers, media_type="application/json")


async def on_cancel(call: Call) -> Response:
    """DELETE [base]/$export/[key]: end it, and remove its files; 202."""
    export = await _own(call)
    async with call.ctx.node.database.transaction() as transaction:
        await exports.remove(transaction, export.key)
    return document(call.request, outcome("information", "informational", "The export is gone."), 202)


async def on_file(call: Call) -> Response:
    """GET [base]/$export/[key]/[number].ndjson; the download is in the audit before its first byte."""
    export, name = await _own(call), FILE.match(call.path("file"))
    files = await exports.files(call.ctx.node.database, export.key) if export.state == "completed" else []
    found = next((file for file in files if name and file.number == int(name[1])), None)
    if found is None:
        raise NotFound("There is no such file of an export.")
    call.ctx.trail.sensitive = True
    body = parts(call.ctx.node.database, call.ctx.node.objects, found.kept)
    headers = {**PRIVATE, **CORS, "Content-Length": str(found.kept.size)}
    return StreamingResponse(body, headers=headers, media_type=NDJSON)


async def _own(call: Call) -> Export:
    """The export, which the caller must have begun. Raises NotFound."""
    found = None
    if call.request.path_params["operation"] == "export":
        found = await exports.find(call.ctx.node.database, call.path("key"), call.ctx.caller)
    if found is None:
        raise NotFound("There is no such export.")
    return found
