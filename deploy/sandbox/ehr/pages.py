"""The EHR's screens: patient list, chart, one document."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from deploy.sandbox.ehr import words
from deploy.sandbox.ehr.record import Record, is_opinion, moment, read_record
from deploy.sandbox.ehr.tenant import Tenant
from fhir_server.errors import FhirError
from fhir_server.store.auth_values import Account
from smart_app import cda

TABS = {
    "summary": "Summary",
    "labs": "Labs",
    "medications": "Medications",
    "imaging": "Imaging reports",
    "notes": "Notes",
    "second-opinion": "Second opinion",
}
SHOWN_TYPES = {"application/pdf", "text/plain", "text/html"}
ISOLATED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
FRAMED = "frame-ancestors 'self'"

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=ChainableUndefined
)
templates.filters.update(words.FILTERS)
templates.tests["opinion"] = is_opinion


def tenant_of(request: Request) -> Tenant:
    """The tenant that the path names.  Raises 404."""
    tenants: dict[str, Tenant] = request.app.state.tenants
    tenant = tenants.get(request.path_params["tenant"])
    if tenant is None:
        raise HTTPException(404)
    return tenant


def page(request: Request, tenant: Tenant, name: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """A screen of a tenant in its own skin."""
    frame = {"tenant": tenant, "skin": tenant.hospital.key, "title": tenant.hospital.title}
    return HTMLResponse(templates.get_template(name).render(frame | dict(values)), status)


def to_sign_in(tenant: Tenant) -> Response:
    """Nobody is signed in."""
    return RedirectResponse(f"{tenant.path}/sign-in", 303)


async def patients(request: Request) -> Response:
    """The patient list."""
    tenant = tenant_of(request)
    account = await tenant.signed_in(request)
    if account is None:
        return to_sign_in(tenant)
    found = await tenant.search(account, "Patient", [("_sort", "family")])
    problems = await tenant.search(account, "Condition", [("clinical-status", "active")])
    first: dict[str, str] = {}
    for problem in sorted(problems, key=moment, reverse=True):
        first.setdefault(problem["subject"]["reference"].partition("/")[2], problem["code"]["text"])
    return page(request, tenant, "patients.html", {"account": account, "patients": found, "problems": first})


async def chart(request: Request) -> Response:
    """One tab of a patient's chart, with the storyboard beside it."""
    tenant = tenant_of(request)
    account = await tenant.signed_in(request)
    if account is None:
        return to_sign_in(tenant)
    tab = request.path_params.get("tab", "summary")
    if tab not in TABS:
        raise HTTPException(404)
    record = await record_of(tenant, account, request.path_params["patient"])
    app = await tenant.launch_url(account, record.id) if tab == "second-opinion" else ""
    values = {"account": account, "record": record, "tab": tab, "tabs": TABS, "app": app}
    return page(request, tenant, f"{tab.replace('-', '_')}.html", values)


async def record_of(tenant: Tenant, account: Account, patient: str) -> Record:
    """The chart, or 404 when this physician may not see it."""
    try:
        return await read_record(tenant, account, patient)
    except FhirError as error:
        raise HTTPException(error.status) from error


async def document(request: Request) -> Response:
    """The content of a DocumentReference, to be shown in a frame; nothing in it may run."""
    tenant = tenant_of(request)
    account = await tenant.signed_in(request)
    if account is None:
        return to_sign_in(tenant)
    record = await record_of(tenant, account, request.path_params["patient"])
    found = next((each for each in record.documents if each["id"] == request.path_params["document"]), None)
    if found is None:
        raise HTTPException(404)
    attachment: dict[str, Any] = next(
        (each["attachment"] for each in found.get("content", []) if "attachment" in each), {}
    )
    content_type = attachment.get("contentType", "").partition(";")[0]
    if cda.is_xml(content_type) and "data" in attachment:
        return clinical_document(base64.b64decode(attachment["data"]))
    if content_type not in SHOWN_TYPES or "data" not in attachment:
        raise HTTPException(415)
    policy = FRAMED if content_type == "application/pdf" else ISOLATED
    charset = "" if content_type == "application/pdf" else "; charset=utf-8"
    headers = {"content-security-policy": policy, "content-type": content_type + charset}
    return Response(base64.b64decode(attachment["data"]), headers=headers)


def clinical_document(content: bytes) -> Response:
    """A C-CDA document with its sections as people read them."""
    try:
        found = cda.read(content)
    except cda.NotCda as error:
        raise HTTPException(415, str(error)) from error
    html = templates.get_template("cda.html").render({"document": found})
    return HTMLResponse(html, headers={"content-security-policy": ISOLATED})
