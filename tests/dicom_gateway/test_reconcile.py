"""Comparing an outside record with the local patient, and writing the local patient into a header."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from dicom_gateway.archive import Archive
from dicom_gateway.coerce import Decision, changes, coerced, rewrite
from dicom_gateway.index.query import Located
from dicom_gateway.part10 import read_meta
from dicom_gateway.reconcile import Identity, compare, compare_names, dicom_name, local_identity, verdict
from tests.dicom_gateway.objects import TESTFILES, file_of, slice_of

LOCAL = Identity("Müller^Jörg=山田^太郎", "19700101", "M", "L1", "LOCAL", (("X9", "OTHER"),))
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("outside", "local", "expected"),
    [
        ("MUSTER^ANNA", "Muster^Anna", "same"),
        ("Muster^Anna", "Muster^Anna^Maria", "near"),
        ("Muster^Anna Maria", "Muster^Anna", "near"),
        ("Anna^Muster", "Muster^Anna", "near"),
        ("Mustre^Anna", "Muster^Anna", "near"),
        ("Muster^Ana", "Muster^Anna", "near"),
        ("Muster^Anna", "Meier^Berta", "different"),
        ("Yamada^Tarou=山田^太郎", "山田^太郎", "same"),
        ("Yamada^Taro=山田^太郎", "Yamada^Tarou=山田^太郎", "same"),
        ("Yamada^Tarou", "=山田^太郎", "missing"),
        ("", "Muster^Anna", "missing"),
        ("LEFEVRE MUNOZ^RENEE", "Lefèvre-Muñoz^Renée", "near"),
        ("OCONNOR^SEAN", "O'Connor^Seán", "near"),
        ("Alrashid^Laila=الراشد^ليلى", "Al-Rashid^Layla", "near"),
        ("RASHID^LAYLA", "Al-Rashid^Layla", "near"),
        ("ALRASHID^NADIA", "Al-Rashid^Layla", "different"),
        ("Alvarez^Ana", "Varez^Ana", "different"),
        ("DELACRUZ^ANA", "De la Cruz^Ana", "near"),
    ],
)
def test_names(outside: str, local: str, expected: str) -> None:
    found = compare_names(outside, local)
    assert found.verdict == expected and found.explanation.endswith(".")


def test_verdict_says_what_to_look_at() -> None:
    outside = Identity("Muster^Anna", "19710302", "F", "X1", "STANNA")
    local = Identity("Muster^Anna", "19710203", "F", "L1", "LOCAL")
    word, sentence = verdict(compare(outside, local))
    assert (word, "birth date" in sentence.lower()) == ("near", True)
    other = Identity("Meier^Berta", "19500101", "M", "L1", "LOCAL")
    assert verdict(compare(outside, other))[0] == "different"
    assert verdict(compare(local, local))[0] == "same"


def test_former_name_is_near() -> None:
    local = Identity("Muster^Anna", "19710203", "F", "L1", "LOCAL", other_names=("Meier^Anna",))
    found = {item.keyword: item for item in compare(Identity("MEIER^ANNA", "19710203", "F", "", ""), local)}
    assert found["PatientName"].verdict == "near" and "former" in found["PatientName"].explanation


def test_equal_numbers_of_two_houses_say_nothing() -> None:
    one, other = Identity("A^B", "19710203", "F", "7", "STANNA"), Identity("A^B", "19710203", "F", "7", "LOCAL")
    assert {item.keyword: item.verdict for item in compare(one, other)}["PatientID"] == "missing"
    known = Identity("A^B", "19710203", "F", "9", "LOCAL", (("7", "STANNA"),))
    assert {item.keyword: item.verdict for item in compare(one, known)}["PatientID"] == "same"


def test_local_identity_takes_the_configured_domain_first() -> None:
    patient: dict[str, Any] = {
        "identifier": [{"system": "urn:oid:1.2", "value": "A"}, {"system": "urn:oid:1.3", "value": "B"}],
        "name": [{"family": "山田", "given": ["太郎"]}, {"use": "official", "family": "Yamada", "given": ["Tarou"]}],
        "birthDate": "1970-01-01",
        "gender": "male",
    }
    found = local_identity(patient, {"urn:oid:1.3": "LOCAL"})
    assert (found.patient_id, found.issuer, found.other_ids) == ("B", "LOCAL", (("A", "1.2"),))
    assert (found.name, found.birth_date, found.sex) == ("Yamada^Tarou=山田^太郎", "19700101", "M")
    assert dicom_name([{"family": "a^b=c"}]) == "a b c"


def test_coercion_keeps_what_it_replaces() -> None:
    ds = slice_of("1.2", "1.3", 1, IssuerOfPatientID="STANNA", OtherPatientIDs="OLD")
    once = coerced(ds, LOCAL, MOMENT, "KONSIL")
    twice = coerced(once, Identity("Other^Name", "19800101", "F", "L2", "LOCAL"), MOMENT, "KONSIL")
    first, second = twice.OriginalAttributesSequence
    assert first.ReasonForTheAttributeModification == "COERCE" and first.SourceOfPreviousValues == "STANNA"
    before = first.ModifiedAttributesSequence[0]
    assert (str(before.PatientName), before.PatientID, before.AccessionNumber) == ("Muster^Anna", "X-4711", "A-1")
    assert second.ModifiedAttributesSequence[0].PatientID == "L1"
    ids = {(item.PatientID, item.IssuerOfPatientID) for item in twice.OtherPatientIDsSequence}
    assert ids == {("X-4711", "STANNA"), ("L1", "LOCAL"), ("X9", "OTHER"), ("L2", "LOCAL")}
    assert (once.StudyInstanceUID, once.AccessionNumber, once.OtherPatientIDs) == ("1.2", "", "")
    assert ds.PatientID == "X-4711", "the header that was given is not touched"
    assert {item.keyword for item in changes(ds, once)} >= {"PatientName", "PatientID", "OtherPatientIDsSequence"}


def located(archive: Archive, file: bytes) -> Located:
    meta = read_meta(file)
    stored = archive.put([file])
    uids = ("1", "2", "3", meta.sop_class_uid, meta.transfer_syntax_uid)
    return Located(*uids, stored.key, meta.offset, stored.size, 1, 1, 1, "quarantined", "", None, "")


@pytest.mark.parametrize(
    "name",
    [
        *("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "image_dfl.dcm", "JPEG2000.dcm"),
        *("MR_small_RLE.dcm", "examples_ybr_color.dcm", "rtplan.dcm", "badVR.dcm", "priv_SQ.dcm", "MR_truncated.dcm"),
    ],
)
def test_rewritten_object_differs_in_the_patient_alone(tmp_path: Path, name: str) -> None:
    """Pixels byte for byte, every other attribute unchanged, the name in a character set that fits."""
    archive = Archive(tmp_path)
    file = (TESTFILES / name).read_bytes()
    made, header = rewrite(archive, located(archive, file), Decision(LOCAL, "task", MOMENT, "KONSIL"))
    with archive.open(made.stored.key) as stream:
        after = dcmread(stream)
    before = dcmread(BytesIO(file))
    assert str(after.PatientName) == str(header.PatientName) == LOCAL.name
    assert after.SpecificCharacterSet == "ISO_IR 192"
    assert after.get("PixelData") == before.get("PixelData")
    touched = {item.keyword for item in changes(before, after)} - {"SpecificCharacterSet"}
    assert touched <= {
        *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "AccessionNumber"),
        *("OtherPatientIDsSequence", "OtherPatientIDs", "IssuerOfPatientIDQualifiersSequence"),
    }


def test_nested_text_in_another_character_set_survives(tmp_path: Path) -> None:
    ds: Dataset = slice_of("1.2", "1.3", 1, SpecificCharacterSet="ISO_IR 100", StudyDescription="Schädel")
    item = Dataset()
    item.RequestedProcedureDescription = "Übersicht"
    ds.RequestAttributesSequence = [item]
    archive = Archive(tmp_path)
    made, _ = rewrite(archive, located(archive, file_of(ds)), Decision(LOCAL, "task", MOMENT, "KONSIL"))
    with archive.open(made.stored.key) as stream:
        after = dcmread(stream)
    assert after.StudyDescription == "Schädel"
    assert after.RequestAttributesSequence[0].RequestedProcedureDescription == "Übersicht"
