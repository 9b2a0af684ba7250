"""Update, update-as-create, conditional update.  https://hl7.org/fhir/R4/http.html#update"""

import re
from dataclasses import dataclass
from typing import Any

from fhir_server.context import Context
from fhir_server.errors import Invalid
from fhir_server.interactions.admission import admit
from fhir_server.interactions.commit import commit
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.store.binaries import Kept

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Target:
    """What to update: an id, or a condition; `if_match` the version that must be current."""

    resource_type: str
    resource_id: str | None = None
    condition: str | None = None
    if_match: int | None = None


async def update(ctx: Context, target: Target, resource: Any, *, kept: Kept | None = None) -> Outcome:
    """Replace a resource, or make it under the client's id. Raises Invalid, VersionMismatch, NotFound, Forbidden,
    Unprocessable.
    """
    await ctx.node.stored_canonicals.refresh()
    operation = update_operation(ctx, target, resource)
    operation.kept = kept
    return (await commit(ctx, [operation]))[0]


def update_operation(ctx: Context, target: Target, resource: Any) -> Operation:
    """The checked operation."""
    admit(ctx, resource, target.resource_type)
    own = resource.get("id")
    if target.resource_id is not None and own != target.resource_id:
        raise Invalid("The id of the resource is not that of the address.")
    if own is not None and not ID.match(own):
        raise Invalid("An id has 1 to 64 letters, digits, hyphens and dots.")
    return Operation(
        "update",
        target.resource_type,
        target.resource_id or own,
        resource,
        condition=target.condition,
        if_match=target.if_match,
    )
