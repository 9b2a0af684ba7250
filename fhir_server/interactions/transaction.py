"""Batch and transaction.  https://hl7.org/fhir/R4/http.html#transaction

A transaction is done as a whole or not at all, in the order DELETE, POST, PUT and PATCH, GET; a batch does each
entry for itself. The response has one entry for each of the request, in its order.
"""

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fhir_server import wire
from fhir_server.context import Context
from fhir_server.errors import FhirError, Invalid
from fhir_server.interactions.admission import admit
from fhir_server.interactions.bundle import Document, etag, refusal
from fhir_server.interactions.commit import commit, commit_then
from fhir_server.interactions.delete import delete_operation
from fhir_server.interactions.etag import is_among, version_of_etag
from fhir_server.interactions.inquiry import Answer, inquire
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.interactions.operations import invoke_in_batch, is_operation
from fhir_server.interactions.patch import patch_operation
from fhir_server.interactions.update import Target, update_operation
from fhir_server.search.dates import instant
from fhir_server.store.database import Transaction

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
ORDER = {"delete": 0, "create": 1, "update": 2, "patch": 2}
JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the request, taken apart."""

    method: str
    url: str
    resource: Any
    request: dict[str, Any]
    full_url: str | None

    @property
    def is_read(self) -> bool:
        """Whether it only reads."""
        return self.method in {"GET", "HEAD"}


async def process_bundle(ctx: Context, document: Any, *, representation: bool = False) -> Document:
    """Do a batch or transaction. Raises Invalid for what is neither, and every error of a transaction's entries."""
    if not isinstance(document, dict) or document.get("resourceType") != "Bundle":
        raise Invalid("The body is not a Bundle.")
    await ctx.node.stored_canonicals.refresh()
    ctx.trail.interaction = str(document.get("type"))[:20]
    entries = [_entry(ctx, raw, n) for n, raw in enumerate(_listed(ctx, document))]
    if document.get("type") == "batch":
        return _response("batch", [await _alone(ctx, entry, representation) for entry in entries])
    if document.get("type") == "transaction":
        return _response("transaction", await _together(ctx, entries, representation))
    raise Invalid("The Bundle is neither a batch nor a transaction.")


def _listed(ctx: Context, document: dict[str, Any]) -> list[Any]:
    entries = document.get("entry") or []
    if not isinstance(entries, list):
        raise Invalid("Bundle.entry is an array.")
    if len(entries) > ctx.node.settings.max_transaction_entries:
        raise Invalid(f"A Bundle may have {ctx.node.settings.max_transaction_entries} entries here.")
    return entries


def _entry(ctx: Context, raw: Any, n: int) -> Entry:
    request = raw.get("request") if isinstance(raw, dict) else None
    if not isinstance(request, dict) or request.get("method") not in METHODS or not isinstance(request.get("url"), str):
        raise Invalid("An entry needs a request with method and url.", expression=f"Bundle.entry[{n}]")
    url = request["url"].removeprefix(ctx.node.settings.fhir_url).lstrip("/")
    return Entry(request["method"], url, raw.get("resource"), request, raw.get("fullUrl"))


def _response(kind: str, entries: list[Document]) -> Document:
    document: Document = {"resourceType": "Bundle", "type": f"{kind}-response"}
    return document | {"entry": entries} if entries else document


async def _together(ctx: Context, entries: list[Entry], representation: bool) -> list[Document]:
    """All writes in one database transaction, then the reads inside it."""
    if any(is_operation(entry.url) for entry in entries):
        raise Invalid("An operation may stand in a batch, not in a transaction.")
    operations = {n: _operation(ctx, entry) for n, entry in enumerate(entries) if not entry.is_read}
    order = sorted(operations, key=lambda n: (ORDER[operations[n].verb], n))

    async def finish(transaction: Transaction, outcomes: list[Outcome]) -> list[Document]:
        done = {n: written(ctx, outcome, representation) for n, outcome in zip(order, outcomes, strict=True)}
        for n, entry in enumerate(entries):
            if entry.is_read:
                done[n] = _answered(entry, await inquire(ctx, entry.url, ctx.store_in(transaction)))
        return [done[n] for n in range(len(entries))]

    if not operations:
        return [_answered(entry, await inquire(ctx, entry.url, ctx.store)) for entry in entries]
    return await commit_then(ctx, [operations[n] for n in order], finish)


async def _alone(ctx: Context, entry: Entry, representation: bool) -> Document:
    """One entry of a batch: its failure is its own."""
    try:
        if is_operation(entry.url):
            reply = await invoke_in_batch(ctx, entry.method, entry.url, entry.resource)
            return {"resource": reply.document, "response": {"status": "200 OK"}}
        if entry.is_read:
            return _answered(entry, await inquire(ctx, entry.url, ctx.store))
        return written(ctx, (await commit(ctx, [_operation(ctx, entry)]))[0], representation)
    except FhirError as error:
        failure = refusal(error)
        return {"response": {"status": _status(error.status), "outcome": failure}}


def _operation(ctx: Context, entry: Entry) -> Operation:
    path, _, condition = entry.url.partition("?")
    resource_type, _, resource_id = path.partition("/")
    if resource_type not in ctx.node.definitions.resource_types:
        raise Invalid(f"'{resource_type[:40]}' is no resource type of R4.")
    if_match = version_of_etag(entry.request.get("ifMatch"))
    target = Target(resource_type, resource_id or None, condition or None, if_match)
    operation = _by_method(ctx, entry, target)
    operation.full_url = entry.full_url
    return operation


def _by_method(ctx: Context, entry: Entry, target: Target) -> Operation:
    if entry.method == "POST":
        admit(ctx, entry.resource, target.resource_type)
        condition = entry.request.get("ifNoneExist")
        return Operation("create", target.resource_type, resource=entry.resource, condition=condition)
    if target.resource_id is None and target.condition is None:
        raise Invalid(f"{entry.method} needs an id or a condition.")
    if entry.method == "PUT":
        return update_operation(ctx, target, entry.resource)
    if entry.method == "PATCH":
        return patch_operation(target, _steps(entry.resource))
    return delete_operation(target)


def _steps(resource: Any) -> Any:
    """A JSON Patch travels as a Binary, a FHIRPath Patch as what it is.  https://hl7.org/fhir/R4/http.html#patch"""
    if isinstance(resource, dict) and resource.get("resourceType") == "Parameters":
        return resource
    if not isinstance(resource, dict) or resource.get("resourceType") != "Binary":
        raise Invalid("A PATCH entry holds a Binary or Parameters.")
    if resource.get("contentType") != JSON_PATCH:
        raise Invalid(f"The Binary of a PATCH entry is {JSON_PATCH}.")
    try:
        return wire.loads(base64.b64decode(resource.get("data", ""), validate=True))
    except binascii.Error:
        raise Invalid("The Binary of a PATCH entry is not base64.") from None


def written(ctx: Context, done: Outcome, representation: bool) -> Document:
    """The response entry of a write."""
    response: Document = {"status": _status(done.status)}
    entry: Document = {"response": response}
    version = done.version
    if version is not None:
        response["etag"] = etag(version)
        response["lastModified"] = instant(version.last_updated)
        if version.content is not None:
            response["location"] = f"{version.reference}/_history/{version.version_id}"
            entry["fullUrl"] = f"{ctx.node.settings.fhir_url}/{version.reference}"
            if representation:
                entry["resource"] = wire.fragment(version.content)
    return entry


def _answered(entry: Entry, answer: Answer) -> Document:
    """The response entry of a read; nothing is sent again to who has it.  R4 http.html#cread"""
    known = entry.request.get("ifNoneMatch")
    if isinstance(known, str) and "etag" in answer.response and is_among(str(answer.response["etag"]), known):
        return {"response": answer.response | {"status": _status(304)}}
    if entry.method == "HEAD":
        return {"response": answer.response}
    return {"resource": answer.resource, "response": answer.response}


def _status(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"
