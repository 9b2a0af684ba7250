"""A hospital's identity provider over real HTTP that can be told to lie: each attack changes one thing of it."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import Key, RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "hospital-1", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "hospital-2", "use": "sig"})
SECRET = "s3cret: of + both"
CLIENT_ID = "konsil at anna"
ACCESS_TOKEN = "an access token"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Provider:
    """One issuer.  `claims` are its person's, `document` changes its configuration, `answer` its token answer."""

    issuer: str
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1", "name": "Dr. Ada Ruiz", "groups": ["consil"]})
    keys: list[Key] = field(default_factory=lambda: [KEY])
    signs: Callable[[dict[str, Any]], str] | None = None
    document: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str) -> dict[str, str]:
        """The person signs in there: what the browser carries back."""
        assert url.startswith(f"{self.issuer}/authorize?"), url
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["client_id"], asked["response_type"]) == (CLIENT_ID, "code")
        code = str(uuid4())
        self.codes[code] = asked
        self.asked.append(asked)
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def id_token(self, **changed: Any) -> str:
        now = int(time.time())
        standard = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300}
        claims = {name: value for name, value in (standard | self.claims | changed).items() if value is not None}
        return self.signs(claims) if self.signs is not None else sign(claims)

    def configuration(self) -> dict[str, Any]:
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint")
        paths = ("authorize", "token", "jwks", "userinfo", "logout")
        endpoints = {name: f"{self.issuer}/{path}" for name, path in zip(names, paths, strict=True)}
        named = {"issuer": self.issuer, "authorization_response_iss_parameter_supported": True}
        return named | endpoints | self.document

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The token endpoint: client, code, address and verifier must be right."""
        pair = urlencode({"": CLIENT_ID})[1:] + ":" + urlencode({"": SECRET})[1:]
        asked = self.codes.pop(form.get("code", ""), None)
        if authorization != f"Basic {base64.b64encode(pair.encode()).decode()}":
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        half = hashlib.sha256(ACCESS_TOKEN.encode()).digest()[:16]
        at_hash = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
        own = {"nonce": asked["nonce"], "at_hash": at_hash} | self.claims
        body = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "id_token": self.id_token(**own)}
        return 200, body | self.answer

    def get(self, path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        if path == "/.well-known/openid-configuration":
            return 200, self.configuration()
        if path == "/jwks":
            return 200, {"keys": [key.as_dict(private=False) for key in self.keys]}
        if path == "/userinfo" and authorization == f"Bearer {ACCESS_TOKEN}":
            return 200, self.userinfo
        return 404, {}


def sign(claims: dict[str, Any], key: Key = KEY, **header: Any) -> str:
    headers = {"alg": "RS256", "kid": key.kid} | header
    return jwt.encode(headers, claims, key, algorithms=[headers["alg"]])


@contextmanager
def providers() -> Iterator[Callable[[], Provider]]:
    """Run one HTTP server; each call makes an issuer of its own there."""
    known: dict[str, Provider] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider, path = self._find()
            self._send(*provider.get(path, self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            provider, _ = self._find()
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            self._send(*provider.redeem(form, self.headers.get("Authorization", "")))

        def _find(self) -> tuple[Provider, str]:
            name, _, rest = self.path.lstrip("/").partition("/")
            return known[name], f"/{rest}"

        def _send(self, status: int, content: dict[str, Any]) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def make() -> Provider:
            name = uuid4().hex
            known[name] = Provider(f"http://127.0.0.1:{server.server_port}/{name}")
            return known[name]

        yield make
        server.shutdown()
        thread.join()
