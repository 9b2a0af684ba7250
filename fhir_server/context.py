"""What every interaction is given: the node, who asks, and when."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.access import Terms
from fhir_server.access.terms import NO_TERMS
from fhir_server.audit.event import Origin
from fhir_server.audit.journal import Journal
from fhir_server.audit.keeping import Keeper
from fhir_server.audit.trail import Trail
from fhir_server.caller import Caller
from fhir_server.conformance.canonicals import Canonicals
from fhir_server.definitions import Definitions
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import QueryParser
from fhir_server.search.registry import Registry
from fhir_server.settings import Settings
from fhir_server.store.consents import Consents
from fhir_server.store.database import Database, Transaction
from fhir_server.store.grants import Grants
from fhir_server.store.objects import Objects
from fhir_server.store.parameters import Numbers
from fhir_server.store.repository import Repository
from fhir_server.store.stored_canonicals import StoredCanonicals
from fhir_server.store.writer import Writer
from fhir_server.terminology.membership import Terminology
from fhir_server.validation.validator import Validator
from fhir_server.xml.names import Shapes

__all__ = ["Caller", "Context", "Node"]

# The public keys of a client, read inside the transaction that needs them.
ClientKeys = Callable[[Transaction, str], Awaitable[Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Node:
    """One running server: what is made once at start and shared by all requests (`request.app.state.node`)."""

    settings: Settings
    database: Database
    registry: Registry
    numbers: Numbers
    extractor: Extractor
    parser: QueryParser
    cursor_key: bytes
    client_keys: ClientKeys
    stored_canonicals: StoredCanonicals
    terminology: Terminology
    shapes: Shapes
    validator: Validator
    journal: Journal
    audit: Keeper
    consents: Consents
    objects: Objects | None = None

    @property
    def canonicals(self) -> Canonicals:
        """What canonical URLs mean here; `await stored_canonicals.refresh()` first."""
        return self.terminology.canonicals

    @property
    def definitions(self) -> Definitions:
        """R4 as data."""
        return self.registry.definitions


@dataclass(frozen=True, slots=True)
class Context:
    """One request. `now` is microseconds since the epoch; `grants` what this caller may do; `trail` what it leaves
    behind in the audit journal.
    """

    node: Node
    caller: Caller
    now: int
    grants: Grants
    trail: Trail

    @classmethod
    def of(
        cls, node: Node, caller: Caller, now: int, origin: Origin | None = None, terms: Terms = NO_TERMS
    ) -> "Context":
        """The context of a caller, under the terms of `consents`; without an origin the server itself acts in the
        caller's name.
        """
        trail = Trail(origin or Origin(caller, "127.0.0.1", node.settings.base_url))
        return cls(node, caller, now, Grants(caller, node.numbers, terms), trail)

    @property
    def store(self) -> Repository:
        """Reading, bound to the caller."""
        return self.store_in(self.node.database)

    def store_in(self, source: Database | Transaction, grants: Grants | None = None) -> Repository:
        """Reading inside a transaction, or with other grants (the server's own rules look at everything)."""
        shown = self.trail.show if grants is None else None
        return Repository(source, grants or self.grants, self.node.registry, self.node.numbers, shown)

    def writer(self, transaction: Transaction, grants: Grants | None = None) -> Writer:
        """Writing inside a transaction, bound to the caller; with other grants what the server's rules add."""
        wrote = self.trail.wrote if self.node.journal.enabled else None
        return Writer(transaction, grants or self.grants, self.node.extractor, self.node.numbers, wrote)
