"""One server as an installation has it, on a port: its own authorization server, a client registered by its key."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey

from fhir_server.app import create_app
from fhir_server.auth.provision import Document, provision
from fhir_server.settings import Settings
from konsil.secrets import new_master_key
from tests.conftest import unused_port

KEY = ECKey.generate_key("P-384", {"kid": "round-trip", "use": "sig"})
SCOPES = "system/*.cruds"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLIENT = {
    "client_id": "round-trip",
    "name": "Round trips",
    "jwks": {"keys": [KEY.as_dict(private=False)]},
    "scopes": SCOPES,
    "role": "system",
}


@dataclass(frozen=True)
class Served:
    """Where the server is, and how to get in."""

    origin: str

    @property
    def base(self) -> str:
        return f"{self.origin}/fhir"

    def assertion(self) -> str:
        """A fresh proof of who we are.  https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html"""
        claims = {"iss": "round-trip", "sub": "round-trip", "aud": f"{self.origin}/oauth/token", "jti": str(uuid4())}
        header = {"alg": "ES384", "kid": KEY.kid}
        return jwt.encode(header, claims | {"exp": int(time.time()) + 240}, KEY, algorithms=["ES384"])

    async def token(self) -> str:
        """An access token of SMART Backend Services."""
        form = {"grant_type": "client_credentials", "scope": SCOPES, "client_assertion_type": ASSERTION_TYPE}
        async with httpx.AsyncClient(base_url=self.origin) as http:
            answer = await http.post("/oauth/token", data={**form, "client_assertion": self.assertion()})
        return str(answer.raise_for_status().json()["access_token"])


@pytest.fixture
async def served(anyio_backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setenv("KONSIL_MASTER_KEY", new_master_key())
    port = unused_port()
    origin = f"http://127.0.0.1:{port}"
    settings = Settings(database_url=f"sqlite:///{tmp_path}/fhir.db", base_url=origin, publish_profiles=False)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await provision(app.state.node, Document.model_validate({"clients": [CLIENT]}))
        http = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_config=None))
        serving = asyncio.create_task(http.serve())
        while not http.started:
            await asyncio.sleep(0.01)
        try:
            yield Served(origin)
        finally:
            http.should_exit = True
            await serving
