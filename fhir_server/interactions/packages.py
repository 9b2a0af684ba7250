"""Loading a FHIR NPM package: its conformance resources become ordinary resources, by canonical and version."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from fhir_server import wire
from fhir_server.conformance.package import BadPackage, Package
from fhir_server.context import Context
from fhir_server.errors import FhirError
from fhir_server.interactions.admission import check_readable
from fhir_server.interactions.commit import commit
from fhir_server.interactions.operation import Operation
from fhir_server.store.packages import loaded_packages, note_package
from fhir_server.store.repository import Version

AT_ONCE = 100
BUILT_IN = {"hl7.fhir.r4.core": "4.0.1", "hl7.fhir.r4.expansions": "4.0.1"}
NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9\-.]+")
Resource = dict[str, Any]
Identity = tuple[str, str, str]


@dataclass(slots=True)
class Loaded:
    """What came of a package: how many resources were new, changed, already there; what was left out and why."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


async def load_package(ctx: Context, package: Package, done: Callable[[int], None] = lambda count: None) -> Loaded:
    """Store what the package defines; a repeated load changes nothing, a killed one is repeated.

    A resource is known by its canonical `url` and `version`: two versions of a package stand side by side. It keeps
    its id unless another has it already. One that R4 does not allow is left out and named in `refused`. `done` hears
    of every hundred. Raises BadPackage, Forbidden.
    """
    loaded = Loaded()
    usable = iter(_usable(ctx, package, loaded))
    while part := list(islice(usable, AT_ONCE)):
        await _store(ctx, part, loaded)
        done(len(part))
    await note_package(ctx.node.database, package.name, package.version)
    loaded.missing = await missing_dependencies(ctx, package)
    return loaded


async def missing_dependencies(ctx: Context, package: Package) -> list[str]:
    """The packages that this one builds on and that are not loaded here, and which version is, if another."""
    known = await loaded_packages(ctx.node.database)
    missing = []
    for name, version in sorted(package.dependencies.items()):
        have = known.get(name, frozenset()) | ({BUILT_IN[name]} if name in BUILT_IN else set())
        if not any(_fits(version, one) for one in have):
            missing.append(f"{name} {version}" + (f" (loaded: {', '.join(sorted(have))})" if have else ""))
    return missing


def _fits(wanted: str, version: str) -> bool:
    """5.0.x is met by 5.0.3, latest by any."""
    if wanted in {"latest", "current", "dev"}:
        return True
    return version == wanted or (wanted.endswith(".x") and version.startswith(wanted[:-1]))


def _usable(ctx: Context, package: Package, loaded: Loaded) -> Iterable[Resource]:
    """What defines something: resources of R4 with a canonical URL."""
    for name, resource in package.resources():
        try:
            if isinstance(resource, BadPackage):
                raise resource
            if "url" not in ctx.node.registry.of(resource["resourceType"]) or not isinstance(resource.get("url"), str):
                continue
            check_readable(ctx.node, resource)
        except FhirError as error:
            loaded.refused.append(f"{name}: {error.diagnostics} {error.expression or ''}".strip())
        else:
            yield resource


async def _store(ctx: Context, resources: Sequence[Resource], loaded: Loaded) -> None:
    known = await _known(ctx, resources)
    taken = await _taken(ctx, resources)
    operations = []
    for resource in resources:
        identity = _identity(resource)
        old = known.get(identity)
        resource_id = old.resource_id if old else _free_id(resource, taken)
        taken.add((resource["resourceType"], resource_id))
        named = {**resource, "id": resource_id}
        if old is not None and _same(wire.loads(old.content or b"{}"), named):
            loaded.unchanged += 1
            continue
        operations.append(Operation("update", resource["resourceType"], resource_id, named))
        loaded.created += old is None
        loaded.updated += old is not None
    if operations:
        await commit(ctx, operations)


async def _known(ctx: Context, resources: Sequence[Resource]) -> dict[Identity, Version]:
    """The stored resources of these canonicals, by type, URL and version."""
    found: dict[Identity, Version] = {}
    for resource_type, urls in _grouped(resources, "url").items():
        text = ",".join(re.sub(r"([\\,|$])", r"\\\1", url) for url in urls)
        query = ctx.node.parser.parse(resource_type, [("url", text)])
        query.count = 10 * len(urls)
        for version in (await ctx.store.search(query)).matches:
            found[_identity(wire.loads(version.content or b"{}"))] = version
    return found


async def _taken(ctx: Context, resources: Sequence[Resource]) -> set[tuple[str, str]]:
    """Ids that are in use."""
    wanted = [(resource["resourceType"], one) for resource in resources for one in _ids(resource)]
    return {(version.resource_type, version.resource_id) for version in await ctx.store.many(wanted)}


def _ids(resource: Resource) -> list[str]:
    """The ids that a resource may get: its own; with its version; with a hash of its canonical."""
    own = NOT_OF_AN_ID.sub("-", str(resource.get("id") or resource["url"].rpartition("/")[2]))
    version = NOT_OF_AN_ID.sub("-", str(resource.get("version", "")))[:30]
    digest = hashlib.sha256("|".join(_identity(resource)).encode()).hexdigest()[:12]
    return [own[:64], f"{own[: 63 - len(version)]}-{version}", f"{own[:51]}-{digest}"]


def _free_id(resource: Resource, taken: set[tuple[str, str]]) -> str:
    return next(one for one in _ids(resource) if (resource["resourceType"], one) not in taken)


def _grouped(resources: Sequence[Resource], key: str) -> dict[str, list[str]]:
    grouped: dict[str, set[str]] = {}
    for resource in resources:
        if isinstance(resource.get(key), str):
            grouped.setdefault(resource["resourceType"], set()).add(resource[key])
    return {resource_type: sorted(values) for resource_type, values in sorted(grouped.items())}


def _identity(resource: Resource) -> Identity:
    return resource["resourceType"], str(resource.get("url")), str(resource.get("version", ""))


def _same(stored: Resource, wanted: Resource) -> bool:
    """Whether the stored version is that of the package, what the server adds to `meta` aside."""
    meta = {name: value for name, value in stored.get("meta", {}).items() if name not in {"versionId", "lastUpdated"}}
    of_package = {
        name: value for name, value in wanted.get("meta", {}).items() if name not in {"versionId", "lastUpdated"}
    }
    return meta == of_package and _without_meta(stored) == _without_meta(wanted)


def _without_meta(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "meta"}
