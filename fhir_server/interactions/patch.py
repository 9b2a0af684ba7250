"""JSON Patch, perhaps on a condition.  https://hl7.org/fhir/R4/http.html#patch"""

from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.commit import commit
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.interactions.update import Target


async def patch(ctx: Context, target: Target, steps: Any) -> Outcome:
    """Change parts of a resource. Raises Invalid, Unprocessable, VersionMismatch, NotFound, Forbidden."""
    await ctx.node.stored_canonicals.refresh()
    return (await commit(ctx, [patch_operation(target, steps)]))[0]


def patch_operation(target: Target, steps: Any) -> Operation:
    """The operation."""
    return Operation(
        "patch",
        target.resource_type,
        target.resource_id,
        condition=target.condition,
        if_match=target.if_match,
        patch=steps,
    )
