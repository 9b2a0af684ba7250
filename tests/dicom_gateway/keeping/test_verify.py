"""Every kind of damage done to a gateway with a published study: found, named, and mended as far as it can be."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select, update

from dicom_gateway import journal
from dicom_gateway.cli import dicom
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import instance, version
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.keeping import torn, verify_fhir
from dicom_gateway.keeping.findings import Finding, Kind
from dicom_gateway.keeping.verify import Check
from konsil.database import reader
from tests.dicom_gateway.conftest import opened
from tests.dicom_gateway.objects import file_of, slice_of
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.world import Resource, business_status


@pytest.fixture(params=["sqlite", "postgresql"])
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A study of five instances that HIM staff accepted."""
    settings: dict[str, object] = {}
    if request.param == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
    with staged(tmp_path, monkeypatch, **settings) as found:
        found.arrive()
        found.decide("accept")
        found.world.work(lambda: business_status(found.world.read(found.case)) == "ready-for-triage")
        age(found.world.gateway)
        yield found


def age(gateway: Gateway) -> None:
    """What lies in the archive came long ago."""
    for path in (gateway.archive.root / "objects").glob("*/*.dcm"):
        os.utime(path, (time.time() - 3600,) * 2)


def found_in(scene: Scene, *, repair: bool = False) -> set[tuple[Kind, bool]]:
    found: list[Finding] = list(Check(scene.world.gateway, repair).run())
    found += verify_fhir.check(scene.world.runner.exchange, repair=repair)  # type: ignore[arg-type]
    return {(each.kind, each.mended) for each in found}


def damage(scene: Scene) -> None:
    """One of each kind."""
    gateway, world = scene.world.gateway, scene.world
    with reader(gateway.engine).connect() as connection:
        joined = select(version).join(instance, version.c.instance_id == instance.c.id)
        coerced = connection.execute(joined.where(version.c.id == instance.c.version_id).order_by(version.c.id)).all()
        originals = connection.execute(joined.where(version.c.kind == "original").order_by(version.c.id)).all()
    gateway.archive.path(originals[0].object_key).unlink()
    changed = gateway.archive.path(originals[1].object_key)
    changed.chmod(0o600)
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    gateway.archive.put([file_of(slice_of("1.2.3", "1.2.3.4", 1))])  # unknown to the index
    age(gateway)
    with gateway.engine.begin() as connection:
        for row, values in ((coerced[2], {"version_id": None}), (coerced[3], {"attributes": "{}"})):
            connection.execute(update(instance).where(instance.c.id == row.instance_id).values(values))
    (study,) = world.search("ImagingStudy")
    world.change("root", f"ImagingStudy/{study['id']}", series=study["series"][:1])
    stranger: Resource = {name: study[name] for name in ("resourceType", "status", "subject", "endpoint")}
    stranger["identifier"] = [{"system": "urn:dicom:uid", "value": "urn:oid:9.9.9"}]
    assert world.call("root", "POST", "ImagingStudy", stranger).status_code == 201


def test_a_whole_gateway_agrees_and_each_damage_is_found_and_mended_but_what_is_lost(scene: Scene) -> None:
    assert found_in(scene) == set()
    damage(scene)
    expected = {Kind.OBJECT_MISSING, Kind.OBJECT_CHANGED, Kind.OBJECT_UNKNOWN, Kind.INSTANCE_WITHOUT_VERSION}
    expected |= {Kind.INDEX_DIFFERS, Kind.FHIR_DIFFERS, Kind.FHIR_UNKNOWN}
    assert found_in(scene) == {(kind, False) for kind in expected}
    lost = {(kind, False) for kind in (Kind.OBJECT_MISSING, Kind.OBJECT_CHANGED, Kind.FHIR_UNKNOWN)}
    mended = {(kind, True) for kind in expected - {kind for kind, _ in lost}}
    assert found_in(scene, repair=True) == lost | mended
    left = found_in(scene, repair=True)
    assert lost <= left and left - lost <= {(Kind.INDEX_DIFFERS, True)}
    assert found_in(scene) == lost


def test_a_study_that_fhir_has_lost_is_published_again(scene: Scene) -> None:
    world = scene.world
    (study,) = world.search("ImagingStudy")
    answer = world.call("root", "DELETE", f"ImagingStudy/{study['id']}")
    if answer.status_code >= 400:  # the case names it: it is hidden by another identifier instead
        hidden = [{"system": "urn:dicom:uid", "value": "urn:oid:1.9"}]
        world.change("root", f"ImagingStudy/{study['id']}", identifier=hidden, status="cancelled")
    assert found_in(scene) == {(Kind.FHIR_MISSING, False)}
    assert found_in(scene, repair=True) == {(Kind.FHIR_MISSING, True)}
    assert found_in(scene) == set()


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_torn_journal_gives_back_what_is_whole_in_it(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit turned on the disk in the middle of a segment: what was promised behind it is not lost."""
    settings: dict[str, object] = {"mode": "archive"}
    if database == "postgresql":
        settings["database_url"] = request.getfixturevalue("postgresql_url")
    with opened(tmp_path / "gateway", **settings) as gateway:
        for number in range(1, 4):
            file = file_of(slice_of("1.2.3", "1.2.3.4", number))
            gateway.ingest.accept(Incoming.from_file(file, Source()))
        gateway.ingest.close()
        (segment,) = journal.segments(gateway.settings.data_dir / "journal")
        content = bytearray(segment.read_bytes())
        content[len(content) // 2] ^= 1
        segment.write_bytes(content)
        assert gateway.ingest.replay() == 1 and len(torn.torn(gateway)) == 1
        monkeypatch.setenv("KONSIL_DICOM_DATA_DIR", str(gateway.settings.data_dir))
        monkeypatch.setenv("KONSIL_DICOM_DATABASE_URL", gateway.settings.database_url)
        monkeypatch.setenv("KONSIL_DICOM_MODE", "archive")
        shown = CliRunner().invoke(dicom, ["status"])
        assert "1 torn journal parts" in shown.output
        assert CliRunner().invoke(dicom, ["verify"]).exit_code == 1
        repaired = CliRunner().invoke(dicom, ["verify", "--repair"])
        assert repaired.exception is None, repr(repaired.exception) + repaired.output
        assert (repaired.exit_code, "journal-torn: 1, 1 mended" in repaired.output) == (0, True)
        with reader(gateway.engine).connect() as connection:
            assert connection.execute(select(func.count()).select_from(instance)).scalar() == 2
        assert "Everything agrees." in CliRunner().invoke(dicom, ["verify"]).output
        (kept,) = torn.recovered(gateway)
        assert torn.remove_old(gateway) == 0
        os.utime(kept, (time.time() - 40 * 86_400,) * 2)
        assert torn.remove_old(gateway) == 1 and torn.recovered(gateway) == []
