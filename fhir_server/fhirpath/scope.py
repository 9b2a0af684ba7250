"""What an expression sees besides its focus: variables, and the services that reach beyond the resource."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from fhir_server.fhirpath.model import Model, Node

Evaluate = Callable[[list[Node], "Scope"], list[Node]]


@dataclass(frozen=True, slots=True)
class Services:
    """What the caller offers; a function that needs one that is missing answers with nothing.

    `resolve` a reference or canonical to a resource; `member_of` (value set, node); `conforms_to` (profile, node);
    `subsumes` (first coding, second coding). None means: not known.
    """

    resolve: Callable[[str], dict[str, Any] | None] | None = None
    member_of: Callable[[str, Node], bool | None] | None = None
    conforms_to: Callable[[str, Node], bool | None] | None = None
    subsumes: Callable[[Node, Node], bool | None] | None = None


NO_SERVICES = Services()


class Scope:
    """One evaluation. `this`, `index` and `total` change inside the functions that go through a collection."""

    index = 0
    total: Sequence[Node] = ()
    services = NO_SERVICES
    variables: Mapping[str, list[Node]] = MappingProxyType({})
    _contained: dict[str, dict[str, Any]] | None = None

    def __init__(self, model: Model, context: Node, resource: Node, root: Node) -> None:
        self.model = model
        self.context = context
        self.resource = resource
        self.root = root
        self.this = [context]

    @property
    def contained(self) -> dict[str, dict[str, Any]]:
        """What can be resolved without asking anybody: `#id` and the full URLs of the surrounding Bundle."""
        if self._contained is None:
            self._contained = {}
            for holder in (self.root[1], self.resource[1]):
                if isinstance(holder, dict):
                    self._contained[""] = holder
                    self._contained |= {f"#{one.get('id')}": one for one in _objects(holder.get("contained"))}
                    self._contained |= _entries(holder)
        return self._contained


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _entries(holder: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if holder.get("resourceType") != "Bundle":
        return {}
    entries: dict[str, dict[str, Any]] = {}
    for entry in _objects(holder.get("entry")):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            entries[f"{resource.get('resourceType')}/{resource.get('id')}"] = resource
            entries[str(entry.get("fullUrl"))] = resource
    return entries
