"""A write as asked for, and what came of it, free of HTTP."""

from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.store.binaries import Kept
from fhir_server.store.repository import Version

Verb = Literal["create", "update", "patch", "delete"]


@dataclass(slots=True)
class Operation:
    """One write.

    `condition` is the query of a conditional update, patch or delete, or the If-None-Exist of a create; `if_match` the
    version that must be current; `full_url` the entry's name inside its Bundle; `kept` where the bytes of a large
    Binary already are.
    """

    verb: Verb
    resource_type: str
    resource_id: str | None = None
    resource: dict[str, Any] | None = None
    condition: str | None = None
    if_match: int | None = None
    patch: Any = None
    full_url: str | None = None
    kept: Kept | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an operation: 200, 201 or 204, and the version now current (None: there was nothing to delete)."""

    status: int
    version: Version | None
