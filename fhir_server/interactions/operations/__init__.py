"""Operations of the API, `$name`: each is one file of this folder.  https://hl7.org/fhir/R4/operations.html

A file has a module-level `OPERATIONS`, a tuple of `OperationDefinition`; nothing else has to be written down. Routing,
access to the parameters and the CapabilityStatement are made from what is found here:

    async def lookup(call: Invocation) -> Document: ...

    OPERATIONS = (
        OperationDefinition("lookup", lookup, ("CodeSystem",), levels=("type",), parameters=("code", "system", ...)),
    )
"""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qsl

from fhir_server.context import Context
from fhir_server.errors import Invalid, NotAllowed, NotFound
from fhir_server.interactions.admission import check_readable
from fhir_server.interactions.operations.parameters import Parameters

Document = dict[str, Any]
Level = Literal["system", "type", "instance"]
METHODS = ("GET", "POST")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One call of an operation. `parameters` are those of the address and of the body; `resource_type` and
    `resource_id` are None above type and instance level; `asynchronous` and `lenient` as `Prefer` says."""

    ctx: Context
    parameters: Parameters
    resource_type: str | None = None
    resource_id: str | None = None
    asynchronous: bool = False
    lenient: bool = False

    @property
    def address(self) -> str:
        """The URL that it was called by, up to the operation's name."""
        parts = (self.ctx.node.settings.fhir_url, self.resource_type, self.resource_id)
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with headers of its own (Location), perhaps another status than 200."""

    document: Document
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


@dataclass(frozen=True, slots=True)
class OperationDefinition:
    """An operation that this server offers.  https://hl7.org/fhir/R4/operationdefinition.html

    `resource_types`: empty for every type. `parameters`: names that it takes; another is refused, unless this is empty.
    `body`: the parameter that a body stands for when it is no Parameters resource. `affects_state`: only by POST.
    `definition`: the canonical; that of HL7 unless named.
    """

    code: str
    run: Callable[[Invocation], Awaitable[Document | Reply]]
    resource_types: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ("type",)
    parameters: tuple[str, ...] = ()
    body: str = "resource"
    affects_state: bool = False
    definition: str = ""

    @property
    def url(self) -> str:
        """Its canonical."""
        name = self.resource_types[0] if len(self.resource_types) == 1 else "Resource"
        return self.definition or f"http://hl7.org/fhir/OperationDefinition/{name}-{self.code}"


@dataclass(frozen=True, slots=True)
class Request:
    """What came in, free of HTTP: `body` is None without one."""

    method: str
    code: str
    resource_type: str | None = None
    resource_id: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    asynchronous: bool = False
    lenient: bool = False


async def invoke(ctx: Context, request: Request) -> Reply:
    """Run an operation. Raises NotFound for one that there is not here, NotAllowed for GET of one that changes state,
    Invalid, and what the operation raises."""
    operation = find(request.code, request.resource_type, _level(request))
    if operation.affects_state and request.method != "POST":
        raise NotAllowed(f"${operation.code} changes something: it is called by POST.", headers={"Allow": "POST"})
    _check_parameters(ctx, request.body)
    parameters = Parameters.of(request.query, request.body, operation.body)
    unknown = parameters.names - {*operation.parameters} if operation.parameters else set()
    if unknown:
        raise Invalid(f"${operation.code} has no parameter '{min(unknown)[:40]}'.")
    await ctx.node.stored_canonicals.refresh()
    asked = request.asynchronous, request.lenient
    answer = await operation.run(Invocation(ctx, parameters, request.resource_type, request.resource_id, *asked))
    return answer if isinstance(answer, Reply) else Reply(answer)


def is_operation(url: str) -> bool:
    """Whether a relative URL calls an operation."""
    return url.partition("?")[0].rpartition("/")[2].startswith("$")


async def invoke_in_batch(ctx: Context, method: str, url: str, body: Any) -> Reply:
    """Run the operation of a batch's entry by its relative URL. Raises what `invoke` does, and NotAllowed for a method
    that no operation has.
    """
    path, _, query = url.partition("?")
    *place, code = path.strip("/").split("/")
    resource_type, resource_id = [*place, None, None][:2]
    if len(place) > 2 or (resource_type and resource_type not in ctx.node.definitions.resource_types):
        raise NotFound("There is nothing at this address.")
    if method not in METHODS:
        raise NotAllowed("An operation is called by GET or POST.", headers={"Allow": "GET, POST"})
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    return await invoke(ctx, Request(method, code.removeprefix("$"), resource_type, resource_id, pairs, body))


def _check_parameters(ctx: Context, body: Any) -> None:
    """Refuse values that are not of their type; resources are for the operation to look at. Raises Invalid."""
    if isinstance(body, dict) and body.get("resourceType") == "Parameters":
        entries = body.get("parameter")
        bare = [_without_resource(one) for one in entries] if isinstance(entries, list) else entries
        check_readable(ctx.node, body | ({"parameter": bare} if bare else {}))


def _without_resource(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {name: value for name, value in entry.items() if name != "resource"}


def find(code: str, resource_type: str | None, level: Level) -> OperationDefinition:
    """The operation of that name, type and level. Raises NotFound."""
    for operation in registry().get(code, ()):
        fits = not operation.resource_types or resource_type in operation.resource_types or level == "system"
        if fits and level in operation.levels:
            return operation
    raise NotFound(f"There is no operation ${code[:40]} here.")


@cache
def registry() -> Mapping[str, tuple[OperationDefinition, ...]]:
    """Every operation by code: those of all files of this folder."""
    found: dict[str, tuple[OperationDefinition, ...]] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for operation in getattr(importlib.import_module(module.name), "OPERATIONS", ()):
            found[operation.code] = (*found.get(operation.code, ()), operation)
    return found


def offered(resource_type: str | None = None) -> list[Document]:
    """CapabilityStatement.rest.operation, or that of a type: name and definition."""
    return [
        {"name": operation.code, "definition": operation.url}
        for _, operations in sorted(registry().items())
        for operation in operations
        if _is_offered(operation, resource_type)
    ]


def _is_offered(operation: OperationDefinition, resource_type: str | None) -> bool:
    if resource_type is None:
        return "system" in operation.levels
    if not {"type", "instance"} & {*operation.levels}:
        return False
    return not operation.resource_types or resource_type in operation.resource_types


def _level(request: Request) -> Level:
    if request.resource_type is None:
        return "system"
    return "type" if request.resource_id is None else "instance"
