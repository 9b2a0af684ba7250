"""The ASGI application: routes, middleware, errors as pages, health and metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from anyio.to_thread import run_sync
from joserfc.jwk import import_key
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from konsil.migrate import upgrade
from konsil.rate_limit import RateLimit
from konsil.serving import Guarded
from konsil.telemetry import RequestMetrics, metrics_app
from smart_app import launch, pages
from smart_app.emergency import TREATING, Watch
from smart_app.errors import AppError, Invalid, NotFound, TooLarge
from smart_app.security import Security
from smart_app.services import Services
from smart_app.session import forget_header, secret_of
from smart_app.settings import Settings
from smart_app.stylesheet import sheet, tabler
from smart_app.templating import compile_all
from smart_app.tenants import Tenant
from smart_app.tokens import TokenKeeper, give_back
from smart_app.visit import Visit

STATIC = Path(__file__).parent / "static"
VERSION_TABLE = "alembic_version_app"
DOORS = ("/launch", "/callback", "/sign-in")
"""Where a session begins."""


def create_app(settings: Settings) -> Starlette:
    """Build the app; several may live in one process.  Brings an embedded database up to date first."""
    if settings.database.startswith("sqlite"):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database, "smart_app", VERSION_TABLE)
    services = Services.create(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await services.close()

    app = Starlette(
        routes=routes(),
        middleware=[
            Middleware(RequestMetrics, program="app"),
            Middleware(
                Guarded, base_url=settings.base_url, per_address=RateLimit(settings.sign_ins_per_minute), paths=DOORS
            ),
            Middleware(Security, settings=settings),
        ],
        exception_handlers={AppError: on_app_error, HTTPException: on_http_error, Exception: on_fault},
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.tokens = TokenKeeper(services)
    app.state.navigation = pages.navigation()
    app.state.emergencies = Watch()
    return app


def make_ready(app: Starlette) -> None:
    """Compile templates and style sheet; it takes a second, and pages would do their part when first asked for."""
    compile_all(app.state.services.templates)
    with suppress(FileNotFoundError):
        sheet()


def routes() -> list[Route | Mount]:
    """All addresses: sign-in, pages, files, and what machines ask."""
    return [
        Route("/", front, methods=["GET"]),
        Route("/sign-out", sign_out, methods=["POST"]),
        Route("/signed-out", signed_out, methods=["GET"]),
        *launch.routes,
        *pages.routes(),
        Route("/.well-known/jwks.json", jwks, methods=["GET"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/metrics", metrics_app),
        Route("/static/tabler.css", tabler),
        Mount("/static", VendorFiles(directory=STATIC, check_dir=False)),
    ]


class VendorFiles(StaticFiles):
    """Static files, which browsers may keep for an hour and must ask about afterwards."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one file; Cache-Control is set before the security middleware would say no-store."""

        async def cached(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"cache-control", b"public, max-age=3600")]
            await send(message)

        await super().__call__(scope, receive, cached)


async def front(request: Request) -> Response:
    """GET /: the newest launch of this browser, else a page that says how to get in."""
    services: Services = request.app.state.services
    session = await run_sync(services.sessions.find, secret_of(request)) if secret_of(request) else None
    open_launches = await run_sync(services.sessions.launches_of, session.id) if session else []
    if open_launches:
        return RedirectResponse(f"/l/{open_launches[0].id}/", 303)
    return HTMLResponse(services.templates.get_template("front.html").render())


async def sign_out(request: Request) -> Response:
    """POST /sign-out: end the session with all its launches, and give their tokens back."""
    services: Services = request.app.state.services
    session = await run_sync(services.sessions.find, secret_of(request))
    ended = await run_sync(services.sessions.end, session.id) if session else []
    response = RedirectResponse("/signed-out", 303, background=BackgroundTask(give_back, services, ended))
    response.headers.append("set-cookie", forget_header())
    return response


async def signed_out(request: Request) -> Response:
    """GET /signed-out: where a sign-out ends; the next person is asked who they are."""
    services: Services = request.app.state.services
    return HTMLResponse(services.templates.get_template("signed_out.html").render())


async def jwks(request: Request) -> Response:
    """GET /.well-known/jwks.json: public halves of the keys by which the app proves itself and signs.  RFC 7517 5"""
    services: Services = request.app.state.services
    named = [key for name in ("client", "system") if (key := await run_sync(services.provisioned.key, name))]
    tenants = await run_sync(services.provisioned.tenants)
    keys = [key.key for key in named]
    keys += [each.key for each in tenants if each.key]
    keys += [each.backend.key for each in tenants if each.backend and each.backend.key]
    public = {str(key["kid"]): {**import_key(key).as_dict(private=False), "use": "sig"} for key in keys}
    return JSONResponse({"keys": list(public.values())}, headers={"cache-control": "public, max-age=300"})


async def healthz(request: Request) -> Response:
    """GET /healthz: 200 when the database answers and the app has its keys."""
    services: Services = request.app.state.services

    def check() -> bool:
        with services.sessions.reads.connect() as connection:
            connection.execute(text("SELECT 1"))
        return services.provisioned.key("client") is not None

    ready = await run_sync(check)
    return JSONResponse({"status": "ok" if ready else "not provisioned"}, 200 if ready else 503)


async def on_app_error(request: Request, error: Exception) -> Response:
    """An error of ours as a page, or as a fragment for HTMX: what happened, and what to do."""
    assert isinstance(error, AppError)  # noqa: S101 - registered for this type only
    services: Services = request.app.state.services
    if "konsil.frame_ancestors" not in request.scope:  # a refused launch is shown inside the frame it came from
        tenants = await run_sync(services.provisioned.tenants)
        request.scope["konsil.frame_ancestors"] = sorted({each for tenant in tenants for each in tenant.frame_origins})
    if request.headers.get("HX-Request") == "true":
        return HTMLResponse(services.templates.get_template("error_fragment.html").render(error=error), error.status)
    visit: Visit | None = request.scope.get("konsil.visit")
    if visit is not None and error.status != 401:  # the frame of the page stays: the menu is a way on
        hidden = request.path_params.get("case") if isinstance(error, NotFound) else None
        case = hidden if visit.launch.has_role(*TREATING) else None
        shown = {"error": error, "hospital": None, "address": request.url.path, "hidden_case": case}
        return visit.render("error.html", error.status, **shown)
    hospital = await _hospital(services, request) if error.status == 401 else None
    page = services.templates.get_template("error.html")
    return HTMLResponse(page.render(error=error, hospital=hospital, address=request.url.path), error.status)


async def _hospital(services: Services, request: Request) -> Tenant | None:
    """The hospital to go back to from a launch that has ended."""
    launch = str(request.path_params.get("launch") or "")
    name = await run_sync(services.sessions.hospital_of, launch) if launch else None
    return await run_sync(services.provisioned.by_name, name) if name else None


async def on_http_error(request: Request, error: Exception) -> Response:
    """What Starlette raises itself (no such route, wrong method, form too large), as our page."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    return await on_app_error(request, _in_words(error))


def _in_words(error: HTTPException) -> AppError:
    """What Starlette says in a word, as a sentence with a way on."""
    known: dict[int, AppError] = {
        404: NotFound("There is no page at this address.", "The link may be old, or a letter of it is missing."),
        405: Invalid("This address takes no such request.", "Go back and use the button of the page."),
        413: TooLarge("More was sent than one may send at once.", "Send smaller files."),
    }
    shown = known.get(error.status_code) or AppError(str(error.detail))
    shown.status = error.status_code
    return shown


async def on_fault(request: Request, _: Exception) -> Response:
    """A fault of the program: a page that says so; Starlette passes the exception on to the log afterwards."""
    return await on_app_error(request, AppError("A fault in the program stopped this.", "Nothing was sent. Try again."))
