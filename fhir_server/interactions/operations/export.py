"""`$export` of the system, of all patients, of a group.  https://hl7.org/fhir/uv/bulkdata/STU2/export.html"""

from urllib.parse import quote, urlencode

from fhir_server import wire
from fhir_server.errors import Forbidden, Invalid, TooManyRequests
from fhir_server.interactions.bulk_export.manifest import address
from fhir_server.interactions.bulk_export.request import Asked, asked_for, members
from fhir_server.interactions.bundle import outcome
from fhir_server.interactions.operations import Invocation, OperationDefinition, Reply
from fhir_server.store import exports
from fhir_server.store.rows import next_row_id

CANONICAL = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/{}export"


async def run(call: Invocation) -> Reply:
    """Begin an export: 202, and the address of its state. For programs alone (SMART Backend Services).

    Raises Invalid, Forbidden, NotFound, Gone, TooManyRequests.
    """
    caller, node = call.ctx.caller, call.ctx.node
    if caller.subject != caller.client_id:
        raise Forbidden("A bulk export is for programs that act for themselves (SMART Backend Services).")
    if not call.asynchronous:
        raise Invalid("An export takes its time: ask with the header 'Prefer: respond-async'.")
    asked = await _asked(call)
    async with node.database.transaction() as transaction:
        if await exports.running_of(transaction, caller.client_id) >= node.settings.exports_at_once:
            raise TooManyRequests("As many exports as may run at a time are running.", headers={"Retry-After": "60"})
        key = await exports.add(transaction, caller, _url(call), asked.kept(), call.ctx.now)
    place = address(node.settings.fhir_url, key)
    said = outcome("information", "informational", f"The export has begun; its state is at {place}.")
    return Reply(said, {"Content-Location": place}, 202)


async def _asked(call: Invocation) -> Asked:
    level = call.resource_type or "system"
    asked = asked_for(call.ctx, call.parameters, level, call.lenient, next_row_id())
    if level != "Group":
        return asked
    group = await call.ctx.store.read("Group", str(call.resource_id))
    inside = members(wire.loads(group.content or b"{}"))
    return asked.narrowed_to(inside)


def _url(call: Invocation) -> str:
    """The kick-off request as a URL; what came in a body is said likewise."""
    pairs = [
        (name, str(value["reference"] if isinstance(value, dict) else value))
        for name, value, _ in call.parameters.entries
    ]
    return f"{call.address}/$export" + (f"?{urlencode(pairs, quote_via=quote, safe=':,/')}" if pairs else "")


OPERATIONS = (
    OperationDefinition("export", run, (), ("system",), definition=CANONICAL.format("")),
    OperationDefinition("export", run, ("Patient",), ("type",), definition=CANONICAL.format("patient-")),
    OperationDefinition("export", run, ("Group",), ("instance",), definition=CANONICAL.format("group-")),
)
