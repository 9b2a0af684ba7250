"""The backend-services client against a token endpoint that checks what it gets."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from konsil.http_client import guarded_client
from konsil.oauth_client import ASSERTION_TYPE, BackendToken, ClientKey, TokenRefused, client_assertion

PRIVATE = ECKey.generate_key("P-384", {"kid": "demo-1"}, private=True)


class TokenEndpoint(ThreadingHTTPServer):
    """Checks the assertion as RFC 7523 says and counts; answers `expires_in` seconds, or a refusal."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/oauth/token"
        self.seen: set[str] = set()
        self.expires_in = 300
        self.refusal = ""

    def answer(self, form: dict[str, list[str]]) -> tuple[int, dict[str, object]]:
        assert form["grant_type"] == ["client_credentials"]
        assert form["client_assertion_type"] == [ASSERTION_TYPE]
        token = jwt.decode(form["client_assertion"][0], PRIVATE, algorithms=["ES384"])
        assert token.header["kid"] == "demo-1"
        assert token.claims["iss"] == token.claims["sub"] == "gateway"
        assert token.claims["aud"] == self.url
        assert 0 < token.claims["exp"] - time.time() <= 300
        assert token.claims["jti"] not in self.seen
        self.seen.add(token.claims["jti"])
        if self.refusal:
            return 400, {"error": self.refusal, "error_description": "for Jane Doe"}
        body = {"access_token": f"token {len(self.seen)}", "token_type": "bearer", "scope": form["scope"][0]}
        return 200, {**body, "expires_in": self.expires_in}


class Handler(BaseHTTPRequestHandler):
    server: TokenEndpoint

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        status, body = self.server.answer(form)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    server = TokenEndpoint()
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(endpoint: TokenEndpoint) -> Iterator[httpx.Client]:
    with guarded_client([endpoint.url]) as client:
        yield client


def key(endpoint: TokenEndpoint) -> ClientKey:
    return ClientKey("gateway", PRIVATE.as_dict(private=True), endpoint.url)


@pytest.mark.spec("SMART App Launch 2.2 backend-services.html#obtain-access-token")
def test_a_token_is_fetched_once_also_for_many_threads(endpoint: TokenEndpoint, client: httpx.Client) -> None:
    token = BackendToken(client, key(endpoint), "system/Task.rs")
    with ThreadPoolExecutor(8) as pool:
        headers = list(pool.map(lambda _: token.header()["Authorization"], range(40)))
    assert set(headers) == {"Bearer token 1"}
    token.forget()
    assert token.header() == {"Authorization": "Bearer token 2"}


def test_a_token_is_renewed_a_minute_before_it_ends(endpoint: TokenEndpoint, client: httpx.Client) -> None:
    endpoint.expires_in = 60
    token = BackendToken(client, key(endpoint), "system/Task.rs")
    assert [token.header()["Authorization"] for _ in range(2)] == ["Bearer token 1", "Bearer token 2"]


def test_a_refusal_names_its_word_and_no_more(endpoint: TokenEndpoint, client: httpx.Client) -> None:
    endpoint.refusal = "invalid_client"
    with pytest.raises(TokenRefused) as refused:
        BackendToken(client, key(endpoint), "system/Task.rs").header()
    assert (refused.value.status, refused.value.error) == (400, "invalid_client")
    assert "Jane" not in str(refused.value)


def test_rsa_keys_sign_with_rs384() -> None:
    rsa = RSAKey.generate_key(2048, {"kid": "r"}, private=True)
    assertion = client_assertion(ClientKey("app", rsa.as_dict(private=True), "https://ehr.example/token"))
    assert jwt.decode(assertion, rsa, algorithms=["RS384"]).header["alg"] == "RS384"


def test_a_key_is_never_shown() -> None:
    assert PRIVATE.as_dict(private=True)["d"] not in repr(ClientKey("app", PRIVATE.as_dict(private=True), "https://x"))
