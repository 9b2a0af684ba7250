"""`konsil fhir count` as an administrator runs it."""

from pathlib import Path

import anyio.to_thread
import pytest
from click.testing import CliRunner

from fhir_server.cli import fhir
from tests.conformance.chart import CHART, put
from tests.fhir_server.node import ADMINISTRATOR, running


@pytest.mark.anyio
async def test_count_says_how_many_there_are_of_each_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/fhir.db"
    async with running(url) as server, server.client(ADMINISTRATOR) as client:
        await put(client, CHART)
    monkeypatch.setenv("KONSIL_FHIR_DATABASE_URL", url)
    done = await anyio.to_thread.run_sync(CliRunner().invoke, fhir, ["count"])
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["4", "Observation"] in lines and ["3", "Patient"] in lines
    assert lines[-1] == [str(len(CHART)), "altogether"]
