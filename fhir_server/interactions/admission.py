"""What may be stored: validation before every write, and what the policy makes of its outcome.

https://hl7.org/fhir/R4/validation.html. What nobody could read is always refused. Of the rest the policy says: `refuse`
all of it, `tag` (store it with a tag that says so), or `structure` (do not look further).
"""

from collections.abc import Sequence
from typing import Any

from fhir_server.context import Context, Node
from fhir_server.errors import FhirError, Invalid, Issue, Unprocessable
from fhir_server.validation.report import UNREADABLE

TAG = {
    "system": "https://konsil.example/fhir/CodeSystem/validation",
    "code": "failed",
    "display": "Stored although validation found problems",
}


def admit(ctx: Context, resource: Any, resource_type: str) -> None:
    """Check what a client wants to store, and tag it where the policy says so.

    Raises Invalid for what breaks R4 itself, Unprocessable for what breaks a profile; `issues` has every problem.
    """
    check_type(ctx.node, resource, resource_type)
    policy = ctx.node.settings.validation
    issues = ctx.node.validator.validate(
        resource, wanted_profiles(ctx.node, resource_type), shallow=policy == "structure"
    )
    _untag(resource)
    if not issues:
        return
    unreadable = any(issue.code in UNREADABLE for issue in issues)
    if policy == "tag" and not unreadable:
        resource.setdefault("meta", {}).setdefault("tag", []).append(TAG)
        return
    raise _refusal(issues)


def check_readable(node: Node, resource: Any, resource_type: str | None = None) -> None:
    """Whether anybody could read it: known elements, cardinality, JSON kinds. Raises Invalid."""
    check_type(node, resource, resource_type)
    issues = node.validator.validate(resource, shallow=True)
    if issues:
        raise _refusal(issues)


def check_type(node: Node, resource: Any, resource_type: str | None) -> None:
    """Whether it is a resource, of the type that the address says. Raises Invalid."""
    if not isinstance(resource, dict):
        raise Invalid("A resource is a JSON object.")
    found = resource.get("resourceType")
    if not isinstance(found, str) or found not in node.definitions.resource_types:
        raise Invalid("The body has no resourceType of R4.")
    if resource_type is not None and found != resource_type:
        raise Invalid(f"The body is a {found}, the address says {resource_type}.")


def wanted_profiles(node: Node, resource_type: str) -> list[str]:
    """The profiles that this server asks of every resource of a type."""
    return [one for one in node.settings.validation_profiles if node.validator.type_of(one) == resource_type]


def _untag(resource: dict[str, Any]) -> None:
    """An old tag says nothing of a new version."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(tags, list):
        return
    rest = [tag for tag in tags if not (isinstance(tag, dict) and _is_ours(tag))]
    if rest:
        meta["tag"] = rest
    else:
        del meta["tag"]
        if not meta:
            del resource["meta"]


def _is_ours(tag: dict[str, Any]) -> bool:
    return tag.get("system") == TAG["system"] and tag.get("code") == TAG["code"]


def _refusal(issues: Sequence[Issue]) -> FhirError:
    """The first problem in words, all of them as issues."""
    first = issues[0]
    kind = Unprocessable if all(issue.profile for issue in issues) else Invalid
    error = kind(first.diagnostics, first.expression)
    error.issues = issues
    return error
