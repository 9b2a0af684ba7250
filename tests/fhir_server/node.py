"""A real node behind an in-process client, with callers injected where tokens would be resolved."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette

from fhir_server.app import create_app
from fhir_server.caller import Caller
from fhir_server.errors import Unauthorized
from fhir_server.settings import Settings
from fhir_server.store.database import Database

BASE = "http://fhir.test/fhir"
ADMINISTRATOR = Caller(
    "administrator", "tests", None, frozenset({"administrator"}), "Organization/here", ("system/*.cruds",)
)


@dataclass
class Server:
    """The application and clients of it, one for each caller."""

    app: Starlette
    callers: dict[str, Caller]

    def client(self, caller: Caller = ADMINISTRATOR, **headers: str) -> httpx.AsyncClient:
        self.callers[caller.subject] = caller
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=True),
            base_url=BASE,
            headers={"Authorization": f"Bearer {caller.subject}", **headers},
        )


@asynccontextmanager
async def running(database_url: str, **changes: Any) -> AsyncIterator[Server]:
    """A server on this database until the block ends."""
    callers: dict[str, Caller] = {}

    async def authenticate(database: Database, token: str) -> Caller:
        if token not in callers:
            raise Unauthorized("unknown token")
        return callers[token]

    # Most tests write as little as they need; those of validation and of the case have a server that refuses.
    changes = {"publish_profiles": False, "validation": "structure", "audit": False} | changes
    changes = {
        "requests_per_minute": 0,
        "case_watch_seconds": 0,
    } | changes  # all of R4's examples go in as one person, in a minute
    settings = Settings(database_url=database_url, base_url="http://fhir.test", **changes)
    app = create_app(settings, authenticate)
    async with app.router.lifespan_context(app):
        yield Server(app, callers)


Scenario = Callable[[Server, httpx.AsyncClient], Awaitable[None]]
