"""`$validate`: would this be accepted, and what is wrong with it?  https://hl7.org/fhir/R4/resource-operation-validate.html

With a mode (`create`, `update`, `delete`) the write is done as well, in a transaction that is rolled back: so it meets
every rule, permission and condition that the real one would.
"""

from typing import Any, NoReturn

from fhir_server import wire
from fhir_server.context import Context
from fhir_server.errors import FhirError, Invalid, Issue, NotFound
from fhir_server.interactions.admission import check_type, wanted_profiles
from fhir_server.interactions.bundle import outcome_of
from fhir_server.interactions.commit import commit_then
from fhir_server.interactions.operation import Operation, Outcome
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.store.database import Transaction

MODES = ("create", "update", "delete", "profile")
FINE = Issue("information", "informational", "There are no problems.")


class _RolledBack(Exception):
    """The write would have been done."""


async def validate(call: Invocation) -> Document:
    """Every problem as an OperationOutcome. Raises Invalid for a call that makes no sense, NotFound."""
    mode = call.parameters.text("mode")
    if mode is not None and mode not in MODES:
        raise Invalid(f"The modes are {', '.join(MODES)}.")
    if mode == "delete":
        issues = await _tried(call.ctx, _operation(call, "delete", None))
        return outcome_of(issues or [FINE])
    resource = await _resource(call)
    check_type(call.ctx.node, resource, call.resource_type)
    issues = _problems(call, resource)
    if mode in {"create", "update"} and not any(issue.severity == "error" for issue in issues):
        issues += await _tried(call.ctx, _operation(call, mode, resource))
    return outcome_of(issues or [FINE])


async def _resource(call: Invocation) -> Any:
    """The resource that was sent, or the stored one of an instance."""
    sent = call.parameters.object("resource")
    if sent is not None:
        return sent
    if call.resource_id is None or call.resource_type is None:
        raise Invalid("The parameter 'resource' is missing.")
    version = await call.ctx.store.read(call.resource_type, call.resource_id)
    return wire.loads(version.content or b"")


def _problems(call: Invocation, resource: dict[str, Any]) -> list[Issue]:
    node = call.ctx.node
    named = [str(one) for one in call.parameters.all("profile")]
    unknown = [one for one in named if not node.validator.knows(one)]
    issues = [
        Issue("error", "not-found", f"The profile {one[:200]} is not known here.", resource["resourceType"])
        for one in unknown
    ]
    profiles = [one for one in named if one not in unknown] + wanted_profiles(node, resource["resourceType"])
    issues += node.validator.validate(resource, profiles, thorough=True)
    if call.resource_id is not None and resource.get("id") not in {None, call.resource_id}:
        issues.append(Issue("error", "value", "The id is not that of the address.", f"{resource['resourceType']}.id"))
    return issues


def _operation(call: Invocation, mode: str, resource: dict[str, Any] | None) -> Operation:
    resource_type = str(call.resource_type)
    if mode == "create":
        return Operation("create", resource_type, resource=resource)
    resource_id = call.resource_id or (resource or {}).get("id")
    if resource_id is None:
        raise Invalid(f"The mode {mode} is about one resource: call it below its id.")
    if mode == "update":
        return Operation("update", resource_type, resource_id, resource)
    return Operation("delete", resource_type, resource_id)


async def _tried(ctx: Context, operation: Operation) -> list[Issue]:
    """What the server would say to a write, which is taken back."""

    async def roll_back(transaction: Transaction, outcomes: list[Outcome]) -> NoReturn:
        if operation.verb == "delete" and outcomes[0].version is None:
            raise NotFound(f"{operation.resource_type}/{operation.resource_id} is not known.")
        raise _RolledBack

    try:
        await commit_then(ctx, [operation], roll_back, bundled=False)
    except _RolledBack:
        return []
    except FhirError as error:
        return list(error.issues) or [Issue("error", error.issue_code, error.diagnostics, error.expression)]


OPERATIONS = (
    OperationDefinition(
        "validate",
        validate,
        levels=("type", "instance"),
        parameters=("resource", "mode", "profile"),
        definition="http://hl7.org/fhir/OperationDefinition/Resource-validate",
    ),
)
