"""Retention and legal hold: what is kept and why, what is deleted and what of it stays to be read."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, update

from dicom_gateway.app import create_app
from dicom_gateway.cli import dicom
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.keeping import keeping_trace
from dicom_gateway.index.models import instance, metadata
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.keeping import retention, verify_fhir
from dicom_gateway.keeping.holds import Act
from dicom_gateway.keeping.retention import Kept
from dicom_gateway.keeping.verify import Check
from konsil.database import reader
from tests.dicom_gateway.conftest import opened
from tests.dicom_gateway.keeping.test_verify import age
from tests.dicom_gateway.objects import file_of, slice_of
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import business_status

OLD = {"received_at": time.time() - 40 * 86_400}
ADMINISTRATOR = {"Authorization": "Bearer vance"}


@pytest.fixture(params=["sqlite", "postgresql"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A study that HIM staff accepted for a case, and a rule of 30 days."""
    settings: dict[str, object] = {"retention_days": 30}
    if request.param == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
    with staged(tmp_path, monkeypatch, **settings) as found:
        found.arrive()
        found.decide("accept")
        found.world.work(lambda: business_status(found.world.read(found.case)) == "ready-for-triage")
        age(found.world.gateway)
        yield found


def rows(gateway: Gateway) -> dict[str, int]:
    with reader(gateway.engine).connect() as connection:
        tables = [metadata.tables[name] for name in ("patient", "study", "series", "instance", "version")]
        return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}


def test_a_study_goes_when_age_case_and_hold_let_it_and_leaves_a_trace(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, gateway, exchange = scene.world, scene.world.gateway, scene.world.runner.exchange
    assert exchange is not None

    def kept() -> str | None:
        return retention.why_kept(exchange, gateway, scene.study)

    assert "less than 30 days" in (kept() or "")
    with gateway.engine.begin() as connection:
        connection.execute(update(instance).values(OLD))
    assert "case" in (kept() or "") and list(retention.due(exchange, gateway)) == []
    with serving(lambda base: create_app(gateway)) as base, httpx.Client(base_url=base, trust_env=False) as web:
        path = f"/dicom-web/studies/{scene.study}"
        assert web.delete(path).status_code == 401
        for name in ("weber", "silva", "ito", "ross"):
            assert web.delete(path, headers={"Authorization": f"Bearer {name}"}).status_code == 403
        assert web.delete("/dicom-web/studies/9.9", headers=ADMINISTRATOR).status_code == 404
        refused = web.delete(path, headers=ADMINISTRATOR)
        assert (refused.status_code, "case" in refused.json()["detail"]) == (409, True)
        monkeypatch.setattr(retention, "_is_open", lambda *rest: False)  # the case ended long ago
        hold = f"/api/holds/{scene.study}"
        assert web.request("PUT", hold, headers=ADMINISTRATOR, json={}).status_code == 400
        assert web.request("PUT", hold, headers={"Authorization": "Bearer silva"}, json={}).status_code == 403
        assert web.request("PUT", hold, headers=ADMINISTRATOR, json={"reason": "Letter of 3 May"}).status_code == 204
        (listed,) = web.get("/api/holds", headers=ADMINISTRATOR).json()["holds"]
        assert (listed["placed_by"], listed["reason"]) == ("Practitioner/vance", "Letter of 3 May")
        assert "hold" in web.delete(path, headers=ADMINISTRATOR).json()["detail"]
        with pytest.raises(Kept):
            retention.remove(exchange, gateway, Act(scene.study, "retention", "over"))
        assert web.request("DELETE", hold, headers=ADMINISTRATOR, json={"reason": "Settled"}).status_code == 204
        assert list(retention.due(exchange, gateway)) == [scene.study]
        assert web.delete(path, headers=ADMINISTRATOR).status_code == 204
        assert web.delete(path, headers=ADMINISTRATOR).status_code == 404
    assert rows(gateway) == dict.fromkeys(("patient", "study", "series", "instance", "version"), 0)
    world.work(lambda: not list((gateway.archive.root / "objects").glob("*/*.dcm")))
    world.work(lambda: world.search("ImagingStudy")[0]["status"] == "cancelled")
    (resource,) = world.search("ImagingStudy")
    assert "endpoint" not in resource and "deleted" in resource["note"][0]["text"]
    with reader(gateway.engine).connect() as connection:
        traces = connection.execute(select(keeping_trace).order_by(keeping_trace.c.id)).all()
    assert [row.what for row in traces] == ["hold", "lift", "delete"]
    objects = json.loads(traces[2].objects)
    assert traces[2].done_by == "Practitioner/vance" and len(objects) == 10  # five, original and coerced
    assert {kind for _, kind, *_ in objects} == {"original", "coerced"} and all(len(each[2]) == 64 for each in objects)
    world.work(lambda: len([e for e in world.search("AuditEvent?type=110103") if e["action"] == "D"]) == 1)
    assert list(Check(gateway).run()) + list(verify_fhir.check(exchange)) == []


def test_the_end_of_a_case_counts_and_a_server_that_is_away_deletes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = scene.world.runner.exchange
    assert exchange is not None
    task = scene.world.read(scene.case)
    for status, days_ago, is_open in [
        ("requested", 99, True),
        ("completed", 20, True),
        ("completed", 31, False),
        ("cancelled", 31, False),
    ]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days_ago * 86_400))
        shown = {**task, "status": status, "meta": {**task["meta"], "lastUpdated": moment}}
        monkeypatch.setattr(type(exchange.fhir), "read", lambda *rest, shown=shown: shown)
        assert retention._is_open(exchange, scene.case, 30) is is_open, (status, days_ago)

    def away(*rest: object) -> None:
        raise httpx.ConnectError("away")

    monkeypatch.setattr(type(exchange.fhir), "read", away)
    with scene.world.gateway.engine.begin() as connection:
        connection.execute(update(instance).values(OLD))
    with pytest.raises(httpx.ConnectError):
        retention.remove(exchange, scene.world.gateway, Act(scene.study, "retention", "over"))
    assert rows(scene.world.gateway)["instance"] == 5


def test_by_command_in_an_archive_and_what_two_studies_share_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "pacs", mode="archive", retention_days=30) as gateway:
        for study in ("1.2.3", "1.2.4"):
            file = file_of(slice_of(study, f"{study}.4", 1))
            gateway.ingest.accept(Incoming.from_file(file, Source()))
        gateway.ingest.replay()
        age(gateway)
        for name, value in (
            ("DATA_DIR", gateway.settings.data_dir),
            ("DATABASE_URL", gateway.settings.database_url),
            ("MODE", "archive"),
            ("RETENTION_DAYS", "30"),
        ):
            monkeypatch.setenv(f"KONSIL_DICOM_{name}", str(value))

        def command(*words: str) -> str:
            result = CliRunner().invoke(dicom, list(words))
            return f"{result.exit_code} {result.output}"

        assert command("retain") == "0 0 may be deleted\n"
        with gateway.engine.begin() as connection:
            connection.execute(update(instance).values(OLD))
        assert command("hold", "place", "1.2.3", "--reason", "audit").startswith("0 ")
        assert "1.2.3 " in command("hold", "list")
        assert command("retain") == "0 1.2.4\n1 may be deleted\n"
        assert command("retain", "--delete") == "0 1.2.4\n1 deleted\n"
        assert rows(gateway) == {"patient": 1, "study": 1, "series": 1, "instance": 1, "version": 1}
        with pytest.raises(Kept, match="hold"):
            retention.remove(None, gateway, Act("1.2.3", "x", "y"))
        assert command("hold", "lift", "1.2.3", "--reason", "done").startswith("0 ")
        assert command("hold", "lift", "1.2.3", "--reason", "done").startswith("1 ")
