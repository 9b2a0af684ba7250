"""Create, perhaps on a condition.  https://hl7.org/fhir/R4/http.html#create"""

from typing import Any

from fhir_server.context import Context
from fhir_server.interactions.admission import admit
from fhir_server.interactions.commit import commit
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.store.binaries import Kept


async def create(
    ctx: Context, resource_type: str, resource: Any, if_none_exist: str | None = None, *, kept: Kept | None = None
) -> Outcome:
    """Store a new resource under an id of the server's.

    With `if_none_exist` (R4 http.html#ccreate): nothing matches, 201; one match, 200 and that one; more,
    MultipleMatches. Clients that ask at the same time get one resource. Raises Invalid, Forbidden, Unprocessable.
    """
    await ctx.node.stored_canonicals.refresh()
    admit(ctx, resource, resource_type)
    operation = Operation("create", resource_type, resource=resource, condition=if_none_exist, kept=kept)
    return (await commit(ctx, [operation]))[0]
