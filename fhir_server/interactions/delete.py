"""Delete, perhaps on a condition.  https://hl7.org/fhir/R4/http.html#delete"""

from fhir_server.context import Context
from fhir_server.interactions.commit import commit
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.interactions.update import Target


async def delete(ctx: Context, target: Target) -> Outcome:
    """Delete a resource; its history stays. What is not there is deleted already: 204. Raises NotFound for what the
    caller may not see, Forbidden, MultipleMatches, VersionMismatch, Unprocessable."""
    return (await commit(ctx, [delete_operation(target)]))[0]


def delete_operation(target: Target) -> Operation:
    """The operation."""
    return Operation(
        "delete", target.resource_type, target.resource_id, condition=target.condition, if_match=target.if_match
    )
