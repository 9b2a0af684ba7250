"""What every interaction is given: the node, who asks, and when."""

from dataclasses import dataclass

from fhir_server.caller import Caller
from fhir_server.settings import Settings
from fhir_server.store.database import Database

__all__ = ["Caller", "Context", "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """One running server: what is made once at start and shared by all requests (`request.app.state.node`)."""

    settings: Settings
    database: Database


@dataclass(frozen=True, slots=True)
class Context:
    """One request. `now` is microseconds since the epoch."""

    node: Node
    caller: Caller
    now: int
