"""Which media type and transfer syntax an answer has, clause by clause."""

import io

import numpy as np
import pytest
from pydicom.filereader import dcmread

from tests.conformance.dicomweb.client import AS_STORED, Server, parts, path_of, payload
from tests.dicom_gateway.web.data import renamed, slices

DICOM = 'multipart/related; type="application/dicom"'
J2K = "1.2.840.10008.1.2.4.90"
EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"


def syntax_of(server: Server, path: str, header: str, **query: str) -> str:
    """The transfer syntax of the one object of an answer, by its file meta information."""
    (part,) = parts(server.get(path, header, **query))
    return str(dcmread(io.BytesIO(payload(part))).file_meta.TransferSyntaxUID)


@pytest.mark.spec("PS3.18 8.7.8")
@pytest.mark.parametrize("suffix", ["", "/metadata", "/rendered", "/frames/1"])
def test_a_type_that_cannot_be_made_is_406(server: Server, suffix: str) -> None:
    (head,) = server.store(*slices(1))
    assert server.get(path_of(head) + suffix, "model/gltf+json").status_code == 406


@pytest.mark.spec("PS3.18 8.7.8")
def test_a_search_in_a_type_that_cannot_be_made_is_406(server: Server) -> None:
    assert server.get("/studies", "model/gltf+json").status_code == 406


@pytest.mark.spec("PS3.18 8.7.6")
def test_the_query_parameter_comes_before_the_header(server: Server) -> None:
    (head,) = server.store(*slices(1))
    metadata = server.get(path_of(head) + "/metadata", "model/gltf+json", accept="application/dicom+json")
    assert metadata.status_code == 200
    picture = server.get(path_of(head) + "/rendered", "image/jpeg", accept="image/png")
    assert picture.headers["content-type"] == "image/png"


@pytest.mark.spec("PS3.18 8.7.6")
def test_the_query_parameter_names_the_transfer_syntax(server: Server) -> None:
    (head,) = server.store(renamed("JPEG2000.dcm"))
    assert syntax_of(server, path_of(head), "model/gltf+json", accept=AS_STORED) == str(
        head.file_meta.TransferSyntaxUID
    )


@pytest.mark.spec("PS3.18 8.7.5, RFC 9110 12.5.1")
@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("image/jpeg;q=0.2, image/png;q=0.9", "image/png"),
        ("image/jpeg;q=0.9, image/png;q=0.2", "image/jpeg"),
        ("image/png, image/jpeg;q=0.5", "image/png"),
        ("image/png;q=0, image/jpeg", "image/jpeg"),
        ("model/gltf+json, image/png;q=0.1", "image/png"),
        ("IMAGE/PNG", "image/png"),
    ],
)
def test_quality_values_choose(server: Server, accept: str, chosen: str) -> None:
    (head,) = server.store(*slices(1))
    answer = server.get(path_of(head) + "/rendered", accept)
    assert (answer.status_code, answer.headers["content-type"]) == (200, chosen)


@pytest.mark.spec("PS3.18 8.7.5")
@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/json;q=0.1, */*;q=0.5"])
def test_wildcards_take_the_default(server: Server, accept: str) -> None:
    (head,) = server.store(*slices(1))
    answer = server.get(path_of(head) + "/metadata", accept)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/dicom+json")


@pytest.mark.spec("PS3.18 8.7.3.5.2")
def test_star_gives_the_stored_syntax(server: Server) -> None:
    (head,) = server.store(renamed("JPEG2000.dcm"))
    assert syntax_of(server, path_of(head), AS_STORED) == str(head.file_meta.TransferSyntaxUID)


@pytest.mark.spec("RFC 9110 5.6.6")
@pytest.mark.parametrize("quote", ["", '"'])
def test_parameters_are_read_quoted_and_unquoted(server: Server, quote: str) -> None:
    (head,) = server.store(*slices(1))
    accept = f"multipart/related; type={quote}application/dicom{quote}; transfer-syntax={quote}{EXPLICIT}{quote}"
    assert syntax_of(server, path_of(head), accept) == EXPLICIT


@pytest.mark.spec("PS3.18 8.7.8")
def test_a_syntax_that_cannot_be_made_is_406(server: Server) -> None:
    (head,) = server.store(*slices(1))
    answer = server.get(path_of(head), f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.102")
    assert answer.status_code == 406


@pytest.mark.spec("PS3.18 8.7.3.5.2, Table 8.7.3-2")
@pytest.mark.parametrize("target", [EXPLICIT, J2K, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", RLE])
@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_objects_go_out_in_the_syntax_that_is_asked_for(server: Server, name: str, target: str) -> None:
    (head,) = server.store(renamed(name))
    for path in (path_of(head), path_of(head).partition("/instances")[0]):
        (part,) = parts(server.get(path, f"{DICOM}; transfer-syntax={target}"))
        made = dcmread(io.BytesIO(payload(part)))
        assert (str(made.file_meta.TransferSyntaxUID), made.SOPInstanceUID) == (target, head.SOPInstanceUID)
        assert np.array_equal(made.pixel_array, dcmread(io.BytesIO(renamed("MR_small.dcm"))).pixel_array)
        assert target in str(part["content-type"])


@pytest.mark.spec("PS3.18 8.7.3.5.2")
@pytest.mark.parametrize("name", ["JPGExtended.dcm", "SC_rgb_jpeg_dcmtk.dcm"])
def test_lossy_jpeg_goes_out_decoded(server: Server, name: str) -> None:
    """Of 8 and of 12 bits: as an object, as a frame and as a picture."""
    (head,) = server.store(renamed(name))
    assert syntax_of(server, path_of(head), f"{DICOM}; transfer-syntax={EXPLICIT}") == EXPLICIT
    frame = server.get(path_of(head) + "/frames/1", "application/octet-stream")
    size = head.Rows * head.Columns * head.SamplesPerPixel * head.BitsAllocated // 8
    assert (frame.status_code, len(frame.content)) == (200, size)
    assert server.get(path_of(head) + "/rendered", "image/png").status_code == 200


@pytest.mark.spec("PS3.18 8.7.5")
def test_the_second_choice_is_taken_when_the_first_cannot_be_made(server: Server) -> None:
    (head,) = server.store(*slices(1))
    accept = f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.102, {DICOM}; transfer-syntax={EXPLICIT}; q=0.5"
    assert syntax_of(server, path_of(head), accept) == EXPLICIT
