"""The authorization server as one value: the node it belongs to, the keys of others, the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fhir_server.auth.federation.discovery import MetadataSource
from fhir_server.auth.jose import KeySource
from fhir_server.context import Node
from fhir_server.settings import Settings
from fhir_server.store import auth_grants
from fhir_server.store.database import Database
from konsil.rate_limit import RateLimit

CLEANING_SECONDS = 60.0


@dataclass
class Cleaning:
    """When this process last cleared away what has expired: at most once a minute, never inside another transaction."""

    cleared_at: float = 0.0

    async def run(self, db: Database, now: float) -> None:
        """Clear away if it is time."""
        if now - self.cleared_at >= CLEANING_SECONDS:
            self.cleared_at = now
            await auth_grants.clear_away(db, now)


@dataclass(frozen=True)
class AuthorizationServer:
    """What every endpoint needs.  `keys`, `failures` and `providers` live as long as the application.

    `failures` counts wrong credentials by address: trying one password for many names locks no name.
    """

    node: Node
    keys: KeySource = field(default_factory=KeySource)
    clock: Callable[[], float] = time.time
    failures: RateLimit = field(default_factory=lambda: RateLimit(0))
    providers: MetadataSource = field(default_factory=MetadataSource)

    @property
    def db(self) -> Database:
        """The node's database."""
        return self.node.database

    @property
    def settings(self) -> Settings:
        """The node's settings."""
        return self.node.settings

    @property
    def issuer(self) -> str:
        """The issuer identifier, without a slash at the end.  RFC 8414 2"""
        return issuer(self.settings)

    def url(self, path: str) -> str:
        """Write the address of an endpoint."""
        return f"{self.issuer}/{path}"


def issuer(settings: Settings) -> str:
    """Write the issuer identifier: the base address without a slash at the end."""
    return settings.base_url.rstrip("/")
