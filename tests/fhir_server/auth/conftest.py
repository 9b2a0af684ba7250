"""An authorization server in process, on each database, with clients and people as an installation has them."""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey
from starlette.applications import Starlette

from fhir_server.app import open_node
from fhir_server.auth import passwords
from fhir_server.auth.jose import KeySource, Rejected
from fhir_server.auth.provision import Document, provision
from fhir_server.context import Node
from fhir_server.http import oauth
from fhir_server.settings import Settings
from fhir_server.store import auth_models  # noqa: F401 (its tables join the metadata)
from konsil.secrets import new_master_key

BASE = "https://fhir.test"
CALLBACK = "https://app.test/callback"
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
    key_sets: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def fetch(self, url: str) -> dict[str, Any]:
        if url not in self.key_sets:
            raise Rejected("key set not available")
        return self.key_sets[url]

    async def token(self, **form: str) -> httpx.Response:
        return await self.http.post("/oauth/token", data=form)

    async def signed(self, client_id: str = "app", key: Key = EC_KEY, **form: str) -> httpx.Response:
        """Call the token endpoint with a fresh client assertion."""
        return await self.token(**form, **proof(client_id, key))

    async def sign_in(self, username: str, password: str = PASSWORD) -> httpx.Response:
        page = await self.http.get("/login")
        return await self.http.post("/login", data=fields(page) | {"username": username, "password": password})

    async def authorize(self, **parameters: str | None) -> httpx.Response:
        values = AUTHORIZE | parameters
        return await self.http.get("/oauth/authorize", params={k: v for k, v in values.items() if v is not None})

    async def code(self, **parameters: str | None) -> str:
        answer = await self.authorize(**parameters)
        return returned(answer)["code"]

    async def redeem(self, code: str, client_id: str = "app", **changed: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.signed(client_id, **form | changed)


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


def returned(answer: httpx.Response) -> dict[str, str]:
    """What an authorization response carries back to the client."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{CALLBACK}?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def master_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KONSIL_MASTER_KEY", new_master_key())


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same hash at its lowest cost: these tests are about what a right or wrong password leads to."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database_url=database_url, base_url=BASE, data_dir=tmp_path)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    async with open_node(settings) as node:
        await provision(node, Document.model_validate(DOCUMENT))
        world = World(httpx.AsyncClient(), node)
        app = Starlette(routes=oauth.routes(settings, KeySource(world.fetch)))
        app.state.node = node
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
            world.http = http
            yield world
