"""An authorization server in process, on each database, with clients and people as an installation has them."""

import base64
import hashlib
import json
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey
from sqlalchemy import delete
from starlette.applications import Starlette

from fhir_server.app import create_app, migrate
from fhir_server.auth import passwords
from fhir_server.auth.provision import Document, provision
from fhir_server.context import Node
from fhir_server.settings import Settings
from fhir_server.store.database import Database
from fhir_server.store.models import metadata
from konsil.secrets import new_master_key

BASE = "https://fhir.test"
CALLBACK = "https://app.test/callback"
KeySets = dict[str, dict[str, Any]]
MASTER_KEY = new_master_key()
PASSWORD = "correct horse battery staple"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EC_KEY = ECKey.generate_key("P-384", {"kid": "ec-1", "use": "sig"})
RSA_KEY = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
TENANT_KEY = RSAKey.generate_key(2048, {"kid": "tenant-1", "use": "sig"})
SYSTEM_SCOPES = "system/*.cruds"
PERSON_SCOPES = "openid fhirUser launch launch/patient offline_access online_access patient/*.cruds user/*.cruds"


def public(*keys: Key) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


DOCUMENT: dict[str, Any] = {
    "clients": [
        {
            "client_id": "app",
            "name": "The App",
            "redirect_uris": [CALLBACK],
            "jwks": public(EC_KEY, RSA_KEY),
            "scopes": PERSON_SCOPES,
            "trusted": True,
            "may_exchange": True,
        },
        {"client_id": "spa", "name": "Web App", "type": "public", "redirect_uris": [CALLBACK], "scopes": PERSON_SCOPES},
        {"client_id": "old", "name": "Old App", "secret": "s3cret:x", "redirect_uris": [CALLBACK], "scopes": "openid"},
        {
            "client_id": "backend",
            "name": "Worker",
            "jwks": public(EC_KEY, RSA_KEY),
            "scopes": SYSTEM_SCOPES,
            "role": "system",
        },
        {
            "client_id": "engine",
            "name": "Engine",
            "jwks_url": "https://engine.test/jwks",
            "scopes": "system/Task.rs",
            "role": "interface-engine",
            "organization": "Organization/anna",
        },
    ],
    "accounts": [
        {
            "username": "Ito",
            "password": PASSWORD,
            "name": "Dr. Aiko Ito",
            "roles": ["consultant"],
            "fhir_user": "Practitioner/ito",
        },
        {
            "username": "meyer",
            "password": PASSWORD,
            "name": "Dr. Meyer",
            "roles": ["requester"],
            "organization": "Organization/anna",
            "fhir_user": "Practitioner/meyer",
        },
        {"username": "noor", "password": PASSWORD, "name": "Noor", "roles": ["patient"], "fhir_user": "Patient/noor"},
    ],
    "tenants": [
        {
            "name": "epic",
            "issuer": "https://ehr.test/epic",
            "jwks": public(TENANT_KEY),
            "client_id": "app-at-epic",
            "organization": "Organization/anna",
        },
    ],
}


@dataclass
class World:
    """The server under test, as a client and as an administrator see it."""

    http: httpx.AsyncClient
    node: Node
    address: str
    folder: str
    key_sets: KeySets

    def publish(self, path: str, *keys: Key) -> str:
        """Publish public keys on a real HTTP server; gives their address."""
        self.key_sets[self.folder + path] = public(*keys)
        return self.address + self.folder + path

    async def token(self, **form: str) -> httpx.Response:
        return await self.http.post("/oauth/token", data=form)

    async def signed(self, client_id: str = "app", key: Key = EC_KEY, **form: str) -> httpx.Response:
        """Call the token endpoint with a fresh client assertion."""
        return await self.token(**form, **proof(client_id, key))

    async def sign_in(self, username: str, password: str = PASSWORD) -> httpx.Response:
        page = await self.http.get("/login")
        return await self.http.post("/login", data=fields(page) | {"username": username, "password": password})

    async def sign_in_again(self, username: str) -> httpx.Response:
        """Sign in as somebody else in the same browser."""
        await self.http.post("/logout", data=fields(await self.http.get("/account")))
        return await self.sign_in(username)

    async def authorize(self, **parameters: str | None) -> httpx.Response:
        values = AUTHORIZE | parameters
        return await self.http.get("/oauth/authorize", params={k: v for k, v in values.items() if v is not None})

    async def code(self, **parameters: str | None) -> str:
        answer = await self.authorize(**parameters)
        return returned(answer)["code"]

    async def redeem(self, code: str, client_id: str = "app", key: Key = EC_KEY, **changed: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.signed(client_id, key, **form | changed)


VERIFIER = secrets.token_urlsafe(48)
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
AUTHORIZE: dict[str, str | None] = {
    "response_type": "code",
    "client_id": "app",
    "redirect_uri": CALLBACK,
    "scope": "openid fhirUser user/*.rs offline_access",
    "state": "state & more",
    "aud": f"{BASE}/fhir",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def assertion(client_id: str, key: Key = EC_KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    algorithm = {"EC": "ES384", "RSA": "RS384"}[key.key_type]
    standard = {"iss": client_id, "sub": client_id, "aud": f"{BASE}/oauth/token", "exp": now + 240, "jti": str(uuid4())}
    wanted = {name: value for name, value in (standard | claims).items() if value is not None}
    headers = {"alg": algorithm, "kid": key.kid} | (header or {})
    return jwt.encode({k: v for k, v in headers.items() if v is not None}, wanted, key, algorithms=[headers["alg"]])


def proof(client_id: str, key: Key = EC_KEY) -> dict[str, str]:
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(client_id, key)}


def fields(page: httpx.Response) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))


def ticked(page: httpx.Response) -> list[str]:
    """The scopes that a consent page has ticked."""
    return re.findall(r'type="checkbox" name="scope" value="([^"]*)" checked', page.text)


def allowing(page: httpx.Response, *scopes: str) -> dict[str, Any]:
    """What the consent page's form sends: with these scopes ticked, or with all that were offered."""
    return fields(page) | {"decision": "allow", "scope": list(scopes) or ticked(page)}


def returned(answer: httpx.Response) -> dict[str, str]:
    """What an authorization response carries back to the client."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{CALLBACK}?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for all tests: the server of a module seals its audit on its own, between two of them as well."""
    monkeypatch.setenv("KONSIL_MASTER_KEY", MASTER_KEY)


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hash at its lowest cost: these tests are about what a right or wrong password leads to."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture(scope="module")
def key_server() -> Iterator[tuple[str, KeySets]]:
    """A real HTTP server of key sets by path; what is not there is 404."""
    key_sets: KeySets = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = key_sets.get(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", key_sets
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def module_settings(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A database with its tables for each module: its tests run on SQLite, then on PostgreSQL."""
    mails = tmp_path_factory.mktemp("mail")
    settings = Settings(
        database_url=module_database_url, base_url=BASE, publish_profiles=False, mail_folder=mails, case_watch_seconds=0
    )
    migrate(settings)
    return settings.model_copy(update={"migrate_at_start": False})


@pytest.fixture(scope="module")
async def app(module_settings: Settings) -> AsyncIterator[Starlette]:
    app = create_app(module_settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def world(app: Starlette, key_server: tuple[str, KeySets]) -> AsyncIterator[World]:
    """The server, emptied and provisioned anew for each test."""
    address, key_sets = key_server
    folder = f"/{uuid4()}"
    await empty(app.state.node.database)
    await provision(app.state.node, document(address + folder))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        yield World(http, app.state.node, address, folder, key_sets)


async def empty(database: Database) -> None:
    """Forget everything but the numbers of search parameters."""
    async with database.transaction() as transaction:
        for table in reversed(metadata.sorted_tables):
            if table.name not in {"search_parameter", "database_value"}:
                await transaction.execute(delete(table))


def document(address: str) -> Document:
    """What is provisioned, the key server's address filled in."""
    return Document.model_validate_json(json.dumps(DOCUMENT).replace("https://engine.test", address))
