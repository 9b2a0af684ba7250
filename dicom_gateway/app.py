"""The gateway's web application: DICOMweb, the viewer, our own API, health and metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import text
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from dicom_gateway.access import Access
from dicom_gateway.gateway import Gateway
from dicom_gateway.publish.exchange import fhir_client, introspection_of
from dicom_gateway.settings import Settings
from dicom_gateway.web import (
    administration,
    api,
    imports,
    keeping,
    operations,
    pixels,
    qido,
    reconciliations,
    routing,
    stow,
    transfers,
    viewer,
    wado,
    workstations,
)
from dicom_gateway.web.capabilities import with_capabilities
from dicom_gateway.web.doors import Doors
from dicom_gateway.web.http import HANDLERS
from dicom_gateway.web.limits import PerCaller
from konsil.database import reader
from konsil.rate_limit import RateLimit
from konsil.serving import Guarded
from konsil.telemetry import RequestMetrics

PROGRAM = "dicom_gateway"
DOORS = ("/api", "/dicom-web", "/viewer-session")
"""Where an address is counted: all but the viewer's files, health and metrics."""


def create_app(gateway: Gateway) -> Starlette:
    """Put the web application of one gateway together.  Raises GatewayError when gateway mode has no FHIR server."""
    doors = Doors(gateway, access_of(gateway.settings))
    searched = [*wado.routes(doors), *qido.routes(doors), *pixels.routes(doors)]
    dicom_web = [*searched, *stow.routes(doors), *keeping.web_routes(doors)]
    own_api = (api, transfers, workstations, reconciliations, administration, routing, imports, operations, keeping)
    routes = [
        Route("/healthz", partial(health, gateway), methods=["GET"]),
        Route("/metrics", partial(operations.metrics, gateway), methods=["GET"]),
        Mount("/dicom-web", routes=with_capabilities(doors, dicom_web)),
        Mount("/api", routes=[each for part in own_api for each in part.routes(doors)]),
        *(viewer.routes(doors) if doors.access is not None else []),
    ]
    settings = gateway.settings
    per_address = RateLimit(settings.address_requests_per_minute)
    guarded = Middleware(Guarded, base_url=settings.base_url, per_address=per_address, paths=DOORS)
    per_caller = Middleware(PerCaller, limit=RateLimit(settings.requests_per_minute))
    middleware = [Middleware(RequestMetrics, program=PROGRAM), guarded, per_caller]
    return Starlette(
        routes=routes, middleware=middleware, exception_handlers={**HANDLERS}, lifespan=partial(closing, doors)
    )


@asynccontextmanager
async def closing(doors: Doors, app: Starlette) -> AsyncIterator[None]:
    """Close the connections to the FHIR server at the end."""
    yield
    if doors.access is not None:
        doors.access.close()


def access_of(settings: Settings) -> Access | None:
    """Who decides on access: the FHIR server in gateway mode, nobody in archive mode."""
    if settings.mode == "archive":
        return None
    return Access(fhir_client(settings), introspection_of(settings))


async def health(gateway: Gateway, request: Request) -> Response:
    """200 while the database answers."""
    await run_in_threadpool(ping, gateway)
    return JSONResponse({"status": "ok"})


def ping(gateway: Gateway) -> None:
    """One statement against the database."""
    with reader(gateway.engine).connect() as connection:
        connection.execute(text("SELECT 1"))
