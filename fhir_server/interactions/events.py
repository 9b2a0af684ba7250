"""Who asks for AuditEvents, by whatever way, is answered with all that have happened: those that wait are listed first.

A search of the type, of several types or of a compartment, `_revinclude`, `_has`, `$everything`.  docs/audit.md
"""

from fhir_server.context import Context
from fhir_server.errors import Forbidden
from fhir_server.search.query import Chain, Clause, Condition, Has, InCompartment, Logic, Query, ReferenceValue
from fhir_server.store.repository import Repository

AUDIT_EVENT = "AuditEvent"
INCOMPLETE = "More has happened than could be listed yet; ask again, or for one patient or person."


async def listed_for(ctx: Context, query: Query, repository: Repository) -> bool:
    """List what a search may meet; gives whether that was all. A transaction cannot wait for others to write."""
    if not _concerns(query) or not may_see(ctx):
        return True
    if repository.source is not ctx.node.database:
        return not ctx.node.journal.enabled
    return await ctx.node.audit.catch_up(_about(ctx, query))


async def listed_of(ctx: Context, patient: str) -> bool:
    """List what names a patient, for who may see it; gives whether that was all."""
    return not may_see(ctx) or await ctx.node.audit.catch_up([patient])


def may_see(ctx: Context) -> bool:
    """Whether any AuditEvent may be shown to this caller."""
    try:
        ctx.grants.restriction("search", AUDIT_EVENT)
    except Forbidden:
        return False
    return True


def _concerns(query: Query) -> bool:
    included = any(each.source_type in {AUDIT_EVENT, None} and each.reverse for each in query.includes)
    return AUDIT_EVENT in query.types or included or any(map(_asks, query.conditions))


def _asks(condition: Condition) -> bool:
    """Whether a condition looks at AuditEvents: by `_has`, however deep."""
    match condition:
        case Has(parameter=parameter, condition=inner):
            return parameter.resource_type == AUDIT_EVENT or _asks(inner)
        case Chain(targets=targets):
            return any(_asks(inner) for _, inner in targets)
        case Logic(parts=parts):
            return any(map(_asks, parts))
        case _:
            return False


def _about(ctx: Context, query: Query) -> list[str]:
    """Ids of which each AuditEvent that is asked for names one; none where the question does not say."""
    if ctx.caller.roles == {"patient"} and ctx.caller.patient:
        return [ctx.caller.patient]
    if query.types != (AUDIT_EVENT,):
        return [each.id for each in query.conditions if isinstance(each, InCompartment)]
    for each in query.conditions:
        if isinstance(each, InCompartment):
            return [each.id]
        values = each.values if isinstance(each, Clause) and each.modifier is None else ()
        ids = [value.id for value in values if isinstance(value, ReferenceValue) and value.id]
        if ids and len(ids) == len(values):
            return ids
    return []
