"""From HTTP to the interactions and back, one handler for each.  https://hl7.org/fhir/R4/http.html"""

from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response

from fhir_server.errors import Invalid, NotFound
from fhir_server.http.body import read_body
from fhir_server.http.endpoint import Call
from fhir_server.http.negotiation import FORM_TYPE, JSON_TYPE, PATCH_TYPE, XML_TYPE, check_content_type
from fhir_server.http.responses import document, not_modified, version, written
from fhir_server.interactions.create import create
from fhir_server.interactions.delete import delete
from fhir_server.interactions.etag import version_of_etag
from fhir_server.interactions.history import history
from fhir_server.interactions.operation import Outcome
from fhir_server.interactions.patch import patch
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search_compartment, search_system, search_type
from fhir_server.interactions.transaction import process_bundle
from fhir_server.interactions.update import Target, update
from fhir_server.interactions.vread import vread
from fhir_server.store.repository import HistoryScope

MAX_FORM_BYTES = 1_000_000


async def on_read(call: Call) -> Response:
    """GET [base]/[type]/[id]"""
    found = await read(call.ctx, call.resource_type, call.path("id"))
    return not_modified(call.request, found) or version(call.request, found)


async def on_vread(call: Call) -> Response:
    """GET [base]/[type]/[id]/_history/[vid]"""
    found = await vread(call.ctx, (call.resource_type, call.path("id")), call.path("vid"))
    return not_modified(call.request, found) or version(call.request, found)


async def on_create(call: Call) -> Response:
    """POST [base]/[type]"""
    condition = call.request.headers.get("if-none-exist")
    return written_by(call, await create(call.ctx, call.resource_type, await call.body(), condition))


async def on_update(call: Call) -> Response:
    """PUT [base]/[type]/[id]"""
    return written_by(call, await update(call.ctx, target_of(call), await call.body()))


async def on_conditional_update(call: Call) -> Response:
    """PUT [base]/[type]?[search parameters]"""
    return written_by(call, await update(call.ctx, _condition(call), await call.body()))


async def on_patch(call: Call) -> Response:
    """PATCH [base]/[type]/[id]"""
    return written_by(call, await patch(call.ctx, target_of(call), await _patch_body(call)))


async def on_conditional_patch(call: Call) -> Response:
    """PATCH [base]/[type]?[search parameters]"""
    return written_by(call, await patch(call.ctx, _condition(call), await _patch_body(call)))


async def on_delete(call: Call) -> Response:
    """DELETE [base]/[type]/[id]"""
    return written_by(call, await delete(call.ctx, target_of(call)))


async def on_conditional_delete(call: Call) -> Response:
    """DELETE [base]/[type]?[search parameters]"""
    return written_by(call, await delete(call.ctx, _condition(call)))


async def on_search(call: Call) -> Response:
    """GET [base]/[type]?[search parameters]"""
    found = await search_type(call.ctx, call.resource_type, call.query, lenient=call.preference.lenient)
    return document(call.request, found)


async def on_post_search(call: Call) -> Response:
    """POST [base]/[type]/_search: parameters of the body after those of the address"""
    found = await search_type(call.ctx, call.resource_type, await _form(call), lenient=call.preference.lenient)
    return document(call.request, found)


async def on_search_system(call: Call) -> Response:
    """GET [base]?_type=...&[search parameters]"""
    return document(call.request, await search_system(call.ctx, call.query, lenient=call.preference.lenient))


async def on_post_search_system(call: Call) -> Response:
    """POST [base]/_search"""
    return document(call.request, await search_system(call.ctx, await _form(call), lenient=call.preference.lenient))


async def on_search_compartment(call: Call) -> Response:
    """GET [base]/[Compartment]/[id]/[type] or /*"""
    return await _compartment(call, call.query)


async def on_post_search_compartment(call: Call) -> Response:
    """POST [base]/[Compartment]/[id]/[type]/_search"""
    return await _compartment(call, await _form(call))


async def _compartment(call: Call, pairs: list[tuple[str, str]]) -> Response:
    held = str(call.request.path_params["held"])
    if held != "*" and held not in call.ctx.node.definitions.resource_types:
        raise NotFound("There is nothing at this address.")
    compartment, lenient = (call.resource_type, call.path("id")), call.preference.lenient
    return document(call.request, await search_compartment(call.ctx, compartment, held, pairs, lenient=lenient))


async def _form(call: Call) -> list[tuple[str, str]]:
    check_content_type(call.request, FORM_TYPE)
    raw = await read_body(call.request, MAX_FORM_BYTES)
    try:
        call.ctx.trail.query = raw.decode()
        return [*call.query, *parse_qsl(call.ctx.trail.query, keep_blank_values=True)]
    except UnicodeDecodeError:
        raise Invalid("The form is not UTF-8.") from None


async def on_history_instance(call: Call) -> Response:
    """GET [base]/[type]/[id]/_history"""
    scope = HistoryScope(call.resource_type, call.path("id"))
    return document(call.request, await history(call.ctx, scope, call.query))


async def on_history_type(call: Call) -> Response:
    """GET [base]/[type]/_history"""
    return document(call.request, await history(call.ctx, HistoryScope(call.resource_type), call.query))


async def on_history_system(call: Call) -> Response:
    """GET [base]/_history"""
    return document(call.request, await history(call.ctx, HistoryScope(), call.query))


async def on_bundle(call: Call) -> Response:
    """POST [base]"""
    representation = call.preference.returns == "representation"
    return document(call.request, await process_bundle(call.ctx, await call.body(), representation=representation))


async def on_unknown(call: Call) -> Response:
    """Any other address."""
    raise NotFound("There is nothing at this address.")


async def _patch_body(call: Call) -> Any:
    """A JSON Patch, or the Parameters of a FHIRPath Patch."""
    media_type = check_content_type(call.request, PATCH_TYPE, JSON_TYPE, XML_TYPE)
    return call.parsed(await call.raw(), media_type)


def written_by(call: Call, done: Outcome) -> Response:
    """The answer to a write."""
    return written(call.request, done, call.preference, call.ctx.node.settings.fhir_url)


def target_of(call: Call) -> Target:
    """What the address and If-Match name."""
    if_match = version_of_etag(call.request.headers.get("if-match"))
    return Target(call.resource_type, call.path("id"), if_match=if_match)


def _condition(call: Call) -> Target:
    if_match = version_of_etag(call.request.headers.get("if-match"))
    if call.condition is None:
        raise Invalid("This needs an id in the address or a condition.")
    return Target(call.resource_type, condition=call.condition, if_match=if_match)
