"""Bulk load: found by search like what came by REST; killed, it goes on; what cannot be loaded is named by line."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fhir_server.admin import sources
from fhir_server.admin.bulk_load import Load, Loaded, bulk_load
from fhir_server.settings import Settings
from tests.fhir_server.node import ADMINISTRATOR, running

COUNT = 2_500
URN = "urn:uuid:5b2b7a4e-6f1c-4d52-9f5e-0d8f6f0b1c11"
BUNDLE = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": URN,
            "resource": {"resourceType": "Patient", "name": [{"family": "Bündel"}]},
            "request": {"method": "POST", "url": "Patient"},
        },
        {
            "resource": {
                "resourceType": "Observation",
                "id": "of-bundle",
                "status": "final",
                "code": {"text": "weight"},
                "subject": {"reference": URN},
            },
            "request": {"method": "PUT", "url": "Observation/of-bundle"},
        },
        {"request": {"method": "DELETE", "url": "Patient/x"}},
    ],
}


def observation(n: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{n}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": f"2024-01-{1 + n % 28:02d}",
        "valueQuantity": {"value": n, "system": "http://unitsofmeasure.org", "code": "kg"},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Observations come before their patient in the folder; two lines are wrong."""
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [json.dumps(observation(n)) for n in range(30)]
    lines[3:3] = ["{broken", json.dumps({"resourceType": "Observation", "id": "bad", "status": "final"})]
    (folder / "Observation.ndjson").write_text("\n".join(lines), encoding="utf-8")
    (folder / "Patient.ndjson").write_text('{"resourceType":"Patient","id":"p1","name":[{"family":"Müller"}]}\n')
    (folder / "bundle.json").write_text(json.dumps(BUNDLE), encoding="utf-8")
    return folder


def load(settings: Settings, folder: Path, processes: int = 1) -> tuple[Loaded, list[dict[str, Any]]]:
    errors = io.StringIO()
    loaded = bulk_load(settings, Load([folder], "Organization/here", processes), errors, lambda done, total: None)
    return loaded, [json.loads(line) for line in errors.getvalue().splitlines()]


def test_loads_ndjson_and_bundles_and_names_what_it_cannot(settings: Settings, folder: Path) -> None:
    loaded, problems = load(settings, folder)
    assert (loaded.created, loaded.refused) == (33, 3)
    assert sorted((Path(p["file"]).name, p["line"], p["expression"]) for p in problems) == [
        ("Observation.ndjson", 4, ""),
        ("Observation.ndjson", 5, "Observation"),
        ("bundle.json", 1, "Bundle.entry[2]"),
    ]
    assert "Müller" not in json.dumps(problems)
    again, _ = load(settings, folder, 2)
    assert (again.created, again.updated, again.unchanged) == (0, 0, 33)


@pytest.mark.anyio
async def test_what_was_loaded_is_found_like_what_came_by_rest(settings: Settings, folder: Path) -> None:
    import anyio

    await anyio.to_thread.run_sync(load, settings, folder)
    async with running(settings.database_url) as server, server.client(ADMINISTRATOR) as client:
        found = (
            await client.get(
                "/Observation?patient.name=muller&value-quantity=gt20000|http://unitsofmeasure.org|g&_sort=-date"
            )
        ).json()
        assert found["total"] == 9
        bundled = (await client.get("/Observation?subject.name=bundel")).json()
        assert [entry["resource"]["id"] for entry in bundled["entry"]] == ["of-bundle"]
        changed = observation(5) | {"status": "amended"}
        assert (await client.put("/Observation/o5", json=changed)).json()["meta"]["versionId"] == "2"


def test_goes_on_after_a_kill(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "many.ndjson"
    long = {"note": [{"text": "x" * 2000}]}
    file.write_text("\n".join(json.dumps(observation(n) | long) for n in range(COUNT)), encoding="utf-8")
    environment = os.environ | {
        "KONSIL_FHIR_DATABASE_URL": settings.database_url,
        "KONSIL_FHIR_BASE_URL": settings.base_url,
    }
    command = [sys.executable, "-m", "konsil", "fhir", "bulk-load", "--processes", "1", str(file)]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True)
    watcher = Watcher(settings.database_url)
    while process.poll() is None and not watcher.count():
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = watcher.count()
    loaded, problems = load(settings, file)
    assert not problems
    assert loaded.created + before == watcher.count() == COUNT
    assert loaded.resumed > 0
    watcher.engine.dispose()


class Watcher:
    """Counts resources from outside."""

    def __init__(self, url: str) -> None:
        from konsil.database import reader, sync_engine

        self.engine = reader(sync_engine(url))

    def count(self) -> int:
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError

        with self.engine.connect() as connection:
            try:
                return int(connection.execute(text("SELECT count(*) FROM resource")).scalar_one())
            except DBAPIError:
                return 0


def test_pieces_meet_and_count_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE_BYTES", 50)
    file = tmp_path / "x.ndjson"
    lines = [json.dumps({"resourceType": "Basic", "id": str(n)}) for n in range(40)]
    file.write_text("\n".join(lines), encoding="utf-8")
    found = [each for piece in sources.pieces_of([file]) for each in piece.documents()]
    assert found == [(n, line.encode()) for n, line in enumerate(lines, 1)]
