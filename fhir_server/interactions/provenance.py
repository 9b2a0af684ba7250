"""Provenance of every version, made of what its row already says: by whom, when, by which program, for whom.

Nothing is stored for it, so a write costs what it cost, no version is without, and none can say other than the row.
It is shown to who may search Provenance and sees the version itself.  https://hl7.org/fhir/R4/provenance.html
"""

import re
from collections.abc import Sequence

from fhir_server import wire
from fhir_server.context import Context
from fhir_server.errors import Forbidden, Gone, NotFound
from fhir_server.interactions.bundle import Document
from fhir_server.search.dates import instant
from fhir_server.search.query import Clause, Include, Query, ReferenceValue
from fhir_server.store.repository import HistoryScope, Version
from fhir_server.store.written import Hand, hands, identity_of

OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
OWN_ID = re.compile(r"written-([1-9][0-9]{0,18})-([1-9][0-9]{0,9})\Z", re.ASCII)
ABOUT_OTHERS = frozenset({"Provenance", "AuditEvent"})
MOST_VERSIONS = 1000


async def read_automatic(ctx: Context, resource_id: str) -> Version | None:
    """The Provenance of this id, if it is one of these. Raises NotFound, Forbidden."""
    match = OWN_ID.match(resource_id)
    if match is None:
        return None
    ctx.grants.restriction("read", "Provenance")
    target = await identity_of(ctx.node.database, int(match[1]))
    versions = await _versions(ctx, *target) if target and target[0] not in ABOUT_OTHERS else []
    asked = [each for each in versions if (each.row_id, each.version_id) == (int(match[1]), int(match[2]))]
    found = await automatic(ctx, asked)
    if not found:
        raise NotFound(f"Provenance/{resource_id} is not known.")
    return found[0]


async def of_search(ctx: Context, query: Query) -> list[Version]:
    """What a search for Provenance by target alone finds beyond what is stored: of every version of the targets."""
    condition = query.conditions[0] if len(query.conditions) == 1 else None
    if not isinstance(condition, Clause) or condition.parameter.code != "target" or condition.modifier is not None:
        return []
    found: list[Version] = []
    for value in condition.values:
        if isinstance(value, ReferenceValue) and value.type and value.id and value.type not in ABOUT_OTHERS:
            found += await _versions(ctx, value.type, value.id)
    return await automatic(ctx, found)


async def of_includes(ctx: Context, includes: Sequence[Include], matches: Sequence[Version]) -> list[Version]:
    """What `_revinclude=Provenance:target` adds: of the versions that are shown."""
    if not any(_asks(include) for include in includes):
        return []
    try:
        ctx.grants.restriction("search", "Provenance")
    except Forbidden:
        return []
    return await automatic(ctx, [each for each in matches if each.resource_type not in ABOUT_OTHERS])


def _asks(include: Include) -> bool:
    named = include.parameter is None or include.parameter.code == "target"
    return include.reverse and include.source_type == "Provenance" and named


async def automatic(ctx: Context, versions: Sequence[Version]) -> list[Version]:
    """The Provenances of versions that the caller sees."""
    known = await hands(ctx.node.database, versions) if versions else {}
    return [
        _made(version, known[version.row_id, version.version_id])
        for version in versions
        if (version.row_id, version.version_id) in known
    ]


async def _versions(ctx: Context, resource_type: str, resource_id: str) -> list[Version]:
    """Every version that the caller may see, oldest first; the current one where history is closed to him."""
    try:
        scope = HistoryScope(resource_type, resource_id)
        return (await ctx.store.history(scope, MOST_VERSIONS))[::-1]
    except Forbidden:
        pass
    try:
        return [await ctx.store.read(resource_type, resource_id)]
    except (NotFound, Gone, Forbidden):
        return []


def id_of(version: Version) -> str:
    """The id of the Provenance of a version."""
    return f"written-{version.row_id}-{version.version_id}"


def _made(version: Version, hand: Hand) -> Version:
    content = wire.dumps(_document(version, hand))
    return Version(
        version.row_id,
        "Provenance",
        id_of(version),
        1,
        version.last_updated,
        version.patient,
        version.organization,
        version.quarantined,
        content,
        "create",
    )


def _document(version: Version, hand: Hand) -> Document:
    recorded = instant(version.last_updated)
    document: Document = {
        "resourceType": "Provenance",
        "id": id_of(version),
        "meta": {"versionId": "1", "lastUpdated": recorded},
        "target": [{"reference": f"{version.reference}/_history/{version.version_id}"}],
        "recorded": recorded,
        "activity": {"coding": [{"system": OPERATION, "code": _operation(version)}]},
        "agent": _agents(hand),
    }
    if version.version_id > 1:
        before = f"{version.reference}/_history/{version.version_id - 1}"
        document["entity"] = [{"role": "revision", "what": {"reference": before}}]
    return document


def _operation(version: Version) -> str:
    if version.interaction == "delete":
        return "DELETE"
    return "CREATE" if version.version_id == 1 else "UPDATE"


def _agents(hand: Hand) -> list[Document]:
    """The person as author, and the program that brought it in; a program alone is both."""
    program: Document = {"identifier": {"value": hand.client_id or "unknown"}}
    who: Document = {"reference": hand.fhir_user} if hand.fhir_user else {"identifier": {"value": hand.subject}}
    alone = not hand.fhir_user and hand.subject == hand.client_id
    behalf = {"onBehalfOf": {"reference": hand.organization}} if hand.organization else {}
    agents = [{"type": _type(PARTICIPANT, "author"), "who": program if alone else who, **behalf}]
    return agents if alone else [*agents, {"type": _type(PARTICIPANT, "assembler"), "who": program}]


def _type(system: str, code: str) -> Document:
    return {"coding": [{"system": system, "code": code}]}
