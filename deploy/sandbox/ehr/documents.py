"""The content of a document, for a frame of its own: nothing in it may run."""

import base64
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from deploy.sandbox.ehr.pages import record_of, templates, tenant_of, to_sign_in
from smart_app import cda

PLAIN = ("application/pdf", "text/plain", "text/html")
ISOLATED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
FRAMED = "frame-ancestors 'self'"


async def show(request: Request) -> Response:
    """A DocumentReference's content: text and PDF as they are, C-CDA as its narrative.  415 for anything else."""
    tenant = tenant_of(request)
    account = await tenant.signed_in(request)
    if account is None:
        return to_sign_in(tenant)
    record = await record_of(tenant, account, request.path_params["patient"])
    found = next((each for each in record.documents if each["id"] == request.path_params["document"]), None)
    if found is None:
        raise HTTPException(404)
    attachments = (each["attachment"] for each in found.get("content", []) if "attachment" in each)
    attachment: dict[str, Any] = next(attachments, {})
    content_type = str(attachment.get("contentType", "")).partition(";")[0]
    if "data" not in attachment or not (content_type in PLAIN or cda.is_xml(content_type)):
        raise HTTPException(415)
    return shown(content_type, base64.b64decode(attachment["data"]))


def shown(content_type: str, data: bytes) -> Response:
    """The answer with its policy."""
    if content_type == "application/pdf":
        return Response(data, headers={"content-security-policy": FRAMED, "content-type": content_type})
    if cda.is_xml(content_type):
        content_type, data = readable(data)
    headers = {"content-security-policy": ISOLATED, "content-type": f"{content_type}; charset=utf-8"}
    return Response(data, headers=headers)


def readable(data: bytes) -> tuple[str, bytes]:
    """XML as people read it; what is no clinical document is shown as its text."""
    try:
        found = cda.read(data)
    except cda.NotCda:
        return "text/plain", data
    return "text/html", templates.get_template("cda.html").render({"document": found}).encode()
