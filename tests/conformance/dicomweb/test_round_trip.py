"""Every VR, private attributes and character sets go in by STOW-RS and come out by WADO-RS unchanged."""

import base64
from typing import Any
from uuid import uuid4

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.conformance.dicomweb.client import Server, parts, path_of, payload
from tests.dicom_gateway.web.data import slices

# An attribute of each VR, a value for pydicom, and the values in the DICOM JSON Model.  PS3.18 Table F.2.3-1
VALUES: list[tuple[str, str, Any, list[Any]]] = [
    ("AE", "RetrieveAETitle", ["ONE", "TWO"], ["ONE", "TWO"]),
    ("AS", "PatientAge", "053Y", ["053Y"]),
    ("AT", "FrameIncrementPointer", [0x00181063, 0x00181065], ["00181063", "00181065"]),
    ("CS", "ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"], ["ORIGINAL", "PRIMARY", "AXIAL"]),
    ("DA", "AcquisitionDate", "20250228", ["20250228"]),
    ("DS", "SliceLocation", "-12.5", [-12.5]),
    ("DT", "AcquisitionDateTime", "20250228101112.5+0100", ["20250228101112.5+0100"]),
    ("FL", "SelectorFLValue", 0.5, [0.5]),
    ("FD", "ExposureTimeInms", 12.25, [12.25]),
    ("IS", "AcquisitionNumber", "7", [7]),
    ("LO", "ProtocolName", "Thorax; nativ", ["Thorax; nativ"]),
    ("LT", "AdditionalPatientHistory", "first line\r\nsecond line", ["first line\r\nsecond line"]),
    ("PN", "OperatorsName", ["A^B", "C^D"], [{"Alphabetic": "A^B"}, {"Alphabetic": "C^D"}]),
    ("SH", "StationName", "CT 1", ["CT 1"]),
    ("SL", "ReferencePixelX0", -70000, [-70000]),
    ("SS", "TagAngleSecondAxis", -300, [-300]),
    ("ST", "InstitutionAddress", "1 Main Street", ["1 Main Street"]),
    ("SV", "SelectorSVValue", -(2**50), [-(2**50)]),
    ("TM", "AcquisitionTime", "101112.25", ["101112.25"]),
    ("UC", "LongCodeValue", "x" * 200, ["x" * 200]),
    ("UI", "DeviceUID", "1.2.3.4", ["1.2.3.4"]),
    ("UL", "SimpleFrameList", [1, 70000], [1, 70000]),
    ("UR", "RetrieveURI", "https://example.org/a?b=c", ["https://example.org/a?b=c"]),
    ("US", "AcquisitionMatrix", [0, 256, 192, 0], [0, 256, 192, 0]),
    ("UT", "TextValue", "many words; " * 50 + "end", ["many words; " * 50 + "end"]),
    ("UV", "SelectorUVValue", 2**60, [2**60]),
]
BYTES = bytes(range(48))
CHARACTER_SETS = {
    "ISO_IR 100": "Äneas^Rüdiger",
    "ISO_IR 101": "Wałęsa^Lech",
    "ISO_IR 144": "Люкceмбypг^Роза",
    "ISO_IR 126": "Διονυσιος^Νικος",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 192": "王^小東",
    "GB18030": "王^小东",
}


def stored(server: Server, **attributes: object) -> Dataset:
    """One slice with these attributes, stored."""
    return server.store(*slices(1, **attributes))[0]


@pytest.mark.spec("PS3.18 F.2.3, PS3.5 6.2")
@pytest.mark.parametrize(("vr", "keyword", "value", "expected"), VALUES, ids=[row[0] for row in VALUES])
def test_values_of_each_vr(server: Server, vr: str, keyword: str, value: Any, expected: list[Any]) -> None:
    head = stored(server, **{keyword: value})
    tag = f"{int(head[keyword].tag):08X}"
    assert server.metadata(head)[tag] == {"vr": vr, "Value": expected}
    assert server.data_set(head)[keyword] == head[keyword]


@pytest.mark.spec("PS3.18 F.2.6, F.2.7")
@pytest.mark.parametrize("vr", ["OB", "OW", "OF", "OD", "OL", "OV", "UN"])
def test_binary_of_each_vr(server: Server, vr: str) -> None:
    keyword = f"Selector{vr}Value"
    head = stored(server, **{keyword: BYTES})
    element = server.metadata(head)[f"{int(head[keyword].tag):08X}"]
    assert element["vr"] == vr
    assert bytes_of(server, element) == BYTES
    assert server.data_set(head)[keyword].value == BYTES


@pytest.mark.spec("PS3.18 F.2.6, 10.4.1.1.5")
def test_large_binary_is_reached_by_its_address(server: Server) -> None:
    large = bytes(range(256)) * 400
    head = stored(server, SelectorOBValue=large)
    element = server.metadata(head)[f"{int(head['SelectorOBValue'].tag):08X}"]
    assert "BulkDataURI" in element and bytes_of(server, element) == large


def bytes_of(server: Server, element: dict[str, object]) -> bytes:
    """A binary value, inline or by its address."""
    if "InlineBinary" in element:
        return base64.b64decode(str(element["InlineBinary"]))
    answer = server.get(str(element["BulkDataURI"]), 'multipart/related; type="application/octet-stream"')
    return payload(parts(answer)[0])


@pytest.mark.spec("PS3.18 F.2.5")
def test_empty_values_and_sequences(server: Server) -> None:
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "T-28000", "Lung"
    inner = Dataset()
    inner.CodeValue = "R-404CC"
    item.AnatomicRegionModifierSequence = Sequence([inner])
    head = stored(server, AnatomicRegionSequence=[item], ReferringPhysicianName="", RequestAttributesSequence=[])
    model = server.metadata(head)
    (region,) = model["00082218"]["Value"]  # type: ignore[misc]
    assert region["00080104"]["Value"] == ["Lung"]
    assert region["00082220"]["Value"][0]["00080100"]["Value"] == ["R-404CC"]
    assert model["00080090"] == {"vr": "PN"} and not model["00400275"].get("Value")
    assert server.data_set(head).AnatomicRegionSequence == head.AnatomicRegionSequence


@pytest.mark.spec("PS3.18 F.2.1.2, PS3.5 7.8")
def test_private_attributes(server: Server) -> None:
    file = slices(1, private=True)[0]
    (head,) = server.store(file)
    model = server.metadata(head)
    assert model["00290010"] == {"vr": "LO", "Value": ["KONSIL TESTS"]}
    assert model["00291001"] == {"vr": "LO", "Value": ["a private word"]}
    assert model["00291002"] == {"vr": "FD", "Value": [2.5]}
    back = server.data_set(head)
    assert back.private_block(0x0029, "KONSIL TESTS")[1].value == "a private word"


@pytest.mark.spec("PS3.18 F.2.2, PS3.5 6.1.2.3")
@pytest.mark.parametrize(("character_set", "name"), CHARACTER_SETS.items())
def test_names_of_each_character_set_are_unicode(server: Server, character_set: str, name: str) -> None:
    head = stored(server, SpecificCharacterSet=character_set, PatientName=name)
    model = server.metadata(head)
    assert model["00100010"]["Value"] == [{"Alphabetic": name}]
    assert server.data_set(head).PatientName == name


@pytest.mark.spec("PS3.18 F.2.2, PS3.5 H.3, I.2")
@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_with_code_extensions_are_unicode(server: Server, character_set: list[str], name: str) -> None:
    patient_id = uuid4().hex
    head = stored(server, SpecificCharacterSet=character_set, PatientName=name, PatientID=patient_id)
    groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), name.split("="), strict=True))
    assert server.metadata(head)["00100010"]["Value"] == [groups]
    assert server.found("/studies", PatientID=patient_id)[0]["00100010"]["Value"] == [groups]


@pytest.mark.spec("PS3.18 10.4.1.1.2")
def test_metadata_has_every_attribute_of_the_data_set(server: Server) -> None:
    (head,) = server.store(*slices(1))
    expected = {f"{int(element.tag):08X}" for element in head} - {"7FE00010"}
    assert expected <= set(server.metadata(head))


@pytest.mark.spec("PS3.18 10.4.1.1.1")
def test_the_address_of_the_instance_is_with_its_part(server: Server) -> None:
    (head,) = server.store(*slices(1))
    answer = server.get(f"/studies/{head.StudyInstanceUID}", 'multipart/related; type="application/dicom"')
    (part,) = parts(answer)
    assert part["Content-Location"] is None or str(part["Content-Location"]).endswith(path_of(head))


@pytest.mark.spec("PS3.18 F.2, 8.8.1")
def test_metadata_in_unicode_says_so(server: Server) -> None:
    head = stored(server, SpecificCharacterSet="ISO_IR 100", PatientName=CHARACTER_SETS["ISO_IR 100"])
    assert server.metadata(head)["00080005"]["Value"] == ["ISO_IR 192"]
