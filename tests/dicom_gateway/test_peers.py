"""Peers come and go by their file; none is ever deleted."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dicom_gateway import peers
from dicom_gateway.cli import dicom
from dicom_gateway.errors import NotFound
from dicom_gateway.gateway import open_gateway
from dicom_gateway.settings import Settings

OLD = {"name": "old", "ae_title": "OLD"}
NEW = {"name": "new", "ae_title": "NEW"}


def test_a_peer_that_the_file_lacks_is_deactivated_on_request_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"MODE": "archive", "DATA_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/index.db"}
    for name, value in values.items():
        monkeypatch.setenv(f"KONSIL_DICOM_{name}", value)
    file = tmp_path / "peers.json"

    def provision(*entries: dict[str, str], options: tuple[str, ...] = ()) -> str:
        file.write_text(json.dumps({"peers": entries}))
        told = CliRunner().invoke(dicom, ["provision", *options, str(file)], catch_exceptions=False)
        assert told.exit_code == 0, told.output
        return told.stdout

    provision(OLD, NEW)
    assert provision(NEW) == "1 peers\n"
    gateway = open_gateway(Settings())
    with gateway.engine.connect() as connection:
        assert peers.by_calling(connection, "OLD", "127.0.0.1") is not None
    assert provision(NEW, options=("--deactivate-others",)) == "deactivated: old\n1 peers\n"
    with gateway.engine.connect() as connection:
        assert peers.by_calling(connection, "OLD", "127.0.0.1") is None
        with pytest.raises(NotFound):
            peers.by_name(connection, "old")
    provision(OLD)
    with gateway.engine.connect() as connection:
        assert [peer.name for peer in peers.all_peers(connection)] == ["new", "old"]
    gateway.ingest.close()
    gateway.engine.dispose()
