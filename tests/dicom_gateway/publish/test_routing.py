"""Rules: who may change them, what they say of a study, and what then leaves for DCMTK's storescp."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless
from sqlalchemy import select

from dicom_gateway import hours
from dicom_gateway.app import create_app
from dicom_gateway.cli import dicom
from dicom_gateway.dimse.store import Sent
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.exchange import forwarding
from dicom_gateway.index.query import Place, locate
from dicom_gateway.index.upsert import set_state
from dicom_gateway.peer_register import By, Unsuitable
from dicom_gateway.route import paced
from dicom_gateway.routing import plan, register
from dicom_gateway.routing.entry import Facts, Rule, unmet
from dicom_gateway.routing.outgoing import Change, changed
from dicom_gateway.workstation import hurry
from konsil.database import reader
from tests.dicom_gateway.conftest import know, opened
from tests.dicom_gateway.objects import TESTFILES, file_of, slice_of
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.test_ingest import put
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import CODES, business_status, coded
from tests.peers import storescp

NOON, NIGHT = (datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (12, 2))  # a Monday
CASE = {"id": "c", "status": "accepted", "owner": {"reference": "Practitioner/ito"}, "priority": "urgent"}


@pytest.mark.parametrize(
    ("spans", "day", "hour", "inside", "hours_left"),
    [
        ([], 2, 12, True, 0),
        (["08:00-17:00"], 2, 12, True, 0),
        (["08:00-17:00"], 2, 17, False, 15),
        (["18:00-06:00"], 2, 2, True, 0),
        (["18:00-06:00"], 2, 12, False, 6),
        (["fri 18:00-06:00"], 7, 5, True, 0),
        (["fri 18:00-06:00"], 6, 5, False, 13),
        (["sat,sun 00:00-24:00"], 8, 23, True, 0),
    ],
)
def test_hours(spans: list[str], day: int, hour: int, inside: bool, hours_left: int) -> None:
    moment = datetime(2026, 3, day, hour, tzinfo=UTC)
    assert hours.within(hours.checked(spans), moment) is inside
    assert hours.seconds_until(spans, moment) == hours_left * 3600


@pytest.fixture(params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    """One released study of CT and SR, which came from St. Anna."""
    url = {"database_url": request.getfixturevalue("postgresql_url")} if request.param == "postgresql" else {}
    with opened(tmp_path / "gateway", **url) as made:
        for number, modality in enumerate(("CT", "SR"), 1):
            put(made, file_of(slice_of("1.2.3", f"1.2.3.{number}", number, Modality=modality)), peer="stanna")
        with made.engine.begin() as connection:
            set_state(connection, [item.sop_instance_uid for item in here(connection)], "released")
        yield made


def here(connection: Any) -> list[Any]:
    return locate(connection, Place("1.2.3"), ("quarantined", "released"))


@pytest.mark.parametrize(
    ("conditions", "lacking"),
    [
        ({}, []),
        ({"match": {"Modality": "CT", "PatientSex": "F", "StudyDescription": "*chest*"}}, []),
        ({"match": {"Modality": "MR"}}, ["match"]),
        ({"match": {"PatientBirthDate": "19800101-"}}, ["match"]),
        ({"sources": ["stanna", "other"]}, []),
        ({"sources": ["other"]}, ["sources"]),
        ({"case": {"priority": ["urgent", "stat"], "owner": ["Practitioner/ito"]}}, []),
        ({"case": {"priority": ["routine"]}}, ["case"]),
        ({"hours": ["18:00-06:00"]}, ["hours"]),
        ({"when": "assigned"}, ["when"]),
    ],
)
def test_conditions(gateway: Gateway, conditions: dict[str, Any], lacking: list[str]) -> None:
    """Each condition alone; a study of which nothing is released meets no rule, whatever it says."""
    register.add(gateway.engine, By("test"), {"name": "one", "to": ["reading"], **conditions})
    with gateway.engine.begin() as connection:
        (rule,) = register.active(connection)
        assert unmet(connection, rule, Facts("1.2.3", "released", CASE, NOON)) == lacking
        set_state(connection, [item.sop_instance_uid for item in here(connection)], "quarantined")
        assert "released" in unmet(connection, rule, Facts("1.2.3", rule.when, CASE, NIGHT))


def test_what_a_dry_run_says(gateway: Gateway) -> None:
    """Every rule, in order; a reader's workstations for whom the case was assigned to alone."""
    know(gateway, name="reading", ae_title="READING", can=["store"])
    know(gateway, name="desk", ae_title="DESK", can=["store"], readers=["Practitioner/ito"])
    for values in (
        {"name": "second", "position": 20, "to": ["reading", "nobody"]},
        {"name": "first", "position": 10, "when": "assigned", "to_reader": True},
        {"name": "never", "position": 30, "to": ["reading"], "match": {"Modality": "US"}},
    ):
        register.add(gateway.engine, By("test"), values)
    with reader(gateway.engine).begin() as connection:
        for status, expected in (("accepted", ["desk"]), ("received", [])):
            told = plan.dry_run(connection, "1.2.3", [{**CASE, "status": status}], NOON)["rules"]
            assert [(each["rule"], each["to"]) for each in told] == [
                ("first", expected),
                ("second", ["reading"]),
                ("never", []),
            ]
            assert told[2]["unmet"] == ["match"] and told[0]["case"] == "Task/c"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"to": ["x"], "match": {"WindowCenter": "1"}},
        {"to": ["x"], "hours": ["late"]},
        {"to": ["x"], "transfer_syntax": "JPEGBaseline8Bit"},
        {"to": ["x"], "coerce": {"PatientID": "other"}},
        {"to": ["x"], "coerce": {"SOPInstanceUID": "1.2"}},
        {"to": ["x"], "coerce": {"InstitutionName": "x" * 65}},
    ],
)
def test_rules_that_are_not_taken(tmp_path: Path, values: dict[str, Any]) -> None:
    with opened(tmp_path / "gateway") as made, pytest.raises(Unsuitable):
        register.add(made.engine, By("test"), {"name": "one", **values})


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A study that has arrived."""
    with staged(tmp_path, monkeypatch) as found:
        found.arrive()
        yield found


def records(scene: Scene) -> dict[str, tuple[str, str]]:
    with reader(scene.world.gateway.engine).begin() as connection:
        rows = connection.execute(forwarding.select()).all()
    return {row.peer: (row.rule, row.state) for row in rows}


def waits(scene: Scene) -> str | None:
    with reader(scene.world.gateway.engine).begin() as connection:
        return connection.execute(select(forwarding.c.cause)).scalar()


def closed() -> list[str]:
    return [f"{hours.DAYS[(datetime.now(UTC).weekday() + 3) % 7]} 00:00-24:00"]


def test_a_slow_line_is_not_filled(make_gateway: Any) -> None:
    gateway = make_gateway()
    put(gateway, file_of(slice_of("1.2.3", "1.2.3.4", 1)))
    with reader(gateway.engine).begin() as connection:
        item, sent = here(connection)[0], Sent("1.2", 0)
    renewed: list[None] = []
    began = time.monotonic()
    assert list(paced([(item, sent)] * 3, 100, lambda: renewed.append(None))) == [(item, sent)] * 3
    assert time.monotonic() - began >= 3 * item.size / 100_000 and len(renewed) == 3
    assert list(paced([(item, sent)], 0, lambda: renewed.append(None))) == [(item, sent)] and len(renewed) == 3


@pytest.mark.peer
def test_a_rule_sends_coerced_and_transcoded_copies_and_a_case_goes_ahead_to_its_reader(
    scene: Scene, tmp_path: Path
) -> None:
    """The archive's own objects stay; pixels are the same; to the reader nothing goes before the case is accepted."""
    gateway = scene.world.gateway
    rules = [
        {
            "name": "night",
            "to": ["reading"],
            "match": {"Modality": "CT"},
            "transfer_syntax": "JPEG2000Lossless",
            "coerce": {"InstitutionName": "Zürich"},
        },
        {"name": "plain", "position": 200, "to": ["reading"]},
        {"name": "ahead", "when": "assigned", "to_reader": True, "coerce": {"StudyDescription": "for reading"}},
    ]
    for rule in rules:
        register.add(gateway.engine, By("test"), rule)
    with storescp(tmp_path / "reading", "READING") as room, storescp(tmp_path / "desk", "DESK") as desk:
        know(gateway, name="reading", ae_title="READING", port=room.port, can=["store"], hours=closed())
        know(gateway, name="desk", ae_title="DESK", port=desk.port, can=["store"], readers=["Practitioner/ito"])
        scene.decide("accept")
        scene.world.work(lambda: "only" in (waits(scene) or ""))
        assert records(scene) == {"reading": ("night", "due")} and not room.files()
        know(gateway, name="reading", ae_title="READING", port=room.port, can=["store"])
        with gateway.engine.begin() as connection:
            hurry(connection, "reading")
        scene.world.work(lambda: records(scene) == {"reading": ("night", "sent")})
        compare(gateway, [dcmread(path) for path in room.files()])
        scene.world.work(lambda: business_status(scene.world.read(scene.case)) == "ready-for-triage")
        status, owner = coded(f"{CODES}/business-status", "offered"), {"reference": "Practitioner/ito"}
        scene.world.change("okafor", scene.case, status="received", businessStatus=status, owner=owner)
        scene.world.runner.run_due()
        assert not desk.files()
        status = coded(f"{CODES}/business-status", "assigned")
        scene.world.change("ito", scene.case, status="accepted", businessStatus=status)
        scene.world.work(lambda: records(scene).get("desk") == ("ahead", "sent"))
        assert {str(dcmread(path).StudyDescription) for path in desk.files()} == {"for reading"}
        assert len(desk.files()) == 5
    assert not list((gateway.archive.root / "outgoing").iterdir())


def compare(gateway: Gateway, received: list[Dataset]) -> None:
    """What was received against what is kept."""
    with reader(gateway.engine).begin() as connection:
        kept = {item.sop_instance_uid: item for item in locate(connection, Place())}
    assert len(received) == len(kept) == 5
    for ds in received:
        own = dcmread(gateway.archive.path(kept[ds.SOPInstanceUID].object_key))
        assert ds.file_meta.TransferSyntaxUID == JPEG2000Lossless
        assert (ds.pixel_array == own.pixel_array).all()
        assert (ds.InstitutionName, ds.SpecificCharacterSet) == (
            "Zürich",
            "ISO_IR 192",
        ) and "InstitutionName" not in own
        assert [item.ReasonForTheAttributeModification for item in ds.OriginalAttributesSequence] == ["COERCE"] * 2
        assert ds.OriginalAttributesSequence[1].ModifiedAttributesSequence[0].InstitutionName == ""


@pytest.mark.parametrize(
    "name", ["JPEG2000.dcm", "SC_rgb_rle.dcm", "image_dfl.dcm", "reportsi.dcm", "ExplVR_BigEnd.dcm"]
)
def test_other_objects_go_out_readable(make_gateway: Any, name: str) -> None:
    """Compressed, deflated, without pixels, big-endian: all become implicit little endian."""
    gateway = make_gateway()
    put(gateway, (TESTFILES / name).read_bytes())
    with reader(gateway.engine).begin() as connection:
        (item,) = locate(connection, Place(), ("quarantined",))
    rule = Rule(name="r", to=["x"], transfer_syntax="ImplicitVRLittleEndian", coerce={"InstitutionName": "There"})
    before = dcmread(TESTFILES / name)
    with changed(gateway.archive, [item], Change(rule, NOON, "KONSIL")) as (archive, (copy,)):
        after = dcmread(archive.path(copy.object_key))
        assert after.InstitutionName == "There" and after.SOPInstanceUID == before.SOPInstanceUID
        assert after.file_meta.TransferSyntaxUID == copy.transfer_syntax_uid
        assert copy.transfer_syntax_uid == ImplicitVRLittleEndian
        if "PixelData" in before:
            assert (after.pixel_array == before.pixel_array).all()


RULES = "/api/administration/rules"


def bearer(name: str, version: int | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"} | ({} if version is None else {"If-Match": f'W/"{version}"'})


def test_rules_by_http_and_by_command(scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gateway = scene.world.gateway
    with (
        serving(lambda base: create_app(gateway)) as base,
        httpx.Client(base_url=base, trust_env=False, timeout=30) as web,
    ):
        for name, status in (("silva", 403), ("ross", 403)):
            assert web.get(RULES, headers=bearer(name)).status_code == status
            assert web.post(RULES, headers=bearer(name), json={}).status_code == status
        refused = web.post(RULES, headers=bearer("vance"), json={"name": "one"})
        assert (refused.status_code, [*refused.json()["fields"]]) == (400, ["to"])
        added = web.post(RULES, headers=bearer("vance"), json={"name": "one", "to": ["outside"]})
        assert (added.status_code, added.json()["version"]) == (201, 1), added.text
        path = f"{RULES}/one"
        assert web.put(path, headers=bearer("vance", 1), json={"to": ["a"]}).json()["version"] == 2
        assert web.put(path, headers=bearer("vance", 1), json={"to": ["b"]}).status_code == 412
        asked = {"study": scene.study, "case": scene.case}
        told = web.get("/api/administration/routing", params=asked, headers=bearer("vance")).json()["rules"]
        assert told[0]["unmet"][0] == "released", "it waits in quarantine"
        assert web.post(f"{path}/deactivate", headers=bearer("vance", 2)).json()["active"] is False
        changes = web.get(path, headers=bearer("vance")).json()["changes"]
        assert [(each["what"], each["by"]) for each in changes] == [
            ("deactivated", "Vance"),
            ("changed", "Vance"),
            ("added", "Vance"),
        ]
    assert any(
        "rule one added" in event.get("outcomeDesc", "") for event in scene.world.search("AuditEvent?_count=200")
    )
    monkeypatch.setenv("KONSIL_DICOM_DATA_DIR", str(gateway.settings.data_dir))
    monkeypatch.setenv("KONSIL_DICOM_DATABASE_URL", gateway.settings.database_url)
    file = tmp_path / "provision.json"
    file.write_text(json.dumps({"peers": [], "rules": [{"name": "two", "to": ["x"]}]}))
    assert "0 peers, 1 rules" in command("provision", str(file))
    command("rule", "add", "three", "--set", "to=x y", "--set", 'match={"Modality": "CT"}', "--set", "position=5")
    command("rule", "change", "two", "--set", "hours=18:00-06:00")
    command("rule", "deactivate", "two")
    command("rule", "activate", "two")
    listed = command("rule", "list").splitlines()
    assert [line.split()[0] for line in listed] == ["name", "three", "one", "two"]
    assert [each["rule"] for each in json.loads(command("rule", "try", scene.study))["rules"]] == ["three", "two"]
    assert [each["what"] for each in json.loads(command("rule", "show", "two"))["changes"]][-1] == "added"


def command(*words: str) -> str:
    result = CliRunner().invoke(dicom, words)
    assert result.exit_code == 0, result.output
    return result.stdout
