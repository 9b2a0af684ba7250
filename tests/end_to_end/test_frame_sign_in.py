"""An EHR launch in a cross-site frame: the EHR's session must come along, through the other site and back."""

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from fhir_server.app import create_app
from fhir_server.auth import accounts, launch, sessions
from fhir_server.auth.launch import LaunchContext
from fhir_server.auth.provision import Document, provision
from fhir_server.settings import Settings
from konsil.secrets import new_master_key
from tests.end_to_end.browser import workstation

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@contextmanager
def served(app: Starlette, port: int) -> Iterator[None]:
    """Serve on a thread with its own loop, as a program does."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield
    server.should_exit = True
    thread.join()


def ehr(settings: Settings, app_url: str) -> Starlette:
    """A hospital's record system: a page that signs a person in and frames the app, the tenant below it."""
    tenant = create_app(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with tenant.router.lifespan_context(tenant):
            client = {
                "client_id": "app",
                "name": "App",
                "type": "public",
                "redirect_uris": [f"{app_url}/callback"],
                "scopes": "launch openid user/*.rs",
                "trusted": True,
            }
            person = {"username": "ruiz", "password": "pw", "name": "Dr. Ruiz", "roles": ["requester"]}
            document = {"clients": [client], "accounts": [person]}
            await provision(tenant.state.node, Document.model_validate(document))
            yield

    async def chart(request: Request) -> Response:
        db, now = tenant.state.node.database, time.time()
        session = await sessions.lookup(db, settings, request.cookies, now)
        account = session.account if session else await accounts.authenticate(db, "ruiz", "pw", now)
        assert account is not None
        handle = await launch.create(db, account.account_id, "app", LaunchContext(patient="p1"))
        query = urlencode({"iss": settings.fhir_url, "launch": handle})
        answer = HTMLResponse(f'<iframe src="{app_url}/launch?{query}" width="900" height="600"></iframe>')
        if session is None and "stranger" not in request.query_params:
            token = await sessions.create(db, settings, account, now)
            answer.headers["set-cookie"] = sessions.set_cookie(settings, token)
        return answer

    return Starlette(routes=[Route("/", chart), Mount("/epic", tenant)], lifespan=lifespan)


def app(url: str, issuer: str) -> Starlette:
    """An app at another site that begins a launch and shows what came back."""

    async def begin(request: Request) -> Response:
        query = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": f"{url}/callback",
            "scope": "launch openid user/*.rs",
            "state": "s",
            "aud": request.query_params["iss"],
            "launch": request.query_params["launch"],
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return RedirectResponse(f"{issuer}/oauth/authorize?{urlencode(query)}", 303)

    async def callback(request: Request) -> Response:
        return HTMLResponse(f"<pre>{json.dumps(dict(request.query_params))}</pre>")

    return Starlette(routes=[Route("/launch", begin), Route("/callback", callback)])


@pytest.fixture
def hospital(tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("KONSIL_MASTER_KEY", new_master_key())
    ehr_port, app_port = free_port(), free_port()
    app_url, issuer = f"http://127.0.0.1:{app_port}", f"http://localhost:{ehr_port}/epic"
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/ehr.db", base_url=issuer, cookie_name="epic", publish_profiles=False
    )
    with served(ehr(settings, app_url), ehr_port), served(app(app_url, issuer), app_port):
        yield f"http://localhost:{ehr_port}/"


@pytest.mark.peer
@pytest.mark.spec("SMART app-launch.html#launch-app-ehr-launch")
def test_the_session_of_the_ehr_goes_through_the_frame(hospital: str, tmp_path: Path) -> None:
    with workstation(tmp_path / "profile") as context:
        page = context.new_page()
        page.goto(hospital)
        answer = json.loads(page.frame_locator("iframe").locator("pre").inner_text(timeout=15_000))
    assert answer.keys() == {"code", "state", "iss"}


@pytest.mark.peer
def test_without_session_one_signs_in_inside_the_frame(hospital: str, tmp_path: Path) -> None:
    with workstation(tmp_path / "profile") as context:
        page = context.new_page()
        page.goto(f"{hospital}?stranger=1")
        frame = page.frame_locator("iframe")
        frame.get_by_label("User name").fill("ruiz", timeout=15_000)
        frame.get_by_label("Password").fill("pw")
        page.screenshot(path=tmp_path / "sign-in.png")
        frame.get_by_role("button", name="Sign in").click()
        answer = json.loads(frame.locator("pre").inner_text(timeout=15_000))
    assert "code" in answer
