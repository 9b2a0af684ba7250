"""Servers of ours, people with browsers, and a real Keycloak, for sign-in by a hospital's identity provider."""

import asyncio
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from deploy.setup import keycloak
from fhir_server.app import create_app
from fhir_server.auth.provision import Document, provision
from fhir_server.context import Node
from fhir_server.settings import Settings
from tests.conftest import unused_port

ADMIN = "administrator"
ADMIN_PASSWORD = "of this test alone"  # noqa: S105


@dataclass
class Ours:
    """A server of ours on a port of its own."""

    url: str
    app: Starlette
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)

    @property
    def node(self) -> Node:
        node: Node = self.app.state.node
        return node

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's loop."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def provision(self, **document: Any) -> None:
        self.call(provision(self.node, Document.model_validate(document)))


@contextmanager
def ours(folder: Path, name: str, host: str = "127.0.0.1") -> Iterator[Ours]:
    """Run a server on SQLite; `name` keeps its cookies apart from those of another one of this host."""
    port = unused_port()
    url = f"http://{host}:{port}"
    database = f"sqlite:///{folder}/{name}.db"
    settings = Settings(database_url=database, base_url=url, publish_profiles=False, cookie_name=f"konsil-{name}")
    server = Ours(url, create_app(settings))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with server.app.router.lifespan_context(server.app):
            server.loop = asyncio.get_running_loop()
            yield

    mounted = Starlette(routes=[Mount("/", server.app)], lifespan=lifespan)
    http = uvicorn.Server(uvicorn.Config(mounted, "127.0.0.1", port, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=http.run)
    thread.start()
    while not http.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield server
    finally:
        http.should_exit = True
        thread.join()


class Person:
    """Somebody's browser: as much of one as cookies, links, forms and redirects are."""

    def __init__(self) -> None:
        self.http = httpx.Client(trust_env=False, timeout=60)
        self.cookies: dict[str, dict[str, str]] = {}

    def request(self, method: str, url: str, **sent: Any) -> httpx.Response:
        """One request and the redirects that it leads to."""
        for _ in range(10):
            kept = self.cookies.setdefault(httpx.URL(url).host, {})
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}
            page = self.http.request(method, url, headers=headers, **sent)
            for line in page.headers.get_list("set-cookie"):
                name, _, value = line.partition(";")[0].partition("=")
                kept[name] = value
            if not page.has_redirect_location:
                return page
            method, url, sent = "GET", str(page.url.join(page.headers["location"])), {}
        raise AssertionError("too many redirects")

    def open(self, url: str) -> httpx.Response:
        return self.request("GET", url)

    def press(self, page: httpx.Response, label: str) -> httpx.Response:
        """Follow the link with this text."""
        found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>\s*{re.escape(label)}\s*</a>', page.text)
        assert found is not None, page.text
        return self.open(str(page.url.join(unescape(found[1]))))

    def send(self, page: httpx.Response, **typed: str) -> httpx.Response:
        """Fill in the first form and send it."""
        form = re.search(r'<form[^>]*action="([^"]+)"[^>]*>(.*?)</form>', page.text, re.S)
        assert form is not None, page.text
        hidden = dict(re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form[2]))
        return self.request("POST", str(page.url.join(unescape(form[1]))), data=hidden | typed)

    def close(self) -> None:
        self.http.close()


@dataclass
class Keycloak:
    """A running Keycloak as its administrator sees it."""

    url: str
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=60))

    def admin(self, method: str, path: str, content: object = None) -> Any:
        """Call the administration API."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": ADMIN_PASSWORD}
        answer = self.http.post(f"{self.url}/realms/master/protocol/openid-connect/token", data=form)
        headers = {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}
        done = self.http.request(method, f"{self.url}/admin/realms{path}", headers=headers, json=content)
        done.raise_for_status()
        return done.json() if done.content else None

    def of(self, kind: str, **query: str) -> str:
        """The id of the one thing of a kind in the realm `staff` that a query finds."""
        text = "&".join(f"{name}={value}" for name, value in query.items())
        [found] = self.admin("GET", f"/staff/{kind}?{text}")
        return str(found["id"])


@contextmanager
def running_keycloak(folder: Path, realm: Mapping[str, Any]) -> Iterator[Keycloak]:
    """Start the distribution that set-up fetched, in memory, with a realm of its own."""
    home = folder / "keycloak"
    shutil.copytree(keycloak.folder(), home, copy_function=os.link)
    port, management = unused_port(), unused_port()
    url = f"http://localhost:{port}"
    options = ["start", "--optimized", "--cache=local", "--http-enabled=true", "--http-host=127.0.0.1"]
    options += [f"--http-port={port}", f"--http-management-port={management}", f"--hostname={url}"]
    names = {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": ADMIN_PASSWORD}
    with (folder / "keycloak.log").open("wb") as log:
        command = [home / "bin" / "kc.sh", *options]
        process = subprocess.Popen(command, env=os.environ | names, stdout=log, stderr=log, cwd=home)
    started = Keycloak(url)
    try:
        _wait(process, started, folder / "keycloak.log")
        started.admin("POST", "", dict(realm))
        yield started
    finally:
        started.http.close()
        process.terminate()
        process.wait(30)


def _wait(process: "subprocess.Popen[bytes]", started: Keycloak, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if started.http.get(f"{started.url}/realms/master").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"Keycloak did not start: {log.read_text(encoding='utf-8')[-2000:]}")
