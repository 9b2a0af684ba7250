"""What a transaction changes, and the state it leads to."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, NoReturn

from fhir_server.caller import Caller
from fhir_server.errors import Unprocessable

Resource = dict[str, Any]
Load = Callable[[str], Awaitable[Resource | None]]
Find = Callable[[str, dict[str, str]], Awaitable[list[Resource]]]
Keys = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]


class Proof(NamedTuple):
    """How and when a signer proved who they are.  RFC 8176, OpenID Connect Core 2 `auth_time`"""

    amr: tuple[str, ...]
    auth_time: int


Proofs = Callable[[str, str], Awaitable[Proof | None]]


@dataclass(frozen=True, slots=True)
class Change:
    """One write of a transaction: `old` is None for a create, `new` for a delete."""

    interaction: Literal["create", "update", "delete"]
    old: Resource | None
    new: Resource | None

    @property
    def resource(self) -> Resource:
        """The newest state that there is."""
        return self.new or self.old or {}

    @property
    def resource_type(self) -> str:
        """The type of both states."""
        return str(self.resource.get("resourceType"))

    @property
    def reference(self) -> str:
        """`Type/id`."""
        return reference_of(self.resource)


@dataclass(frozen=True, slots=True)
class Store:
    """How rules look beyond the changes: `load` by reference, `find` by search parameters, `keys` of a client.

    All are unrestricted and inside the transaction; a rule must not tell the caller what they contain.  `proof` uses up
    the caller's proof of who they are for a resource and its SHA-256; without it none is asked for.
    """

    load: Load
    find: Find
    keys: Keys
    proof: Proofs | None = None


class View:
    """The store as it will be once the transaction commits, and who asks for it."""

    def __init__(self, changes: Sequence[Change], caller: Caller, store: Store) -> None:
        self.changes = tuple(changes)
        self.caller = caller
        self.store = store
        self._changed = {change.reference: change for change in changes}

    def of_type(self, *resource_types: str) -> Iterator[Change]:
        """The changes of these types."""
        return (change for change in self.changes if change.resource_type in resource_types)

    def change(self, reference: str) -> Change | None:
        """The change of this resource, if the transaction has one."""
        return self._changed.get(reference)

    async def load(self, reference: str) -> Resource | None:
        """One resource, as it will be."""
        change = self._changed.get(reference)
        return change.new if change else await self.store.load(reference)

    async def find(self, resource_type: str, parameter: str, target: str, path: str) -> list[Resource]:
        """Resources whose reference parameter names `target`, as they will be; `path` is the element it reads."""
        stored = await self.store.find(resource_type, {parameter: target})
        written = [change.new for change in self.of_type(resource_type) if change.new]
        kept = [one for one in stored if reference_of(one) not in self._changed]
        return kept + [one for one in written if target in references(one.get(path))]


def reference_of(resource: Resource) -> str:
    """`Type/id` of a resource."""
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def references(value: Any) -> set[str]:
    """Every literal reference inside a value, without the version."""
    if isinstance(value, list):
        return set().union(*(references(item) for item in value))
    if not isinstance(value, dict):
        return set()
    own = {unversioned(value["reference"])} if isinstance(value.get("reference"), str) else set()
    return own.union(*(references(item) for key, item in value.items() if key != "reference"))


def reference(value: Any) -> str | None:
    """The literal reference of one Reference element, without the version."""
    text = value.get("reference") if isinstance(value, dict) else None
    return unversioned(text) if isinstance(text, str) else None


def unversioned(text: str) -> str:
    """`Type/id` of `Type/id/_history/3`."""
    return text.partition("/_history/")[0]


def codes(concept: Any, system: str) -> set[str]:
    """The codes that a CodeableConcept has in a system."""
    codings = concept.get("coding", []) if isinstance(concept, dict) else []
    return {coding["code"] for coding in codings if coding.get("system") == system and "code" in coding}


def unless(held: bool, rule: int, why: str) -> None:
    """Refuse with 422 and the rule's number unless what the rule asks for holds."""
    if not held:
        refuse(rule, why)


def refuse(rule: int, why: str) -> NoReturn:
    """Refuse with 422 and the rule's number."""
    raise Unprocessable(f"Rule {rule} of the case: {why}.")
