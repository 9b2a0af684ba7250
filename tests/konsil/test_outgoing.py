"""Everything that leaves goes by `konsil.http_client`: whoever opens a connection otherwise is named here, with why."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("konsil", "fhir_server", "smart_app", "dicom_gateway")
CALLS = {
    "httpx": {"Client", "AsyncClient", "get", "post", "put", "patch", "delete", "head", "options", "request", "stream"},
    "socket": {"create_connection"},
    "asyncio": {"open_connection"},
    "smtplib": {"SMTP", "SMTP_SSL"},
}
MODULES = {"urllib.request", "http.client", "requests", "aiohttp", "httpcore", "ftplib", "telnetlib", "urllib3"}
KNOWN = {
    "konsil/http_client.py": "the guard itself",
    "konsil/probe.py": "asks whether a process of ours answers, at the address of its own settings",
    "fhir_server/auth/postman.py": "the mail server of the settings, TLS checked",
    "dicom_gateway/dimse/upper_layer/requestor.py": "DICOM peers that an administrator entered",
}


def opened(source: str) -> Iterator[str]:
    """What in a file opens connections of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module for _ in node.names if node.module in MODULES)
            yield from (f"{node.module}.{each.name}" for each in node.names if each.name in CALLS.get(node.module, ()))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            holder = node.func.value
            if isinstance(holder, ast.Name) and node.func.attr in CALLS.get(holder.id, ()):
                yield f"{holder.id}.{node.func.attr}"


def test_nothing_leaves_but_by_the_guarded_client() -> None:
    files = [
        path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "node_modules" not in path.parts
    ]
    found = {str(path.relative_to(ROOT)) for path in files if any(opened(path.read_text(encoding="utf-8")))}
    assert len(files) > 300
    assert found == set(KNOWN)


def test_the_scan_sees_each_way() -> None:
    sources = (
        "import httpx\nhttpx.Client()",
        "from httpx import AsyncClient",
        "import urllib.request",
        "from http.client import HTTPSConnection",
        "import socket\nsocket.create_connection(('x', 1))",
        "import asyncio\nasyncio.open_connection('x', 1)",
    )
    assert all(any(opened(source)) for source in sources)
    assert not any(opened("import httpx\nhttpx.URL('x')"))
