"""STOW-RS, clause by clause."""

import io
import json

import pytest
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread
from pydicom.uid import generate_uid

from tests.conformance.dicomweb.client import AS_STORED, BOUNDARY, STORE, Server, body, parts, path_of, payload
from tests.dicom_gateway.web.data import renamed, slices

LOSSLESS = "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70"
DESCRIBED = {**STORE, "Content-Type": f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'}
REFERENCED, FAILED, REASON, URL = "00081199", "00081198", "00081197", "00081190"


@pytest.mark.spec("PS3.18 10.5.3, I.2.2")
def test_all_stored_is_200_and_they_are_there(server: Server) -> None:
    files = slices(3)
    answer = server.post("/studies", *files)
    assert answer.status_code == 200
    kept = answer.json()[REFERENCED]["Value"]
    assert len(kept) == 3 and not answer.json().get(FAILED, {}).get("Value")
    (part,) = parts(server.get(kept[0][URL]["Value"][0], AS_STORED))
    assert payload(part) == files[0]


@pytest.mark.spec("PS3.18 Table I.2-1")
def test_each_reference_names_class_and_instance(server: Server) -> None:
    (file,) = slices(1)
    (item,) = server.post("/studies", file).json()[REFERENCED]["Value"]
    assert item["00081150"]["Value"] == ["1.2.840.10008.5.1.4.1.1.2"] and item["00081155"]["Value"]


@pytest.mark.spec("PS3.18 10.5.1.1.1")
def test_stored_to_the_study_that_the_address_names(server: Server) -> None:
    uid = generate_uid()
    answer = server.post(f"/studies/{uid}", *slices(2, StudyInstanceUID=uid))
    assert answer.status_code == 200 and len(server.found(f"/studies/{uid}/instances")) == 2
    assert answer.json()[URL]["Value"][0].endswith(f"/studies/{uid}")


@pytest.mark.spec("PS3.18 10.5.3")
def test_some_stored_is_202_with_reasons(server: Server) -> None:
    answer = server.post("/studies", *slices(1), b"not DICOM at all")
    assert answer.status_code == 202
    assert len(answer.json()[REFERENCED]["Value"]) == 1
    assert 0xC000 <= answer.json()[FAILED]["Value"][0][REASON]["Value"][0] <= 0xCFFF


@pytest.mark.spec("PS3.18 10.5.3")
def test_none_stored_is_an_error_with_reasons(server: Server) -> None:
    answer = server.post("/studies", b"not DICOM at all")
    assert answer.status_code in {400, 409}
    assert answer.status_code == 400 or len(answer.json()[FAILED]["Value"]) == 1


@pytest.mark.spec("PS3.18 10.5.1.1.1, Table I.2-2")
def test_another_study_than_the_address_names_is_409(server: Server) -> None:
    (file,) = slices(1)
    answer = server.post(f"/studies/{generate_uid()}", file)
    assert answer.status_code == 409
    (item,) = answer.json()[FAILED]["Value"]
    assert 0xA900 <= item[REASON]["Value"][0] <= 0xA9FF and item["00081155"]["Value"]
    assert not answer.json().get(REFERENCED, {}).get("Value")


@pytest.mark.spec("PS3.18 10.5.3, 8.6.1.2")
def test_a_body_that_stops_short_is_400(server: Server) -> None:
    answer = server.http.post("/studies", content=body(*slices(1))[:-60], headers=STORE)
    assert answer.status_code == 400


@pytest.mark.spec("PS3.18 10.5.3")
def test_an_empty_body_is_400(server: Server) -> None:
    assert server.http.post("/studies", content=b"", headers=STORE).status_code == 400


@pytest.mark.spec("PS3.18 10.5.3")
def test_a_body_of_an_unknown_type_is_415(server: Server) -> None:
    (file,) = slices(1)
    plain = server.http.post("/studies", content=file, headers={"Content-Type": "text/plain"})
    parts = server.http.post("/studies", content=body(file, kind="text/plain"), headers=STORE)
    assert (plain.status_code, parts.status_code) == (415, 415)


@pytest.mark.spec("PS3.18 8.7.8")
def test_an_answer_of_an_unknown_type_is_406(server: Server) -> None:
    headers = {**STORE, "Accept": "model/gltf+json"}
    assert server.http.post("/studies", content=body(*slices(1)), headers=headers).status_code == 406


@pytest.mark.spec("RFC 2046 5.1.1")
def test_preamble_epilogue_and_other_headers_are_read_over(server: Server) -> None:
    (file,) = slices(1)
    framed = b"for readers without MIME\r\n" + body(file).replace(b"\r\n\r\n", b"\r\nContent-ID: <1>\r\n\r\n", 1)
    assert server.http.post("/studies", content=framed + b"the end", headers=STORE).status_code == 200


@pytest.mark.spec("RFC 2046 5.1.1")
def test_a_quoted_boundary_is_read(server: Server) -> None:
    kind = 'multipart/related; type=application/dicom; boundary="a b=c"'
    content = body(*slices(1)).replace(b"the-boundary-of-these-tests", b"a b=c")
    assert server.http.post("/studies", content=content, headers={**STORE, "Content-Type": kind}).status_code == 200


@pytest.mark.spec("PS3.18 10.5.1")
def test_storing_twice_changes_nothing(server: Server) -> None:
    (file,) = slices(1)
    (head,) = server.store(file)
    assert server.post("/studies", file).status_code == 200
    assert len(server.found(f"/studies/{head.StudyInstanceUID}/instances")) == 1


@pytest.mark.spec("PS3.18 10.5.1, PS3.5 10")
@pytest.mark.parametrize("name", ["image_dfl.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "reportsi.dcm"])
def test_any_transfer_syntax_and_class_is_kept_as_sent(server: Server, name: str) -> None:
    (head,) = server.store(renamed(name))
    (part,) = parts(server.get(path_of(head), AS_STORED))
    assert payload(part) == renamed(name)


@pytest.mark.spec("PS3.18 10.5.1.1.2, F.2.6")
def test_metadata_with_bulk_data_becomes_an_instance(server: Server) -> None:
    """Native samples in one part, compressed ones a part for each frame; what has no bulk data part is refused."""
    ds = dcmread(io.BytesIO(slices(1, rows=32)[0]))
    frame = b"\xff\xd8\xff\xf7 not looked into \x00\xff\xd9"
    for kind, parts_ in (("application/octet-stream", [ds.PixelData]), (LOSSLESS, [frame, frame * 2])):
        ds.SOPInstanceUID = generate_uid()
        model = {**ds.to_json_dict(1024, lambda element: "bulk/1"), "00083002": {"vr": "UI", "Value": ["1.2.3"]}}
        content = described(model, kind, parts_)
        answer = server.http.post("/studies", content=content, headers=DESCRIBED)
        assert answer.status_code == 200, answer.text
        stored = server.data_set(ds)
        assert stored.PatientName == ds.PatientName and stored.ImagePositionPatient == ds.ImagePositionPatient
        if kind == LOSSLESS:
            assert stored.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.70"
            assert list(generate_frames(stored.PixelData, number_of_frames=2)) == parts_
        else:
            assert stored.PixelData == ds.PixelData
    ds.SOPInstanceUID = generate_uid()
    missing = described(ds.to_json_dict(1024, lambda element: "bulk/2"), LOSSLESS, [frame])
    answer = server.http.post("/studies", content=missing, headers=DESCRIBED)
    assert answer.status_code == 409 and answer.json()[FAILED]["Value"][0][REASON]["Value"][0] >= 0xC000
    assert server.http.post("/studies", content=described({}, "", [])[:-40], headers=DESCRIBED).status_code == 400


def described(model: dict[str, object], kind: str, values: list[bytes]) -> bytes:
    """A body of metadata and bulk data."""
    edge = f"--{BOUNDARY}\r\n"
    head = f"{edge}Content-Type: application/dicom+json\r\n\r\n{json.dumps([model])}\r\n".encode()
    parts_ = [f"{edge}Content-Type: {kind}\r\nContent-Location: bulk/1\r\n\r\n".encode() + each for each in values]
    return head + b"".join(part + b"\r\n" for part in parts_) + f"--{BOUNDARY}--\r\n".encode()
