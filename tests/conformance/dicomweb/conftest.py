"""One DICOMweb server for the tests: our own on a free port, or the one that `--base-url` names."""

from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette

from dicom_gateway.app import create_app
from dicom_gateway.gateway import Gateway, open_gateway
from tests.conformance.dicomweb.client import Server
from tests.dicom_gateway.web.conftest import TOKEN, settings_for
from tests.dicom_gateway.web.serving import serving


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that name another server."""
    group = parser.getgroup("dicomweb", "the DICOMweb conformance suite")
    group.addoption("--base-url", help="DICOMweb root of the server to test; by default our own is started")
    group.addoption(
        "--header", action="append", default=[], help='sent with each request, such as "Authorization: Bearer x"'
    )


@pytest.fixture(autouse=True)
def only_loopback(request: pytest.FixtureRequest) -> None:
    """Only a server that somebody names may lie elsewhere."""
    if not request.config.getoption("--base-url", None):
        request.getfixturevalue("only_loopback")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server under test; what a test stores stays, so each test has UIDs of its own."""
    base = request.config.getoption("--base-url", None)
    if base:
        pairs = (text.partition(":") for text in request.config.getoption("--header"))
        yield from connected(base, {name.strip(): value.strip() for name, _, value in pairs})
        return
    folder = tmp_path_factory.mktemp("archive")
    opened: list[Gateway] = []

    def make(base: str) -> Starlette:
        opened.append(open_gateway(settings_for(folder, mode="archive", web_token=TOKEN, base_url=base)))
        return create_app(opened[0])

    with serving(make) as base:
        yield from connected(f"{base}/dicom-web", {"Authorization": f"Bearer {TOKEN}"})
    opened[0].ingest.close()
    opened[0].engine.dispose()


def connected(base: str, headers: dict[str, str]) -> Iterator[Server]:
    """A client of the server."""
    with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=60, follow_redirects=True) as http:
        yield Server(http)
