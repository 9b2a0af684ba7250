"""`Composition/$document`.  https://hl7.org/fhir/R4/composition-operation-document.html"""

from typing import Any
from uuid import uuid4

from fhir_server import wire
from fhir_server.errors import Invalid, NotFound, Unprocessable
from fhir_server.interactions.create import create
from fhir_server.interactions.graph import Graph
from fhir_server.interactions.operations import Invocation, OperationDefinition, Reply
from fhir_server.interactions.references import references
from fhir_server.search.dates import instant
from fhir_server.search.readers import LOCAL_REFERENCE
from fhir_server.store.repository import Version
from fhir_server.store.writer import Identity

Document = dict[str, Any]
MAX_STEPS = 3


async def run(call: Invocation) -> Reply:
    """A document of the composition and all that it refers to, directly and from there.  documents.html#content

    With `graph` it holds what that GraphDefinition reaches instead. With `persist` it is stored as a Bundle.
    Raises Unprocessable where something that the composition names itself is elsewhere, gone or not for the caller, and
    where the graph asks for more than there is; NotFound, Gone, Forbidden, Invalid.
    """
    composition = await call.ctx.store.read("Composition", _id(call))
    held = await _by_graph(call, composition) if call.parameters.text("graph") else await _gathered(call, composition)
    document = _document(call, [composition, *held])
    if not call.parameters.flag("persist"):
        return Reply(document)
    stored = (await create(call.ctx, "Bundle", wire.loads(wire.dumps(document)))).version
    if stored is None:
        raise Unprocessable("The document could not be stored.")
    place = f"{call.ctx.node.settings.fhir_url}/{stored.reference}/_history/{stored.version_id}"
    return Reply(wire.loads(stored.content or b"{}"), {"Location": place})


def _id(call: Invocation) -> str:
    """The composition of the address, or of the parameter `id`: an id, or the URL of one of ours."""
    named = call.parameters.text("id")
    if call.resource_id is not None:
        if named is not None:
            raise Invalid("The composition is in the address; the parameter 'id' names another.")
        return call.resource_id
    text = call.parameters.needed("id") if named is None else named
    base = f"{call.ctx.node.settings.fhir_url}/"
    return text.removeprefix(base).removeprefix("Composition/")


async def _by_graph(call: Invocation, composition: Version) -> list[Version]:
    """What the GraphDefinition of the parameter `graph` reaches: its canonical, or the URL of one of ours."""
    named = call.parameters.needed("graph")
    own = named.removeprefix(f"{call.ctx.node.settings.fhir_url}/").partition("GraphDefinition/")
    pair = ("_id", own[2]) if own[2] and not own[0] else ("url", named.partition("|")[0])
    version = [("version", named.partition("|")[2])] if "|" in named else []
    query = call.ctx.node.parser.parse("GraphDefinition", [pair, *version])
    found = (await call.ctx.store.search(query)).matches
    if not found:
        raise NotFound(f"There is no GraphDefinition {named[:100]} here.")
    definition = wire.loads(found[-1].content or b"{}")
    if definition.get("start") != "Composition":
        raise Unprocessable("The graph does not start with a Composition.")
    graph = Graph(call.ctx, composition, call.ctx.node.settings.max_includes)
    await graph.walk(composition, definition.get("link", []))
    return graph.found


async def _gathered(call: Invocation, composition: Version) -> list[Version]:
    """What is referred to, step by step; the first step must be complete."""
    limit = call.ctx.node.settings.max_includes
    known = {composition.reference}
    found: list[Version] = []
    fresh = [composition]
    for step in range(MAX_STEPS):
        wanted = _wanted(call, fresh, strict=step == 0) - known
        fresh = await call.ctx.store.many(sorted(_identity(one) for one in wanted))
        if step == 0 and len(fresh) != len(wanted):
            raise Unprocessable("The composition refers to something that is not here, or not for this caller.")
        known |= wanted
        found += fresh
        if len(found) > limit:
            raise Unprocessable(f"The document would have more than {limit} resources.")
        if not fresh:
            break
    return found


def _identity(reference: str) -> Identity:
    resource_type, _, resource_id = reference.partition("/")
    return resource_type, resource_id


def _wanted(call: Invocation, versions: list[Version], *, strict: bool) -> set[str]:
    """The local references of these. Raises Unprocessable, when `strict`, for one to another server."""
    base = f"{call.ctx.node.settings.fhir_url}/"
    wanted = set()
    for version in versions:
        for text in references(wire.loads(version.content or b"{}")):
            match = LOCAL_REFERENCE.match(text.removeprefix(base))
            if match:
                wanted.add(f"{match.group(1)}/{match.group(2)}")
            elif strict and not text.startswith("#"):
                raise Unprocessable("The composition refers to something on another server.")
    return wanted


def _document(call: Invocation, versions: list[Version]) -> Document:
    base = call.ctx.node.settings.fhir_url
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"},
        "type": "document",
        "timestamp": instant(call.ctx.now),
        "entry": [
            {"fullUrl": f"{base}/{one.reference}", "resource": wire.fragment(one.content or b"{}")} for one in versions
        ],
    }


OPERATIONS = (OperationDefinition("document", run, ("Composition",), ("type", "instance"), ("id", "persist", "graph")),)
