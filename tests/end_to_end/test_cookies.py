"""What a cross-site frame may keep: a partitioned cookie, and nothing else (the control cookie)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.end_to_end.browser import workstation

PARTITIONED = "__Host-kept=1; Secure; HttpOnly; SameSite=None; Path=/; Partitioned"
CONTROL = "control=1; Secure; HttpOnly; SameSite=None; Path=/"


class Frame(BaseHTTPRequestHandler):
    """Sets both cookies on `/`, remembers what comes back on `/next`."""

    cookies: list[str]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if self.path == "/":
            self.send_header("Set-Cookie", PARTITIONED)
            self.send_header("Set-Cookie", CONTROL)
        if self.path == "/next":
            self.cookies.append(self.headers.get("Cookie", ""))
        self.end_headers()
        self.wfile.write(b"<h1>arrived</h1>" if self.path == "/next" else b'<a href="/next">next</a>')

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def outer(inner_port: int) -> type[BaseHTTPRequestHandler]:
    class Outer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<iframe src="http://127.0.0.1:{inner_port}/"></iframe>'.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Outer


@pytest.mark.peer
def test_the_control_cookie_does_not_come_back_in_a_cross_site_frame(tmp_path: Path) -> None:
    Frame.cookies = []
    with served(Frame) as inner, served(outer(inner)) as top, workstation(tmp_path) as context:
        page = context.new_page()
        page.goto(f"http://localhost:{top}/")
        page.frame_locator("iframe").get_by_role("link").click()
        page.frame_locator("iframe").get_by_role("heading").wait_for()
        framed = Frame.cookies[-1]
        page.goto(f"http://127.0.0.1:{inner}/")
        page.get_by_role("link").click()
        page.wait_for_url("**/next")
        first_party = Frame.cookies[-1]
    assert framed == "__Host-kept=1"
    assert "control=1" in first_party
