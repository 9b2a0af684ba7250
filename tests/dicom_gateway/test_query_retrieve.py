"""Query and retrieval with DCMTK and Orthanc in both roles: every model and level, refusals that say what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from sqlalchemy.exc import OperationalError

from dicom_gateway.dimse import query_scp, retrieve_scp
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.query import Place, locate
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.part10 import read_meta
from dicom_gateway.scp import Listener
from konsil.database import reader
from tests.dicom_gateway.conftest import MakeGateway, know, listening, opened
from tests.dicom_gateway.objects import file_of, slice_of, write_study
from tests.dicom_gateway.test_retrieve import ask as fetch
from tests.dicom_gateway.test_retrieve import work
from tests.peers import StoreScp, dcmqrscp, orthanc, run, storescp

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

FIND = {"P": "1.2.840.10008.5.1.4.1.2.1.1", "S": "1.2.840.10008.5.1.4.1.2.2.1"}
GET, PRIVATE, PRIVATE_SYNTAX = "1.2.840.10008.5.1.4.1.2.2.3", "1.2.826.0.1.3680043.9.7", "1.2.826.0.1.3680043.9.8"
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


@dataclass(frozen=True)
class Archive:
    """An archive of ours with two series of one patient, one study of another, and where its caller takes objects."""

    gateway: Gateway
    listener: Listener
    destination: StoreScp
    study: str
    series: str
    instances: tuple[str, ...]

    def dcmtk(self, program: str, model: str, *keys: str) -> str:
        """What a program of DCMTK's tells, statuses and comments with it."""
        options = [part for key in keys for part in ("-k", key)]
        ends = ["-aet", "STORESCU", "-aec", "PACS", "127.0.0.1", str(self.listener.port)]
        done = run([program, "-d", f"-{model}", *options, *ends], check=False)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    study, files = write_study(folder / "study", [3, 2])
    write_study(folder / "other", [1], PatientID="2", PatientName="Other^One")
    with opened(folder, mode="archive", ae_title="PACS") as gateway, storescp(folder / "to", "STORESCU") as destination:
        know(gateway, name="sender", ae_title="STORESCU", port=destination.port)
        for path in folder.rglob("*.dcm"):
            gateway.ingest.accept(Incoming.from_file(path.read_bytes(), Source()))
        gateway.ingest.replay()
        first = dcmread(files[0])
        uids = tuple(str(dcmread(path).SOPInstanceUID) for path in files)
        with listening(gateway) as listener:
            yield Archive(gateway, listener, destination, study, str(first.SeriesInstanceUID), uids)


@pytest.mark.spec("PS3.4 C.4.1, C.6.1, C.6.2")
def test_find_in_both_models_at_all_levels_also_relational(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    study, series = f"StudyInstanceUID={archive.study}", f"SeriesInstanceUID={archive.series}"
    expected = {
        ("PATIENT", "PatientID=X-4711"): 1,
        ("STUDY", "PatientID=X-4711", "StudyInstanceUID"): 1,
        ("SERIES", "PatientID=X-4711", study, "SeriesInstanceUID"): 2,
        ("IMAGE", "PatientID=X-4711", study, series, "SOPInstanceUID"): 3,
        ("SERIES", "PatientID=X-4711", "SeriesInstanceUID"): 2,  # relational from here on
        ("IMAGE", "SOPInstanceUID"): 6,
        ("IMAGE", f"SOPInstanceUID={archive.instances[0]}\\{archive.instances[4]}", "PatientName"): 2,
        ("IMAGE", "PatientName=OTHER*", "SOPInstanceUID"): 1,
    }
    for model in FIND:
        for (level, *keys), hits in expected.items():
            told = archive.dcmtk("findscu", model, f"QueryRetrieveLevel={level}", *keys)
            refused = (model, level) == ("S", "PATIENT")
            assert told.count("Pending") == (0 if refused else hits), (model, level, keys, told)
            assert ("Query/Retrieve Level must be one of STUDY, SERIES, IMAGE" in told) == refused
    monkeypatch.setattr(query_scp, "MOST_MATCHES", 4)
    told = archive.dcmtk("findscu", "S", "QueryRetrieveLevel=IMAGE", "SOPInstanceUID")
    assert (told.count("Pending"), told.count("the first 4 matches: ask for less at once")) == (4, 1)
    assert "0xb001" in told.lower()
    told = archive.dcmtk("findscu", "S", "QueryRetrieveLevel=IMAGE", study, "SOPInstanceUID")
    assert (told.count("Pending"), "0xb001" in told.lower()) == (5, False), "one study is told whole"


@pytest.mark.spec("PS3.4 C.4.2, C.4.3")
@pytest.mark.parametrize("way", ["get", "move"])
def test_retrieval_in_both_models_at_all_levels(archive: Archive, tmp_path: Path, way: str) -> None:
    one, two = archive.instances[0], archive.instances[4]
    expected = {
        ("PATIENT", "PatientID=X-4711"): {*archive.instances},
        ("STUDY", "PatientID=X-4711", f"StudyInstanceUID={archive.study}"): {*archive.instances},
        ("SERIES", f"SeriesInstanceUID={archive.series}"): {*archive.instances[:3]},
        ("IMAGE", f"StudyInstanceUID={archive.study}", f"SOPInstanceUID={one}\\{two}"): {one, two},
        ("STUDY", "StudyInstanceUID=1.2.3"): set(),
        ("SERIES", f"StudyInstanceUID={archive.study}"): "SeriesInstanceUID is missing",
    }
    for model in FIND:
        for number, ((level, *keys), wanted) in enumerate(expected.items()):
            folder = tmp_path / f"{model}{number}"
            folder.mkdir()
            program = ["getscu", "-B", "-od", str(folder)] if way == "get" else ["movescu", "-aem", "STORESCU"]
            options = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
            ends = ["-aet", "STORESCU", "-aec", "PACS", "127.0.0.1", str(archive.listener.port)]
            done = run([*program, "-d", f"-{model}", *options, *ends], check=False)
            taken = archive.destination.files() if way == "move" else list(folder.iterdir())
            got = {str(dcmread(path).SOPInstanceUID) for path in taken}
            for path in taken:
                path.unlink()
            if isinstance(wanted, str) or (model, level) == ("S", "PATIENT"):
                comment = wanted if isinstance(wanted, str) else "Query/Retrieve Level must be one of STUDY"
                assert got == set()
                assert comment in done.stdout + done.stderr
            else:
                assert got == wanted, (model, level, keys, done.stdout + done.stderr)


@pytest.mark.spec("PS3.4 Table C.4-2, Table C.4-3, PS3.7 C.4")
def test_what_cannot_be_sent_says_what_to_do(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    level, whole = "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={archive.study}"
    ends = ["-k", level, "-k", whole, "-aet", "STORESCU", "-aec", "PACS", "127.0.0.1", str(archive.listener.port)]

    def move(to: str) -> str:
        done = run(["movescu", "-d", "-S", "-aem", to, *ends], check=False)
        return done.stdout + done.stderr

    assert "have us register this destination as one of your host" in move("NOWHERE")
    know(archive.gateway, name="down", ae_title="DOWN", port=1)
    assert "5 failed: see that the destination runs" in move("DOWN")
    know(archive.gateway, name="ourselves", ae_title="PACS", port=archive.listener.port, our_ae_title="UNKNOWN")
    assert "5 failed: see that the destination runs" in move("PACS")

    def unanswered(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    with monkeypatch.context() as patched:
        patched.setattr(query_scp, "find", unanswered)
        patched.setattr(retrieve_scp, "locate", unanswered)
        told = archive.dcmtk("findscu", "S", level, whole)
        assert "our index does not answer: ask again in some minutes" in told
        assert "0xa700" in told.lower()
        assert "our index does not answer: ask again in some minutes" in move("STORESCU")
    assert archive.dcmtk("findscu", "S", level, whole).count("Pending") == 1


@pytest.mark.spec("PS3.4 C.5.1.1, C.5.2.1, C.5.3.1, B.3.1")
def test_extended_negotiation_grants_relational_and_nothing_else(archive: Archive) -> None:
    asked = {FIND["S"]: b"\1\1\1\1\1\1\1", FIND["P"]: b"\0", GET: b"\1", str(CTImageStorage): b"\3\0\0\0\0\0"}
    items = []
    for uid, value in asked.items():
        negotiation = SOPClassExtendedNegotiation()
        negotiation.sop_class_uid, negotiation.service_class_application_information = uid, value
        items.append(negotiation)
    ae = AE("STORESCU")
    contexts = [build_context(uid) for uid in asked]
    assoc = ae.associate("127.0.0.1", archive.listener.port, contexts, "PACS", ext_neg=items)
    assert assoc.is_established
    answered = assoc.acceptor.sop_class_extended
    assoc.release()
    assert answered == {
        FIND["S"]: b"\1\0\0\0\0\0\0",
        FIND["P"]: b"\0",
        GET: b"\1",
        str(CTImageStorage): bytes((2, 0, 3, 0, 1, 0)),
    }


@pytest.mark.spec("PS3.4 C.4.3, PS3.5 A.5, PS3.7 D.3.3.4")
def test_private_classes_and_syntaxes_and_deflated_go_out_as_they_came(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    gateway = make_gateway("pacs", mode="archive", ae_title="PACS")
    know(gateway, name="sender", ae_title="STORESCU")
    ct, deflated = str(CTImageStorage), str(DeflatedExplicitVRLittleEndian)
    kinds = [(PRIVATE, str(ExplicitVRLittleEndian)), (ct, PRIVATE_SYNTAX), (ct, deflated), (PRIVATE, PRIVATE_SYNTAX)]
    contexts = [build_context(*kind) for kind in kinds]
    sent: dict[str, tuple[str, bytes]] = {}
    got: dict[str, tuple[str, bytes]] = {}

    def keep(event: evt.Event) -> int:
        data_set = event.request.DataSet.getvalue()
        got[str(event.request.AffectedSOPInstanceUID)] = (str(event.context.transfer_syntax), data_set)
        return 0

    with listening(gateway) as listener:
        for number, (sop_class, syntax) in enumerate(kinds, 1):
            ds = slice_of("1.2.3", "1.2.3.4", number, uid=f"1.9.{number}", SOPClassUID=sop_class)
            ds.file_meta.TransferSyntaxUID = syntax
            known = {} if syntax != PRIVATE_SYNTAX else {"implicit_vr": False, "little_endian": True}
            path = tmp_path / f"{number}.dcm"
            dcmwrite(path, ds, enforce_file_format=True, **known)  # type: ignore[call-overload]
            file = path.read_bytes()
            sent[ds.SOPInstanceUID] = (syntax, file[read_meta(file).offset :])
            sender = AE("STORESCU").associate("127.0.0.1", listener.port, [contexts[number - 1]], "PACS")
            assert sender.send_c_store(path).Status == 0
            sender.release()
        gateway.ingest.replay()
        asked = Dataset()
        asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", "1.2.3"
        for takes, comment in ((contexts, ""), (contexts[:2], "2 failed: its SOP class and stored syntax")):
            got.clear()
            roles = [build_role(uid, scp_role=True) for uid in (PRIVATE, ct)]
            everything = [build_context(GET), *takes]
            ends = ("127.0.0.1", listener.port, everything, "PACS")
            assoc = AE("STORESCU").associate(*ends, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, keep)])
            answers = [status for status, _ in assoc.send_c_get(asked, GET)]
            assoc.release()
            assert got == {uid: kind for uid, kind in sent.items() if len(takes) == 4 or uid in {"1.9.1", "1.9.2"}}
            assert answers[-1].Status == (0xB000 if comment else 0)
            assert str(answers[-1].get("ErrorComment", "")).startswith(comment)


@pytest.mark.spec("PS3.5 6.1, PS3.3 C.12.1.1.2")
def test_names_are_asked_for_and_told_in_the_character_set_of_who_asks(
    make_gateway: MakeGateway, tmp_path: Path
) -> None:
    gateway = make_gateway("pacs", mode="archive", ae_title="PACS")
    know(gateway, name="sender", ae_title="STORESCU")
    names = {"ISO_IR 100": "Müller^Jörg", "ISO_IR 144": "Люкceмбypг", "ISO_IR 101": "Wałęsa^Łucja",
             "ISO_IR 192": "Ünïcode^Ωμέγα", "GB18030": "王^小东", "\\ISO 2022 IR 87": JAPANESE}  # fmt: skip
    for number, (charset, name) in enumerate(names.items()):
        attributes = {"SpecificCharacterSet": charset.split("\\"), "PatientName": name, "PatientID": f"C{number}"}
        ds = slice_of(f"1.2.{number + 1}", f"1.2.{number + 1}.1", 1, side=8, **attributes)
        gateway.ingest.accept(Incoming.from_file(file_of(ds), Source()))
    gateway.ingest.replay()
    with listening(gateway) as listener:
        for number, (charset, name) in enumerate(names.items()):
            folder = tmp_path / str(number)
            folder.mkdir()
            question = slice_of("", "", 1)
            question.clear()
            question.SpecificCharacterSet = charset.split("\\")
            question.QueryRetrieveLevel, question.PatientID = "STUDY", None
            question.PatientName = name[:4] + "*" if "=" not in name else "=山田*"
            question.save_as(folder / "question.dcm", implicit_vr=False, little_endian=True, enforce_file_format=False)
            ends = ["-aet", "STORESCU", "-aec", "PACS", "127.0.0.1", str(listener.port)]
            out = folder / "answers"
            out.mkdir()
            run(["findscu", "-S", "-X", "-od", str(out), *ends, str(folder / "question.dcm")])
            answers: list[Dataset] = [dcmread(path) for path in out.iterdir()]
            assert [(str(answer.PatientName), answer.PatientID) for answer in answers] == [(name, f"C{number}")], (
                charset
            )
            expected = "ISO_IR 192" if "\\" in charset else charset
            assert answers[0].SpecificCharacterSet == expected


@pytest.mark.spec("PS3.4 C.4.2.1, C.4.3.1")
@pytest.mark.parametrize("way", ["get", "move"])
def test_a_study_is_fetched_from_dcmqrscp(make_gateway: MakeGateway, tmp_path: Path, way: str) -> None:
    gateway = make_gateway(mode="gateway")
    study, files = write_study(tmp_path / "study", [3, 2])
    with listening(gateway) as listener, dcmqrscp(tmp_path / "pacs", "KONSIL", listener.port, files) as pacs:
        know(gateway, name="outside", ae_title="DCMQRSCP", port=pacs, can=["find", way])
        fetch(gateway, study)
        done = work(gateway)
    assert (done.state, done.completeness, done.received, done.cause) == ("completed", "A", 5, None)


@pytest.mark.spec("PS3.4 C.4.1, C.4.2, C.4.3, A.4, B.2")
def test_orthanc_asks_us_for_everything(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway("pacs", mode="archive", ae_title="KONSIL")
    study, files = write_study(tmp_path / "study", [2, 1])
    for path in files:
        gateway.ingest.accept(Incoming.from_file(path.read_bytes(), Source()))
    gateway.ingest.replay()
    with listening(gateway) as listener, orthanc(tmp_path / "orthanc", "KONSIL", listener.port) as pacs:
        know(gateway, name="orthanc", ae_title="ORTHANC", port=pacs.port)
        with httpx.Client(base_url=f"{pacs.http}/modalities/konsil", timeout=60, trust_env=False) as client:

            def post(path: str, body: object) -> httpx.Response:
                return client.post(path, json=body).raise_for_status()

            post("/echo", {})
            for level, hits in (("Patient", 1), ("Study", 1), ("Series", 2), ("Instance", 3)):
                query = {"Level": level, "Query": {"PatientID": "X-4711", "StudyInstanceUID": study}}
                if level == "Patient":
                    query["Query"] = {"PatientID": "X-4711"}
                found = post("/query", query).json()["Path"]
                answers = client.get(f"{pacs.http}{found}/answers").json()
                assert len(answers) == hits, level
            body = {"Level": "Study", "Resources": [{"StudyInstanceUID": study}], "TargetAet": "ORTHANC"}
            post("/move", body | {"Timeout": 60})
            assert len(pacs.instances()) == 3
            other, sent = write_study(tmp_path / "new", [1], PatientID="N-1")
            pacs.store(sent)
            (new,) = client.post(
                f"{pacs.http}/tools/find", json={"Level": "Study", "Query": {"PatientID": "N-1"}}
            ).json()
            post("/store", [new])
    gateway.ingest.replay()
    with reader(gateway.engine).connect() as connection:
        assert len(locate(connection, Place(study_instance_uid=other))) == 1
