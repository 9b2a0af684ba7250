"""Gateways in temporary folders, with a listener on a free port."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dicom_gateway.gateway import Gateway, open_gateway
from dicom_gateway.peer_register import provision
from dicom_gateway.peers import PeerEntry
from dicom_gateway.scp import Listener
from dicom_gateway.settings import Settings

MakeGateway = Callable[..., Gateway]


@contextmanager
def opened(folder: Path, **settings: object) -> Iterator[Gateway]:
    """A gateway that lives in a folder; everything else may be set."""
    url = f"sqlite:///{folder}/index.db"
    values = {"data_dir": folder, "database_url": url, "dimse_port": 0, "settle_seconds": 2, **settings}
    gateway = open_gateway(Settings(**values))  # type: ignore[arg-type]
    try:
        yield gateway
    finally:
        gateway.ingest.close()
        gateway.engine.dispose()


@contextmanager
def listening(gateway: Gateway) -> Iterator[Listener]:
    """Its listener."""
    listener = Listener(gateway)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()


def know(gateway: Gateway, **peer: object) -> None:
    """Register a peer."""
    entry = PeerEntry.model_validate({"host": "127.0.0.1", **peer})
    with gateway.engine.begin() as connection:
        provision(connection, [entry], gateway.settings.ae_title)


@pytest.fixture
def make_gateway(tmp_path: Path) -> Iterator[MakeGateway]:
    """Make gateways, each in a folder of its own under the test's."""
    with ExitStack() as stack:

        def make(name: str = "gateway", **settings: object) -> Gateway:
            return stack.enter_context(opened(tmp_path / name, **settings))

        yield make
