"""WADO-RS objects, metadata, frames and bulk data, clause by clause."""

import io
import zlib

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread

from tests.conformance.dicomweb.client import AS_STORED, Server, parts, path_of, payload
from tests.dicom_gateway.web.data import renamed, slices

FRAMES = "multipart/related; type={}application/octet-stream{}; transfer-syntax=*"
OCTETS = "application/octet-stream"


def pixels_of(name: str) -> bytes:
    """The pixel data of one of pydicom's files."""
    return bytes(dcmread(io.BytesIO(renamed(name))).PixelData)


@pytest.mark.spec("PS3.18 10.4.1.1.1")
@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"])
def test_an_object_goes_out_as_it_came(server: Server, name: str) -> None:
    (head,) = server.store(renamed(name))
    (part,) = parts(server.get(path_of(head), AS_STORED))
    assert part.get_content_type() == "application/dicom" and payload(part) == renamed(name)


@pytest.mark.spec("PS3.18 10.4.1.1.1")
def test_a_study_and_a_series_have_all_their_instances(server: Server) -> None:
    files = slices(3)
    heads = server.store(*files)
    study = f"/studies/{heads[0].StudyInstanceUID}"
    for path in (study, f"{study}/series/{heads[0].SeriesInstanceUID}"):
        found = parts(server.get(path, AS_STORED))
        assert sorted(payload(part) for part in found) == sorted(files)


@pytest.mark.spec("PS3.18 8.7.3.5.2, 8.6.1.1")
def test_one_instance_as_a_single_part(server: Server) -> None:
    (head,) = server.store(renamed("JPEG2000.dcm"))
    answer = server.get(path_of(head), "application/dicom; transfer-syntax=*")
    assert answer.headers["content-type"].startswith("application/dicom") and answer.content == renamed("JPEG2000.dcm")


@pytest.mark.spec("PS3.18 8.6.1.2, RFC 2387")
def test_a_multipart_answer_names_type_and_boundary(server: Server) -> None:
    (head,) = server.store(*slices(1))
    answer = server.get(path_of(head), AS_STORED)
    kind = answer.headers["content-type"]
    boundary = kind.split("boundary=")[1].split(";")[0].strip('" ').encode()
    assert "application/dicom" in kind and answer.content.startswith(b"--" + boundary)
    assert answer.content.rstrip(b"\r\n").endswith(b"\r\n--" + boundary + b"--")


@pytest.mark.spec("PS3.18 10.4.3")
@pytest.mark.parametrize("suffix", ["", "/metadata", "/frames/1", "/rendered"])
def test_what_is_not_there_is_404(server: Server, suffix: str) -> None:
    assert server.get(f"/studies/1.2.3/series/1.2.3/instances/1.2.3{suffix}").status_code == 404


@pytest.mark.spec("PS3.18 10.4.3")
def test_a_series_of_another_study_is_404(server: Server) -> None:
    one, two = server.store(*slices(1), *slices(1))
    path = f"/studies/{one.StudyInstanceUID}/series/{two.SeriesInstanceUID}/instances/{two.SOPInstanceUID}"
    assert server.get(path + "/metadata").status_code == 404


@pytest.mark.spec("PS3.18 10.4.1.1.2")
def test_metadata_of_each_level(server: Server) -> None:
    heads = server.store(*slices(2))
    study = f"/studies/{heads[0].StudyInstanceUID}"
    levels = (study, f"{study}/series/{heads[0].SeriesInstanceUID}", path_of(heads[0]))
    assert [len(server.found(f"{path}/metadata")) for path in levels] == [2, 2, 1]


@pytest.mark.spec("PS3.18 10.4.1.1.2, F.2.6")
def test_metadata_refers_to_its_pixel_data(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    model = server.metadata(head)
    address = str(model["7FE00010"]["BulkDataURI"])
    (part,) = parts(server.get(address, f'multipart/related; type="{OCTETS}"'))
    assert payload(part) == pixels_of("CT_small.dcm")


@pytest.mark.spec("PS3.18 8.7.3.2, PS3.19 A.1")
def test_metadata_as_native_dicom_xml(server: Server) -> None:
    (head,) = server.store(*slices(1, private=True))
    (part,) = parts(server.get(path_of(head) + "/metadata", 'multipart/related; type="application/dicom+xml"'))
    text = payload(part).decode()
    assert part.get_content_type() == "application/dicom+xml" and "<NativeDicomModel" in text
    assert 'keyword="PatientID"' in text and "<FamilyName>Okafor</FamilyName>" in text
    assert 'privateCreator="KONSIL TESTS"' in text and "BulkData" in text


@pytest.mark.spec("RFC 9110 8.4.1.3")
def test_metadata_is_the_same_compressed(server: Server) -> None:
    (head,) = server.store(*slices(1))
    url, plain = path_of(head) + "/metadata", server.get(path_of(head) + "/metadata")
    with server.http.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as raw:
        content = b"".join(raw.iter_raw())
        squeezed = raw.headers.get("content-encoding") == "gzip"
    assert (zlib.decompress(content, zlib.MAX_WBITS | 16) if squeezed else content) == plain.content


@pytest.mark.spec("PS3.18 8.4.1, RFC 9110 13.1.2")
def test_metadata_is_not_sent_twice(server: Server) -> None:
    (head,) = server.store(*slices(1))
    url = path_of(head) + "/metadata"
    tag = server.get(url).headers["etag"]
    assert server.http.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert server.http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.spec("PS3.18 8.7.3.5")
@pytest.mark.parametrize("quote", ["", '"'])
def test_native_frame_with_quoted_and_unquoted_type(server: Server, quote: str) -> None:
    (head,) = server.store(renamed("MR_small.dcm"))
    (part,) = parts(server.get(path_of(head) + "/frames/1", FRAMES.format(quote, quote)))
    assert part.get_content_type() == OCTETS and payload(part) == pixels_of("MR_small.dcm")


@pytest.mark.spec("PS3.18 10.4.1.1.6")
@pytest.mark.parametrize("name", ["rtdose.dcm"])
def test_native_frames_of_a_multi_frame_object(server: Server, name: str) -> None:
    (head,) = server.store(renamed(name))
    count, pixels = int(head.NumberOfFrames), pixels_of(name)
    size = head.Rows * head.Columns * head.SamplesPerPixel * head.BitsAllocated // 8
    check_frames(server, head, [pixels[number * size : (number + 1) * size] for number in range(count)])


@pytest.mark.spec("PS3.18 10.4.1.1.6, PS3.5 A.4")
@pytest.mark.parametrize(
    "name", ["color3d_jpeg_baseline.dcm", "examples_ybr_color.dcm", "emri_small_jpeg_2k_lossless.dcm", "rtdose_rle.dcm"]
)
def test_compressed_frames_of_a_multi_frame_object(server: Server, name: str) -> None:
    (head,) = server.store(renamed(name))
    check_frames(server, head, list(generate_frames(pixels_of(name), number_of_frames=int(head.NumberOfFrames))))


def check_frames(server: Server, head: Dataset, expected: list[bytes]) -> None:
    """First, middle and last frame, in one answer."""
    numbers = [1, len(expected) // 2 + 1, len(expected)]
    url = f"{path_of(head)}/frames/{','.join(map(str, numbers))}"
    found = [payload(part) for part in parts(server.get(url, FRAMES.format("", "")))]
    assert found == [expected[number - 1] for number in numbers]


@pytest.mark.spec("PS3.18 10.4.3")
@pytest.mark.parametrize(("frames", "status"), [("2", 404), ("0", 400), ("one", 400), ("-1", 400)])
def test_frames_that_are_not_there(server: Server, frames: str, status: int) -> None:
    (head,) = server.store(*slices(1))
    answer = server.get(f"{path_of(head)}/frames/{frames}", FRAMES.format("", ""))
    assert answer.status_code in {status, 404}


@pytest.mark.spec("PS3.18 8.7.3.2")
def test_big_endian_frames_go_out_little_endian(server: Server) -> None:
    (head,) = server.store(renamed("MR_small_bigendian.dcm"))
    (part,) = parts(server.get(path_of(head) + "/frames/1", f'multipart/related; type="{OCTETS}"'))
    expected = dcmread(io.BytesIO(renamed("MR_small_bigendian.dcm"))).pixel_array
    assert np.array_equal(np.frombuffer(payload(part), "<i2").reshape(expected.shape), expected)


@pytest.mark.spec("PS3.18 Table 8.7.3-5")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JPEG2000.dcm", "image/jp2"),
        ("MR_small_jpeg_ls_lossless.dcm", "image/jls"),
        ("SC_rgb_jpeg_dcmtk.dcm", "image/jpeg"),
        ("MR_small_RLE.dcm", "image/dicom-rle"),
    ],
)
def test_a_compressed_frame_by_its_own_media_type(server: Server, name: str, kind: str) -> None:
    (head,) = server.store(renamed(name))
    syntax = head.file_meta.TransferSyntaxUID
    accept = f'multipart/related; type="{kind}"; transfer-syntax={syntax}'
    (part,) = parts(server.get(path_of(head) + "/frames/1", accept))
    assert part.get_content_type() == kind
    assert payload(part) == next(generate_frames(pixels_of(name), number_of_frames=1))


@pytest.mark.spec("PS3.18 8.7.3.5.1")
@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_a_compressed_frame_is_decoded_for_who_takes_native_samples(server: Server, name: str) -> None:
    (head,) = server.store(renamed(name))
    (part,) = parts(server.get(path_of(head) + "/frames/1", f'multipart/related; type="{OCTETS}"'))
    assert payload(part) == pixels_of("MR_small.dcm")


@pytest.mark.spec("PS3.18 8.6.1.1")
def test_a_frame_as_a_single_part(server: Server) -> None:
    (head,) = server.store(renamed("MR_small.dcm"))
    answer = server.get(path_of(head) + "/frames/1", OCTETS)
    assert (answer.status_code, answer.content) == (200, pixels_of("MR_small.dcm"))


@pytest.mark.spec("PS3.18 10.4.1.1.5")
def test_bulk_data_as_a_single_part(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    address = str(server.metadata(head)["7FE00010"]["BulkDataURI"])
    assert server.get(address, OCTETS).content == pixels_of("CT_small.dcm")


@pytest.mark.spec("PS3.18 10.4.1.1.5, RFC 9110 14")
@pytest.mark.parametrize(
    ("wanted", "part"), [("10-19", slice(10, 20)), ("-4", slice(-4, None)), ("9-", slice(9, None))]
)
def test_a_range_of_bulk_data(server: Server, wanted: str, part: slice) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    pixels, address = pixels_of("CT_small.dcm"), str(server.metadata(head)["7FE00010"]["BulkDataURI"])
    answer = server.http.get(address, headers={"Accept": OCTETS, "Range": f"bytes={wanted}"})
    assert (answer.status_code, answer.content) == (206, pixels[part])
    first = range(len(pixels))[part][0]
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(pixels)}"


@pytest.mark.spec("RFC 9110 15.5.17")
def test_a_range_outside_is_416(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    address = str(server.metadata(head)["7FE00010"]["BulkDataURI"])
    answer = server.http.get(address, headers={"Accept": OCTETS, "Range": "bytes=9999999-"})
    assert answer.status_code == 416


@pytest.mark.spec("PS3.18 10.4.3")
def test_bulk_data_that_is_not_there_is_404(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    address = (
        str(server.metadata(head)["7FE00010"]["BulkDataURI"])
        .replace("7FE00010", "00990099")
        .replace("7fe00010", "00990099")
    )
    assert server.get(address, f'multipart/related; type="{OCTETS}"').status_code == 404
