"""One request of a signed-in person within a launch: what every page gets, and the way pages become routes."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from anyio.to_thread import run_sync
from starlette.background import BackgroundTask
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from smart_app import idle
from smart_app.case.view import Case
from smart_app.emergency import Beside, Watch
from smart_app.errors import Forbidden, SignedOut, TooLarge
from smart_app.fhir import FhirClient
from smart_app.flash import Flash
from smart_app.launches import Launch
from smart_app.services import Services
from smart_app.session import secret_of
from smart_app.tenants import Tenant
from smart_app.tokens import TokenKeeper
from smart_app.tour import PAGES, Step


@dataclass(frozen=True, slots=True)
class NavItem:
    """An entry of the navigation: shown to those roles; `current` on its own page."""

    title: str
    path: str
    icon: str
    roles: tuple[str, ...]
    current: bool = False


@dataclass(frozen=True)
class Visit:
    """A request, the launch it belongs to, and the two FHIR servers as this person may use them."""

    request: Request
    services: Services
    launch: Launch
    tenant: Tenant | None
    flash: Flash | None = None
    tour: Sequence[Step] = ()
    beside: Beside = Beside()

    @cached_property
    def fhir(self) -> FhirClient:
        """Our own server, with this person's token."""
        keeper: TokenKeeper = self.request.app.state.tokens
        http = self.services.clients.for_origins(self.services.own_origins())
        return FhirClient(
            http,
            self.services.settings.fhir_base_url,
            self.own_token,
            lambda refused: keeper.another_token(self.launch, "own", refused),
        )

    @cached_property
    def ehr(self) -> FhirClient:
        """The hospital's server, with the token of this launch.  Raises Forbidden after a standalone sign-in."""
        if self.tenant is None:
            raise Forbidden("This needs the hospital's record.", "Open the app from the patient's chart.")
        keeper: TokenKeeper = self.request.app.state.tokens
        http = self.services.clients.for_origins(self.tenant.origins())
        return FhirClient(
            http,
            self.tenant.fhir_base,
            lambda: keeper.access_token(self.launch, "ehr"),
            lambda refused: keeper.another_token(self.launch, "ehr", refused),
        )

    async def own_token(self) -> str:
        """This person's token at our server: for the FHIR client, and for the gateway, which takes the same one."""
        keeper: TokenKeeper = self.request.app.state.tokens
        return await keeper.access_token(self.launch, "own")

    @property
    def is_htmx(self) -> bool:
        """Whether a fragment is wanted rather than a page."""
        return self.request.headers.get("HX-Request") == "true"

    def url(self, path: str = "") -> str:
        """An address within this launch."""
        return f"/l/{self.launch.id}/{path}"

    def navigation(self) -> list[NavItem]:
        """The entries this person may use, the current page's marked."""
        here = self.request.url.path
        mine = [item for item in self.request.app.state.navigation if self.launch.has_role(*item.roles)]
        return [replace(item, current=here.startswith(self.url(item.path))) for item in mine]

    def require(self, *roles: str) -> None:
        """Raise Forbidden unless the person has one of the roles: spares them a page that could show nothing."""
        if not self.launch.has_role(*roles):
            raise Forbidden("This page belongs to another role.", "Sign in with the account that has it.")

    def render(self, template: str, status_code: int = 200, /, **values: Any) -> HTMLResponse:
        """A template with the launch's own values beside the page's; shows a waiting sentence once."""
        seen = BackgroundTask(run_sync, self.services.flashes.seen, self.launch.id) if self.flash else None
        return HTMLResponse(self.text(template, **values), status_code, background=seen)

    def text(self, template: str, /, **values: Any) -> str:
        """A template as text: for fragments that travel inside something else."""
        found = self.services.templates.get_template(template)
        own = {"visit": self, "launch": self.launch, "tenant": self.tenant, "url": self.url}
        own |= {"flash": self.flash, "tour": self.tour, "elsewhere": self.is_elsewhere(values.get("case"))}
        return found.render({**own, "settings": self.services.settings, **values})

    def is_elsewhere(self, case: object) -> bool:
        """Whether a case is about another patient than the chart that is open around the app."""
        return isinstance(case, Case) and self.launch.is_about_another(str(case.task["for"]["reference"]))

    def said(self, sentence: str, undo: str = "", tone: str = "good") -> str:
        """A toast to put behind a fragment that answers HTMX; `undo` is a path within the launch."""
        return self.text("_toast.html", flash=Flash(said=sentence, undo=undo, tone=tone), travels=True)

    def go(self, path: str, said: str = "", undo: str = "", tone: str = "good") -> Response:
        """See other, within the launch.  An HTMX request is told to load the whole page.

        The page shows `said` as a toast, for ten seconds with a button that posts to `undo`, a path within the launch.
        """
        if said:
            self.services.flashes.leave(self.launch.id, Flash(said=said, undo=undo, tone=tone))
        if self.is_htmx:
            return Response(status_code=204, headers={"HX-Redirect": self.url(path)})
        return RedirectResponse(self.url(path), 303)

    async def form(self) -> FormData:
        """The posted form, files and all below the limit for uploads.

        Raises TooLarge, once the browser has sent what it has (it listens only then), within reason.
        """
        megabytes = self.services.settings.upload_megabytes
        limit, announced = megabytes * 1024 * 1024, int(self.request.headers.get("content-length", "0"))
        if announced > limit:
            await self._swallow(4 * limit)
            raise TooLarge(f"The file is larger than {megabytes} MB.", "Scan it with fewer dots, or send fewer pages.")
        return await self.request.form(max_part_size=limit, max_files=4)

    async def _swallow(self, most: int) -> None:
        read = 0
        async for chunk in self.request.stream():
            read += len(chunk)
            if read > most:
                return


Handler = Callable[[Visit], Awaitable[Response]]


def page(path: str, handler: Handler, methods: tuple[str, ...] = ("GET",)) -> Route:
    """A route below `/l/{launch}/`: the launch is looked up in this browser's session on every request.

    An address of a launch that has ended leads to the same page of the launch that took its place.
    """

    async def endpoint(request: Request) -> Response:
        visit = await visit_of(request)
        if visit.launch.id != request.path_params["launch"] and request.method == "GET" and not visit.is_htmx:
            rest = request.url.path.split("/", 3)[3]
            return RedirectResponse(visit.url(f"{rest}?{request.url.query}".rstrip("?")), 307)
        if request.method == "POST" and "case" in request.path_params:
            await check_patient(visit, request.path_params["case"])
        return await handler(visit)

    return Route(f"/l/{{launch}}/{path}", endpoint, methods=list(methods), name=path)


async def check_patient(visit: Visit, case: str) -> None:
    """Nothing is written on a case from the chart of another patient.  Raises Forbidden."""
    if visit.launch.patient is None:
        return
    task = await visit.fhir.find(f"Task/{case}")
    if task and visit.launch.is_about_another(str(task["for"]["reference"])):
        raise Forbidden("This case is about another patient than the open chart.", "Open that patient's chart first.")


async def visit_of(request: Request) -> Visit:
    """The visit of a request.  Raises SignedOut when the launch is not this browser's, or has ended."""
    services: Services = request.app.state.services
    launch_id, secret = str(request.path_params["launch"]), secret_of(request)
    launch = await run_sync(services.sessions.find_launch, launch_id, secret) if secret else None
    if launch is None:
        raise SignedOut("This sign-in has ended, or was made in another window.", "Open the app again, or sign in.")
    await idle.check(services, launch, request)
    tenant = await run_sync(services.provisioned.by_name, launch.tenant) if launch.tenant else None
    if launch.tenant and tenant is None:
        raise SignedOut("This hospital does not work with this service any more.", "Ask its administrators.")
    request.scope["konsil.frame_ancestors"] = tenant.frame_origins if tenant else ()
    visit = Visit(request, services, launch, tenant)
    if request.method == "GET" and not visit.is_htmx:
        watch: Watch = request.app.state.emergencies
        emergencies = await watch.beside(visit.fhir, launch.practitioner, launch.roles)
        visit = replace(visit, **await run_sync(_beside_the_page, visit), beside=emergencies)
    request.scope["konsil.visit"] = visit
    return visit


def _beside_the_page(visit: Visit) -> dict[str, Any]:
    """What a whole page shows besides its own content: a sentence that waits, the guided visit on a first page."""
    path = visit.request.url.path.split("/", 3)[3]
    guided = visit.services.settings.guided_visits and path in PAGES
    return {
        "flash": visit.services.flashes.waiting(visit.launch.id),
        "tour": visit.services.tours.steps(visit.launch) if guided else (),
    }
