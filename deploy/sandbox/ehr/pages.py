"""The EHR's screens: patient list, in basket, chart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from deploy.sandbox.charts.catalogue import Resource
from deploy.sandbox.ehr import words
from deploy.sandbox.ehr.patient_list import Row, listing
from deploy.sandbox.ehr.record import Record, is_opinion, moment, newest_of, read_record
from deploy.sandbox.ehr.tenant import Tenant
from fhir_server.errors import FhirError
from fhir_server.store.auth_values import Account

TABS = {
    "summary": "Summary",
    "results": "Results",
    "imaging": "Imaging",
    "medications": "Medications",
    "notes": "Notes",
    "encounters": "Encounters",
    "second-opinion": "Second opinion",
}
ORACLE_TABS = {
    "summary": "Provider View",
    "results": "Results Review",
    "imaging": "Diagnostic Imaging",
    "medications": "Medication List",
    "notes": "Clinical Notes",
    "encounters": "Visits",
    "second-opinion": "Second opinion",
}
TITLES = {"epic": TABS, "oracle": ORACLE_TABS}

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
    """The patient list; its search, filters and order are in the address."""
    tenant = tenant_of(request)
    account = await tenant.signed_in(request)
    if account is None:
        return to_sign_in(tenant)
    reports = await unread(tenant, account)
    rows = await rows_of(tenant, account, [subject(each) for each in reports])
    values = {"account": account, "listing": listing(rows, request.query_params), "waiting": len(reports)}
    return page(request, tenant, "patients.html", values)


async def rows_of(tenant: Tenant, account: Account, reported: list[str]) -> list[Row]:
    """Every patient that this physician may see."""
    problems = await tenant.search(account, "Condition", [("clinical-status", "active")])
    visits = await tenant.search(account, "Encounter", [])
    first: dict[str, str] = {}
    for problem in sorted(problems, key=moment, reverse=True):
        first.setdefault(subject(problem), words.concept(problem["code"]))
    seen: dict[str, str] = {}
    for visit in sorted(visits, key=moment):
        seen[subject(visit)] = moment(visit)[:10]
    found = await tenant.search(account, "Patient", [])
    return [
        Row(each, first.get(each["id"], ""), seen.get(each["id"], ""), reported.count(each["id"])) for each in found
    ]


def subject(resource: Resource) -> str:
    """The id of the patient that something is about."""
    return str(resource.get("subject", {}).get("reference", "")).rpartition("/")[2]


async def opinions(tenant: Tenant, account: Account) -> list[Resource]:
    """What the second-opinion programme filed, newest first."""
    found = await tenant.search(account, "DocumentReference", [("type", "http://loinc.org|11488-4")])
    return sorted((each for each in found if is_opinion(each)), key=moment, reverse=True)


async def unread(tenant: Tenant, account: Account) -> list[Resource]:
    """Those that this physician has not opened since the EHR started; what was replaced need not be read any more."""
    current = newest_of(await opinions(tenant, account))
    return [each for each in current if not tenant.has_read(account, each["id"])]


async def in_basket(request: Request) -> Response:
    """Messages: every signed second opinion, those not opened yet first to see."""
    tenant = tenant_of(request)
    account = await tenant.signed_in(request)
    if account is None:
        return to_sign_in(tenant)
    found = await tenant.search(account, "Patient", [])
    people = {each["id"]: each for each in found}
    filed = await opinions(tenant, account)
    current = {each["id"] for each in newest_of(filed)}
    messages = [
        {
            "document": each,
            "patient": people.get(subject(each), {}),
            "replaced": each["id"] not in current,
            "read": each["id"] not in current or tenant.has_read(account, each["id"]),
        }
        for each in filed
    ]
    waiting = sum(not each["read"] for each in messages)
    return page(request, tenant, "in_basket.html", {"account": account, "messages": messages, "waiting": waiting})


async def chart(request: Request) -> Response:
    """One tab of a patient's chart, with the patient beside or above it."""
    tenant = tenant_of(request)
    account = await tenant.signed_in(request)
    if account is None:
        return to_sign_in(tenant)
    tab = request.path_params.get("tab", "summary")
    if tab not in TABS:
        raise HTTPException(404)
    record = await record_of(tenant, account, request.path_params["patient"])
    app = await tenant.launch_url(account, record.id) if tab == "second-opinion" else ""
    chosen = choose(record, tab, request.query_params.get("show", ""))
    if chosen is not None and is_opinion(chosen):
        tenant.mark_read(account, chosen["id"])
    waiting = await unread(tenant, account)
    values = {
        "account": account,
        "record": record,
        "tab": tab,
        "tabs": TITLES[tenant.hospital.key],
        "app": app,
        "chosen": chosen,
        "only_flagged": request.query_params.get("only") == "flagged",
        "waiting": len(waiting),
        "to_read": [each for each in waiting if subject(each) == record.id],
    }
    return page(request, tenant, f"{tab.replace('-', '_')}.html", values)


def choose(record: Record, tab: str, wanted: str) -> Resource | None:
    """The note or report that is shown beside its list: the one asked for, else the newest."""
    lists = {"notes": record.documents, "imaging": [each for each, _ in record.imaging]}
    listed = lists.get(tab, [])
    return next((each for each in listed if each["id"] == wanted), next(iter(listed), None))


async def record_of(tenant: Tenant, account: Account, patient: str) -> Record:
    """The chart, or 404 when this physician may not see it."""
    try:
        return await read_record(tenant, account, patient)
    except FhirError as error:
        raise HTTPException(error.status) from error
