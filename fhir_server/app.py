"""Wiring: one FHIR server as an ASGI application, made from its settings, without globals."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import profiles
from fhir_server.audit.chain import Sealer
from fhir_server.audit.journal import Journal
from fhir_server.audit.keeping import Keeper
from fhir_server.audit.listing import Lister
from fhir_server.auth import mail, records, signing, tokens
from fhir_server.conformance.canonicals import Canonicals
from fhir_server.conformance.shelf import open_shelf
from fhir_server.context import Node
from fhir_server.definitions import default_profiles, load, read_profiles
from fhir_server.errors import FhirError, NotAllowed, NotFound
from fhir_server.http import oauth
from fhir_server.http.administration import administration
from fhir_server.http.endpoint import Authenticate, limited
from fhir_server.http.metadata import healthz
from fhir_server.http.responses import failure
from fhir_server.http.routes import Addresses, routes
from fhir_server.interactions.bulk_export.run import exporting
from fhir_server.interactions.lapse import Lapses
from fhir_server.search.extract import Extractor
from fhir_server.search.parse import QueryParser
from fhir_server.search.registry import Registry
from fhir_server.search.ucum import load_units
from fhir_server.settings import Settings
from fhir_server.store import auth_registry
from fhir_server.store.consents import Consents
from fhir_server.store.database import connect
from fhir_server.store.objects import objects_at
from fhir_server.store.parameters import follow, load_cursor_key, load_numbers
from fhir_server.store.parts import sweeping
from fhir_server.store.reindex import Reindexer
from fhir_server.store.stored_canonicals import StoredCanonicals
from fhir_server.terminology.membership import Terminology
from fhir_server.validation.validator import Validator
from fhir_server.xml.names import Shapes
from konsil.migrate import behind, upgrade
from konsil.rate_limit import RateLimit
from konsil.serving import Guarded
from konsil.telemetry import RequestMetrics, logger, metrics_app

PROGRAM = "fhir_server"
VERSION_TABLE = "alembic_version_fhir"
DOORS = ("/oauth/", "/login", "/logout", "/account")
"""Where people and programs prove who they are."""


class SchemaBehind(RuntimeError):
    """The database lacks migrations: run `konsil fhir migrate`."""


def create_app(settings: Settings, authenticate: Authenticate | None = None) -> Starlette:
    """Make a server. `authenticate` turns a bearer token into its caller.

    It answers below its own root whatever it is mounted under; links are made from `settings.base_url`. A host that
    mounts it runs `app.router.lifespan_context(app)`. Several may live in one process.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_node(settings) as node:
            if settings.publish_profiles:
                await records.put(node, records.registrar(None), list(profiles.artefacts()))
            app.state.node = node
            if settings.migrate_at_start:
                await Reindexer(node.database, node.extractor, node.numbers).run(_indexed, alone=True)
            running = _running(node)
            try:
                yield
            finally:
                for task in running:
                    task.cancel()
                await asyncio.wait(running)
                await node.journal.flush()

    within_limits = limited(authenticate or tokens.resolve, settings)
    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/metrics", metrics_app),
            *oauth.routes(settings),
            *routes(),
        ],
        middleware=[
            Middleware(RequestMetrics, program=PROGRAM),
            _guarded(settings),
            Middleware(Addresses, authenticate=within_limits),
        ],
        exception_handlers={HTTPException: _not_routed, FhirError: _refused, Exception: _failed},
        lifespan=lifespan,
    )
    return _administered(app, within_limits)


def _running(node: Node) -> list[asyncio.Task[None]]:
    """What goes on beside the requests, until the server ends."""
    return [
        asyncio.create_task(follow(node.database, node.registry, node.numbers)),
        asyncio.create_task(sweeping(node.database, node.objects)),
        asyncio.create_task(exporting(node)),
        asyncio.create_task(node.journal.run()),
        asyncio.create_task(node.audit.run()),
        asyncio.create_task(Lapses(node).run()),
        asyncio.create_task(mail.running(node.settings)),
    ]


def _administered(app: Starlette, authenticate: Authenticate) -> Starlette:
    """The same with the administration API, which shares its state."""
    api = administration(authenticate)
    api.state = app.state
    app.mount("/admin", api)
    return app


def _guarded(settings: Settings) -> Middleware:
    limit = RateLimit(settings.sign_in_requests_per_minute)
    return Middleware(Guarded, base_url=settings.base_url, per_address=limit, paths=DOORS)


@asynccontextmanager
async def open_node(settings: Settings) -> AsyncIterator[Node]:
    """Everything a server shares between requests: schema up to date, database open, definitions loaded."""
    await run_in_threadpool(prepare_schema, settings)
    definitions = await run_in_threadpool(load, settings.definitions, settings.profiles)
    registry = Registry(definitions, await run_in_threadpool(load_units, settings.units), full_text=settings.full_text)
    canonicals = await run_in_threadpool(_canonicals, settings)
    terminology = Terminology(canonicals, lambda code: registry.units.canonical(code) is not None)
    database = await connect(settings.database_url, settings.database_connections, settings.search_seconds)
    journal = Journal(database, enabled=settings.audit)

    async def sign(claims: Mapping[str, Any]) -> str:
        return await signing.sign(database, claims, time.time())

    try:
        numbers, extractor = await load_numbers(database, registry), Extractor(registry, settings.fhir_url)
        yield Node(
            settings=settings,
            database=database,
            registry=registry,
            numbers=numbers,
            extractor=extractor,
            parser=QueryParser(
                registry,
                settings.fhir_url,
                terminology,
                page_size=settings.page_size,
                max_page_size=settings.max_page_size,
            ),
            cursor_key=await load_cursor_key(database),
            client_keys=auth_registry.client_keys,
            stored_canonicals=StoredCanonicals(database, canonicals),
            terminology=terminology,
            shapes=Shapes(registry.definitions),
            validator=Validator(registry.definitions, terminology),
            objects=objects_at(settings.binary_store),
            journal=journal,
            audit=Keeper(journal, Sealer(database, sign), Lister(database, extractor, numbers)),
            consents=Consents(numbers),
        )
    finally:
        await database.close()


def _canonicals(settings: Settings) -> Canonicals:
    """The definitions of R4 and of `profiles/`; the stored ones are read when they are needed."""
    return Canonicals(open_shelf(settings.definitions), read_profiles(settings.profiles or default_profiles()))


def prepare_schema(settings: Settings) -> None:
    """Embedded: migrate under a lock. Otherwise refuse to start when the schema is behind."""
    if settings.migrate_at_start:
        migrate(settings)
    elif behind(settings.database_url, PROGRAM, VERSION_TABLE):
        raise SchemaBehind("The database schema is behind: run `konsil fhir migrate`.")


def _indexed(resource_type: str, done: int, total: int) -> None:
    logger(PROGRAM).info("indexing %s: %d of %d", resource_type, done, total)


def migrate(settings: Settings) -> None:
    """Bring the schema up to date."""
    upgrade(settings.database_url, PROGRAM, VERSION_TABLE)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, FhirError)  # noqa: S101 - Starlette's table of handlers says so
    return failure(error)


async def _not_routed(request: Request, error: Exception) -> Response:
    """404 and 405 of the router as OperationOutcomes."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette's table of handlers says so
    headers = dict(error.headers or {})
    if error.status_code == NotAllowed.status:
        return failure(NotAllowed(f"{request.method} is not offered here.", headers=headers))
    return failure(NotFound("There is nothing at this address.", headers=headers))


async def _failed(request: Request, error: Exception) -> Response:
    """What nobody foresaw: 500, without a word of what was in it."""
    logger(PROGRAM).error("request failed", exc_info=error)
    return failure(FhirError("The server failed; the request was not done."))
