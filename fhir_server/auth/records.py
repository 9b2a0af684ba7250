"""FHIR resources as the authorization server needs them, through the ordinary interactions and their rules."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from fhir_server import wire
from fhir_server.caller import Caller
from fhir_server.context import Context, Node
from fhir_server.errors import Gone, Invalid, NotFound
from fhir_server.interactions.commit import commit
from fhir_server.interactions.create import create
from fhir_server.interactions.read import read
from fhir_server.interactions.search import search_type
from fhir_server.interactions.update import Target, update_operation

Resource = dict[str, Any]
AT_ONCE = 500
"""So many resources go into one transaction."""


def registrar(organization: str | None) -> Caller:
    """Give the caller in whose name the server keeps its directory and loads what an administrator provisions."""
    return Caller(
        subject="registrar",
        client_id="registrar",
        roles=frozenset({"administrator"}),
        organization=organization,
        scopes=("system/*.cruds",),
    )


async def create_once(node: Node, caller: Caller, resource: Resource, criteria: Mapping[str, str]) -> str:
    """Create unless one matches; gives the id of the one there is.  https://hl7.org/fhir/R4/http.html#ccreate"""
    outcome = await create(await _context(node, caller), resource["resourceType"], resource, urlencode(criteria))
    if outcome.version is None:
        raise NotFound("The resource was not kept.")
    return outcome.version.resource_id


async def put(node: Node, caller: Caller, resources: Sequence[Resource]) -> int:
    """Create or update under the ids that the resources name; gives how many were not there as they are.

    Raises what an update raises, and Invalid for one without type or id.
    """
    ctx = await _context(node, caller)
    changed = [resource for resource in resources if not await _is_there(ctx, resource)]
    for start in range(0, len(changed), AT_ONCE):
        part = changed[start : start + AT_ONCE]
        targets = [Target(resource["resourceType"], resource["id"]) for resource in part]
        operations = [update_operation(ctx, *pair) for pair in zip(targets, part, strict=True)]
        await commit(ctx, operations)
    return len(changed)


async def search(node: Node, caller: Caller, resource_type: str, query: Mapping[str, str]) -> list[Resource]:
    """Search as this caller; gives the matches of the first page."""
    found = await search_type(await _context(node, caller), resource_type, list(query.items()))
    entries = wire.loads(wire.dumps(found)).get("entry", ())
    return [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]


async def _is_there(ctx: Context, resource: Resource) -> bool:
    if not isinstance(resource.get("resourceType"), str) or not isinstance(resource.get("id"), str):
        raise Invalid("A provisioned resource names its resourceType and its id.")
    try:
        version = await read(ctx, resource["resourceType"], resource["id"])
    except (NotFound, Gone):
        return False
    known = wire.loads(version.content or b"{}")
    known["meta"] = {name: value for name, value in known.get("meta", {}).items() if name in resource.get("meta", {})}
    return wire.dumps(_sorted(known)) == wire.dumps(_sorted({"meta": {}} | resource))


def _sorted(resource: Resource) -> Resource:
    return dict(sorted(resource.items()))


async def _context(node: Node, caller: Caller) -> Context:
    """A request of this caller, under what the patients' Consents say to her or him."""
    now = time.time_ns() // 1000
    return Context.of(node, caller, now, terms=await node.consents.terms(node.database, caller, now))
