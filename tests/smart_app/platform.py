"""A pretend hospital, our own FHIR server and the app in one process, on free ports, with real tokens between them."""

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from deploy.sandbox import charts, keys, people, provision
from deploy.sandbox.ehr.app import fhir_of
from deploy.sandbox.ehr.trouble import Troubles
from deploy.sandbox.hospitals import HOSPITALS, Hospital
from deploy.sandbox.plan import Plan, Ports
from fhir_server import app as fhir_app
from fhir_server.auth import accounts, launch, sessions
from fhir_server.auth.provision import Document
from fhir_server.auth.provision import provision as provision_server
from fhir_server.settings import Settings as FhirSettings
from smart_app.app import create_app
from smart_app.settings import Settings as AppSettings
from smart_app.store.provisioned import ProvisionedStore
from smart_app.tenants import Provision
from tests.conftest import unused_port


@dataclass
class Platform:
    """What the tests drive."""

    plan: Plan
    app: Starlette
    ours: Starlette
    tenants: dict[str, Starlette]
    app_settings: AppSettings
    loop: asyncio.AbstractEventLoop = field(repr=False)
    troubles: Troubles = field(default_factory=Troubles)

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine on the servers' loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def browser(self) -> "Browser":
        return Browser(self)

    def launch_url(self, tenant: str, patient: str, session: "Browser | None" = None) -> str:
        """A launch as the EHR's frame would make it, by the tenant's own physician, who is signed in at the EHR."""
        node = self.tenants[tenant].state.node
        physician = people.PHYSICIANS[tenant]

        async def make() -> tuple[str, str]:
            account = await accounts.authenticate(node.database, physician.username, people.PASSWORD, time.time())
            token = await sessions.create(node.database, node.settings, account, time.time())
            context = launch.LaunchContext(patient=patient, need_patient_banner=False)
            return await launch.create(node.database, account.account_id, "konsil", context), token

        handle, token = self.call(make())
        if session is not None:
            session.take(sessions.set_cookie(node.settings, token), "localhost")
        return f"{self.plan.app_url}/launch?iss={self.plan.ehr_url}/{tenant}/fhir&launch={handle}"


@dataclass
class Browser:
    """As much of a browser as cookies and redirects are; Secure cookies go to loopback, as in real ones."""

    platform: Platform
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)

    def take(self, set_cookie: str, host: str) -> None:
        pair = set_cookie.partition(";")[0]
        name, _, value = pair.partition("=")
        self.cookies.setdefault(host, {})[name] = value

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """One request, no redirect followed."""
        if url.startswith("/"):
            url = f"{self.platform.plan.app_url}{url}"
        host = urlsplit(url).hostname or ""
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.get(host, {}).items())}
        if method == "POST":
            parts = urlsplit(url)
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        headers |= options.pop("headers", {})
        with httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.request(method, url, headers=headers, **options)
        for value in answer.headers.get_list("set-cookie"):
            self.take(value, host)
        return answer

    def follow(self, answer: httpx.Response) -> httpx.Response:
        """Follow redirects to the page at their end."""
        for _ in range(12):
            if answer.status_code not in (301, 302, 303, 307):
                return answer
            answer = self.request("GET", str(answer.url.join(answer.headers["location"])))
        raise AssertionError("too many redirects")

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self.follow(self.request("GET", url, **options))

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self.follow(self.request("POST", url, **options))

    def launch(self, tenant: str, patient: str) -> httpx.Response:
        """EHR launch to the first page, the chart read as its script would ask for it."""
        page = self.get(self.platform.launch_url(tenant, patient, self))
        waiting = re.search(r'id="opening" hx-post="([^"]+)"', page.text)
        return self.post(waiting.group(1)) if waiting else page

    def sign_in(self, username: str, path: str = "/sign-in") -> httpx.Response:
        """Standalone sign-in of somebody of the second-opinion service."""
        page = self.get(path)
        fields = hidden_fields(page.text)
        form = fields | {"username": username, "password": people.PASSWORD}
        return self.post(form_action(page), data=form)


def launch_id(answer: httpx.Response) -> str:
    """The launch that a page belongs to."""
    return answer.url.path.split("/")[2]


def hidden_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', page)
    return {name: value.replace("&amp;", "&") for name, value in found}


def form_action(page: httpx.Response) -> str:
    action = re.search(r'<form[^>]*action="([^"]*)"', page.text)
    target = action.group(1).replace("&amp;", "&") if action and action.group(1) else ""
    return str(page.url.join(target)) if target else str(page.url)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@contextmanager
def platform(folder: Path) -> Iterator[Platform]:
    """Everything up, provisioned; ended with the block."""
    plan = Plan(folder, Ports(*(unused_port() for _ in range(7))))
    kept = keys.load_or_make(folder / "keys.json")
    ours = fhir_settings(folder / "ours", plan.fhir_url, "konsil-fhir", audit=True)
    tenants = {
        each.key: fhir_settings(folder / each.key, f"{plan.ehr_url}/{each.key}", f"ehr-{each.key}")
        for each in HOSPITALS
    }
    asyncio.run(provision_all(plan, kept, ours, tenants))
    settings = app_settings(plan, folder / "app")
    app = create_app(settings)
    ProvisionedStore(app.state.services.engine).provision(Provision.model_validate(provision.app(plan, kept)))
    our_app = fhir_app.create_app(ours)
    troubles = Troubles()
    tenant_apps = {name: fhir_app.create_app(each) for name, each in tenants.items()}
    servers = [(app, plan.ports.app), (our_app, plan.ports.fhir), (ehr(tenant_apps, troubles), plan.ports.ehr)]
    with serving(servers) as loop:
        yield Platform(plan, app, our_app, tenant_apps, settings, loop, troubles)


def fhir_settings(folder: Path, base_url: str, cookie: str, *, audit: bool = False) -> FhirSettings:
    folder.mkdir(parents=True)
    url = f"sqlite:///{folder / 'fhir.db'}"
    kept = {"data_dir": folder, "mail_folder": folder / "mail"}
    return FhirSettings(database_url=url, base_url=base_url, cookie_name=cookie, audit=audit, **kept)


def app_settings(plan: Plan, folder: Path) -> AppSettings:
    return AppSettings(
        data_dir=folder,
        base_url=plan.app_url,
        port=plan.ports.app,
        fhir_base_url=f"{plan.fhir_url}/fhir",
        fhir_issuer=plan.fhir_url,
        gateway_url=plan.gateway_url,
        time_zone="America/Chicago",
    )


async def provision_all(plan: Plan, kept: dict[str, Any], ours: FhirSettings, tenants: dict[str, FhirSettings]) -> None:
    await provision_one(ours, provision.our_server(plan, kept))
    for hospital in HOSPITALS:
        await provision_one(tenants[hospital.key], tenant_document(plan, hospital, kept))


async def provision_one(settings: FhirSettings, document: dict[str, Any]) -> None:
    async with fhir_app.open_node(settings) as node:
        await provision_server(node, Document.model_validate(document))


def tenant_document(plan: Plan, hospital: Hospital, kept: dict[str, Any]) -> dict[str, Any]:
    return provision.tenant(plan, hospital, kept) | {"resources": charts.resources(hospital.key)}


def ehr(tenants: dict[str, Starlette], troubles: Troubles) -> Starlette:
    """Both tenants in one process, as the sandbox runs them: with their habits, and what is made to go wrong."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        async with AsyncExitStack() as stack:
            for each in tenants.values():
                await stack.enter_async_context(each.router.lifespan_context(each))
            yield

    mounts = [Mount(f"/{name}", fhir_of(name, each, troubles)) for name, each in tenants.items()]
    return Starlette(routes=mounts, lifespan=lifespan)


@contextmanager
def serving(servers: list[tuple[Starlette, int]]) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve applications on loopback from one thread with one event loop."""
    loop = asyncio.new_event_loop()
    made = [
        uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1))
        for app, port in servers
    ]

    async def all_of_them() -> None:
        await asyncio.gather(*(each._serve() for each in made))

    thread = threading.Thread(target=loop.run_until_complete, args=(all_of_them(),), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not all(each.started for each in made):
        assert time.monotonic() < deadline and thread.is_alive(), "the servers did not start"
        time.sleep(0.02)
    try:
        yield loop
    finally:
        for each in made:
            each.should_exit = True
        thread.join(10)
        loop.close()
