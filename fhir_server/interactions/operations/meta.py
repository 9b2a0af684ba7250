"""`$meta`, `$meta-add`, `$meta-delete`.

https://hl7.org/fhir/R4/resource-operation-meta.html, https://hl7.org/fhir/R4/resource-operation-meta-add.html,
https://hl7.org/fhir/R4/resource-operation-meta-delete.html
"""

from collections.abc import Callable
from typing import Any

from fhir_server import wire
from fhir_server.errors import Conflict, Invalid, VersionMismatch
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import parameters_resource
from fhir_server.interactions.update import Target, update
from fhir_server.store.labels import labelled

Meta = dict[str, Any]
SETS = ("profile", "security", "tag")
ATTEMPTS = 5


async def show(call: Invocation) -> Document:
    """The meta of a resource; of a type or the whole system the profiles, tags and labels in use. Raises Forbidden,
    NotFound, Gone.
    """
    if call.resource_id is not None:
        return _answer(await _current(call))
    types = [call.resource_type] if call.resource_type else sorted(call.ctx.node.definitions.resource_types)
    found: Meta = {}
    for version in await labelled(call.ctx.store, types):
        found = _added(found, wire.loads(version.content or b"{}").get("meta", {}))
    return _answer({name: sorted(found[name], key=_key) for name in SETS if found.get(name)})


async def add(call: Invocation) -> Document:
    """Add profiles, tags and labels; what is there already stays as it is. A change makes a version."""
    return await _change(call, _added)


async def delete(call: Invocation) -> Document:
    """Take profiles, tags and labels away; what is not there is no error. A change makes a version."""
    return await _change(call, _taken_away)


async def _change(call: Invocation, change: Callable[[Meta, Meta], Meta]) -> Document:
    """Read, change, write that version; again when somebody else was quicker. Raises what an update raises."""
    given = _given(call)
    for _ in range(ATTEMPTS):
        version = await call.ctx.store.read(str(call.resource_type), str(call.resource_id))
        resource = wire.loads(version.content or b"{}")
        meta = change(resource.get("meta", {}), given)
        if meta == resource.get("meta", {}):
            return _answer(meta)
        target = Target(version.resource_type, version.resource_id, if_match=version.version_id)
        try:
            done = await update(call.ctx, target, resource | {"meta": meta})
        except VersionMismatch:
            continue
        return _answer(wire.loads((done.version.content if done.version else None) or b"{}").get("meta", {}))
    raise Conflict("Others kept changing the resource; try again.")


def _given(call: Invocation) -> Meta:
    meta = call.parameters.object("meta")
    if meta is None:
        raise Invalid("The parameter 'meta' is missing.")
    for name in SETS:
        values = meta.get(name, [])
        kind = str if name == "profile" else dict
        if not isinstance(values, list) or not all(isinstance(one, kind) for one in values):
            raise Invalid(f"Meta.{name} is a list of {'canonicals' if name == 'profile' else 'Codings'}.")
    return meta


async def _current(call: Invocation) -> Meta:
    version = await call.ctx.store.read(str(call.resource_type), str(call.resource_id))
    meta: Meta = wire.loads(version.content or b"{}").get("meta", {})
    return meta


def _added(meta: Meta, given: Meta) -> Meta:
    changed = dict(meta)
    for name in SETS:
        known = {_key(one) for one in meta.get(name, ())}
        fresh = {_key(one): one for one in given.get(name, ()) if _key(one) not in known}
        if fresh:
            changed[name] = [*meta.get(name, ()), *fresh.values()]
    return changed


def _taken_away(meta: Meta, given: Meta) -> Meta:
    changed = dict(meta)
    for name in SETS:
        gone = {_key(one) for one in given.get(name, ())}
        rest = [one for one in meta.get(name, ()) if _key(one) not in gone]
        changed = {key: value for key, value in changed.items() if key != name} | ({name: rest} if rest else {})
    return changed


def _key(one: Any) -> tuple[str, str]:
    """What makes two the same: the URL; system and code."""
    return ("", one) if isinstance(one, str) else (str(one.get("system", "")), str(one.get("code", "")))


def _answer(meta: Meta) -> Document:
    return parameters_resource({"name": "return", "valueMeta": meta} if meta else None)


OPERATIONS = (
    OperationDefinition("meta", show, levels=("system", "type", "instance"), parameters=("meta",)),
    OperationDefinition("meta-add", add, levels=("instance",), parameters=("meta",), affects_state=True),
    OperationDefinition("meta-delete", delete, levels=("instance",), parameters=("meta",), affects_state=True),
)
