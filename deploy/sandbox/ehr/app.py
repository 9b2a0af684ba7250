"""Wiring: both tenants' FHIR servers mounted under one host name, and the screens before them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

import smart_app
from deploy.sandbox.ehr import documents, front, pages, sign_in, trouble_pages
from deploy.sandbox.ehr.behaviour import BEHAVIOURS
from deploy.sandbox.ehr.security import Guard
from deploy.sandbox.ehr.tenant import Tenant
from deploy.sandbox.ehr.trouble import Troubled, Troubles
from deploy.sandbox.hospitals import HOSPITALS
from deploy.sandbox.settings import Settings
from fhir_server.app import create_app as create_server
from konsil.telemetry import RequestMetrics, configure_logging, metrics_app

PROGRAM = "ehr"
FONTS = ("fonts", "inter")
STATIC = Path(__file__).parent / "static"
VENDOR = Path(smart_app.__file__).parent / "static" / "vendor"


def create_app(settings: Settings) -> Starlette:
    """Make the EHR.  Screens come first; what they do not answer goes to the tenant's FHIR server."""
    tenants = {
        hospital.key: Tenant(hospital, settings, create_server(settings.server(hospital.key))) for hospital in HOSPITALS
    }

    troubles = Troubles()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for tenant in tenants.values():
                await stack.enter_async_context(tenant.server.router.lifespan_context(tenant.server))
            app.state.tenants, app.state.settings, app.state.troubles = tenants, settings, troubles
            yield

    mounts = [Mount(f"/{key}", fhir_of(key, tenant.server, troubles)) for key, tenant in tenants.items()]
    return Starlette(
        routes=[*screens(), *mounts],
        middleware=[Middleware(RequestMetrics, program=PROGRAM), Middleware(Guard, settings=settings)],
        lifespan=lifespan,
    )


def screens() -> list[Route | Mount]:
    """Everything that a person sees, and what the front page's script asks."""
    return [
        Route("/", front.show),
        Route("/healthz", healthz),
        Route("/metrics", metrics_app),
        Route("/programs", front.programs),
        Route("/sandbox/misbehave", trouble_pages.misbehave, methods=["POST"]),
        Route("/sandbox/behave", trouble_pages.behave, methods=["POST"]),
        Route("/sandbox/trouble", trouble_pages.going),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/{tenant}/", pages.patients),
        Route("/{tenant}/in-basket", pages.in_basket),
        Route("/{tenant}/sign-in", sign_in.show, methods=["GET"]),
        Route("/{tenant}/sign-in", sign_in.enter, methods=["POST"]),
        Route("/{tenant}/become/{user}", sign_in.become),
        Route("/{tenant}/sign-out", sign_in.leave, methods=["POST"]),
        Route("/{tenant}/patients/{patient}", pages.chart),
        Route("/{tenant}/patients/{patient}/{tab}", pages.chart),
        Route("/{tenant}/patients/{patient}/documents/{document}", documents.show),
        *(Mount(f"/{name}", StaticFiles(directory=VENDOR / name)) for name in FONTS if (VENDOR / name).is_dir()),
    ]


def fhir_of(key: str, server: ASGIApp, troubles: Troubles) -> ASGIApp:
    """A tenant's FHIR server with its habits, and before it whatever goes wrong at present."""
    return Troubled(BEHAVIOURS[key](server), key, troubles)


async def healthz(request: Request) -> Response:
    """200 when both tenants' databases answer."""
    for tenant in request.app.state.tenants.values():
        await tenant.count_patients()
    return PlainTextResponse("ok")


def run() -> None:
    """Serve until told to stop."""
    import uvicorn

    settings = Settings()
    configure_logging(PROGRAM)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
