"""Outgoing HTTP reaches the configured origins and no other."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import anyio
import httpx
import pytest

from konsil import http_client
from konsil.http_client import OriginRefused, check_address, guarded_async_client, guarded_client, origin


class Server(ThreadingHTTPServer):
    """Remembers who asked; `/away` redirects to whatever `elsewhere` says."""

    elsewhere = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        if self.path == "/breaks" and len(self.server.asked) == 1:
            self.close_connection = True
            return
        away = self.path == "/away"
        self.send_response(302 if away else 200)
        if away:
            self.send_header("Location", f"{self.server.elsewhere}/stolen")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    ours, theirs = Server(), Server()
    ours.elsewhere = theirs.url
    threads = [Thread(target=server.serve_forever, args=(0.02,)) for server in (ours, theirs)]
    for thread in threads:
        thread.start()
    yield ours, theirs
    for server, thread in zip((ours, theirs), threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def test_only_the_given_origins_are_reached(servers: tuple[Server, Server]) -> None:
    ours, theirs = servers
    with guarded_client([f"{ours.url}/fhir"]) as client:
        assert client.get(f"{ours.url}/metadata").status_code == 200
        for url in (theirs.url, ours.url.replace("127.0.0.1", "localhost"), ours.url.replace("http", "https")):
            with pytest.raises(OriginRefused):
                client.get(url, headers={"Authorization": "Bearer secret"})
    assert theirs.asked == []


@pytest.mark.spec("RFC 9110 9.2.2")
def test_a_read_whose_connection_ends_is_asked_once_more(servers: tuple[Server, Server]) -> None:
    ours, theirs = servers
    with guarded_client([ours.url, theirs.url]) as client:
        assert client.get(f"{ours.url}/breaks").status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(f"{theirs.url}/breaks")
    assert (len(ours.asked), len(theirs.asked)) == (2, 1), "what may have been done is not done twice"


@pytest.mark.spec("RFC 9110 9.2.2")
def test_a_read_of_the_async_client_too(servers: tuple[Server, Server]) -> None:
    ours, theirs = servers

    async def ask() -> None:
        async with guarded_async_client([ours.url, theirs.url]) as client:
            assert (await client.get(f"{ours.url}/breaks")).status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(f"{theirs.url}/breaks")

    anyio.run(ask)
    assert (len(ours.asked), len(theirs.asked)) == (2, 1)


def test_a_redirect_is_an_answer_and_never_carries_a_token_away(servers: tuple[Server, Server]) -> None:
    ours, theirs = servers
    with guarded_client([ours.url]) as client:
        assert client.get(f"{ours.url}/away").status_code == 302
        with pytest.raises(OriginRefused):
            client.get(f"{ours.url}/away", follow_redirects=True, headers={"Authorization": "Bearer secret"})
    assert theirs.asked == []


def test_proxy_settings_of_the_environment_lead_nowhere(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = servers
    monkeypatch.setenv("HTTP_PROXY", theirs.url)
    monkeypatch.setenv("ALL_PROXY", theirs.url)
    with guarded_client([ours.url]) as client:
        client.get(ours.url)
    assert (len(ours.asked), theirs.asked) == (1, [])


def test_the_async_client_is_guarded_alike(servers: tuple[Server, Server]) -> None:
    ours, theirs = servers

    async def go() -> None:
        async with guarded_async_client([ours.url]) as client:
            assert (await client.get(ours.url)).status_code == 200
            with pytest.raises(OriginRefused):
                await client.get(theirs.url)
            with pytest.raises(OriginRefused):
                await client.get(f"{ours.url}/away", follow_redirects=True)

    anyio.run(go)
    assert theirs.asked == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://EHR.example/fhir?x=1", "https://ehr.example:443"),
        ("http://ehr.example:8080", "http://ehr.example:8080"),
        ("http://someone:secret@ehr.example/", "http://ehr.example:80"),
    ],
)
def test_an_origin_names_its_port_and_no_user(url: str, expected: str) -> None:
    assert origin(url) == expected == origin(httpx.URL(url))


@pytest.mark.parametrize("url", ["ftp://ehr.example/", "/relative", "file:///etc/passwd", "http://"])
def test_what_is_not_http_has_no_origin(url: str) -> None:
    with pytest.raises(OriginRefused):
        origin(url)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "0.0.0.0", "::", "224.0.0.1"],
)
def test_an_address_that_is_no_servers_is_refused(address: str) -> None:
    with pytest.raises(OriginRefused):
        check_address(address)


def test_a_name_that_leads_elsewhere_is_left_before_anything_is_sent(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: the origin is the configured one, the address that its name has now is not a server's."""
    ours, _ = servers
    monkeypatch.setattr(http_client, "is_no_server", lambda parsed: parsed.is_loopback)
    with guarded_client([ours.url]) as client, pytest.raises(OriginRefused):
        client.get(f"{ours.url}/metadata")

    async def ask() -> None:
        async with guarded_async_client([ours.url]) as client:
            with pytest.raises(OriginRefused):
                await client.get(f"{ours.url}/metadata")

    anyio.run(ask)
    assert not ours.asked
