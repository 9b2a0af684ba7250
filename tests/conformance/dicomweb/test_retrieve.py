"""WADO-RS, clause by clause."""

import email
import email.policy
import io
import zlib
from email.message import EmailMessage

import httpx
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import dcmread

from dicom_gateway.gateway import Gateway
from tests.dicom_gateway.web.data import put, slices, stock

ANY = "multipart/related; type={}application/octet-stream{}; transfer-syntax=*"


def path_of(ds: Dataset) -> str:
    return f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"


def parts(answer: httpx.Response) -> list[EmailMessage]:
    """The parts of a multipart answer, by the standard library's own parser."""
    assert answer.status_code == 200, answer.text
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content, policy=email.policy.HTTP)
    assert isinstance(message, EmailMessage)
    return list(message.iter_parts())  # type: ignore[arg-type]


def payload(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


@pytest.mark.spec("PS3.18 10.4.1.1.1")
def test_objects_go_out_as_they_came(archive: Gateway, client: httpx.Client) -> None:
    files = [*slices(2), stock("JPEG2000.dcm"), stock("MR_small_bigendian.dcm"), stock("image_dfl.dcm")]
    heads = put(archive, *files)
    for file, head in zip(files[2:], heads[2:], strict=True):
        answer = client.get(path_of(head), headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert answer.content == file
        assert str(head.file_meta.TransferSyntaxUID) in answer.headers["content-type"]
    found = parts(
        client.get(
            f"/studies/{heads[0].StudyInstanceUID}", headers={"Accept": 'multipart/related; type="application/dicom"'}
        )
    )
    assert {part.get_content_type() for part in found} == {"application/dicom"}
    assert [dcmread(io.BytesIO(payload(part))).InstanceNumber for part in found] == [1, 2]


@pytest.mark.spec("PS3.18 8.7.8")
def test_another_syntax_than_the_stored_one_is_406(archive: Gateway, client: httpx.Client) -> None:
    (head,) = put(archive, *slices(1))
    wanted = "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"
    assert client.get(path_of(head), headers={"Accept": wanted}).status_code == 406
    assert client.get(path_of(head), headers={"Accept": "text/html"}).status_code == 406


@pytest.mark.spec("PS3.18 10.4.3")
def test_unknown_is_404(archive: Gateway, client: httpx.Client) -> None:
    (head,) = put(archive, *slices(1))
    assert client.get("/studies/1.2.3").status_code == 404
    assert client.get(path_of(head) + "9/metadata").status_code == 404
    assert client.get(path_of(head) + "/frames/2").status_code == 404
    assert client.get(path_of(head) + "/frames/one").status_code == 400


@pytest.mark.spec("PS3.18 10.4.1.1.2")
def test_metadata_has_everything_but_bulk_data(archive: Gateway, client: httpx.Client) -> None:
    (head,) = put(archive, stock("CT_small.dcm"))
    answer = client.get(f"/studies/{head.StudyInstanceUID}/metadata")
    assert answer.headers["content-type"] == "application/dicom+json"
    (model,) = answer.json()
    assert model["00280010"]["Value"] == [128] and model["00180050"]["Value"] == [5.0]
    assert model["00083002"]["Value"] == ["1.2.840.10008.1.2.1"]
    assert model["7FE00010"]["BulkDataURI"].endswith(path_of(head) + "/bulkdata/7FE00010")
    expected = {f"{int(element.tag):08X}" for element in head if element.tag.element != 0}
    assert expected <= set(model)
    squeezed = client.stream("GET", f"/studies/{head.StudyInstanceUID}/metadata", headers={"Accept-Encoding": "gzip"})
    with squeezed as raw:
        assert zlib.decompress(b"".join(raw.iter_raw()), zlib.MAX_WBITS | 16) == answer.content


@pytest.mark.spec("PS3.18 8.4.1, RFC 9110 13.1.2")
def test_metadata_has_an_etag(archive: Gateway, client: httpx.Client) -> None:
    (head,) = put(archive, *slices(1))
    tag = client.get(path_of(head) + "/metadata").headers["etag"]
    assert client.get(path_of(head) + "/metadata", headers={"If-None-Match": tag}).status_code == 304
    assert client.get(path_of(head) + "/metadata", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.spec("PS3.18 8.7.3.5")
@pytest.mark.parametrize("quote", ["", '"'])
def test_native_frame_with_quoted_and_unquoted_type(archive: Gateway, client: httpx.Client, quote: str) -> None:
    (head,) = put(archive, stock("MR_small.dcm"))
    (part,) = parts(client.get(path_of(head) + "/frames/1", headers={"Accept": ANY.format(quote, quote)}))
    assert part["Content-Type"].startswith("application/octet-stream")
    assert payload(part) == dcmread(io.BytesIO(stock("MR_small.dcm"))).PixelData


@pytest.mark.spec("PS3.18 10.4.1.1.6")
@pytest.mark.parametrize(
    "name", ["examples_ybr_color.dcm", "color3d_jpeg_baseline.dcm", "emri_small_jpeg_2k_lossless.dcm", "rtdose_rle.dcm"]
)
def test_each_frame_of_a_multi_frame_object(archive: Gateway, client: httpx.Client, name: str) -> None:
    file = stock(name)
    (head,) = put(archive, file)
    ds = dcmread(io.BytesIO(file))
    count = int(ds.NumberOfFrames)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        expected = list(generate_frames(ds.PixelData, number_of_frames=count))
    else:
        size = len(ds.PixelData) // count
        expected = [ds.PixelData[number * size : (number + 1) * size] for number in range(count)]
    numbers = [1, count // 2 + 1, count]
    answer = client.get(
        path_of(head) + "/frames/" + ",".join(map(str, numbers)), headers={"Accept": ANY.format("", "")}
    )
    assert [payload(part) for part in parts(answer)] == [expected[number - 1] for number in numbers]


@pytest.mark.spec("PS3.18 8.7.3.2")
def test_big_endian_frames_go_out_little_endian(archive: Gateway, client: httpx.Client) -> None:
    (head,) = put(archive, stock("MR_small_bigendian.dcm"))
    (part,) = parts(client.get(path_of(head) + "/frames/1", headers={"Accept": ANY.format("", "")}))
    assert part.get_param("transfer-syntax") == "1.2.840.10008.1.2.1"
    expected = dcmread(io.BytesIO(stock("MR_small_bigendian.dcm"))).pixel_array
    assert np.array_equal(np.frombuffer(payload(part), "<i2").reshape(expected.shape), expected)


@pytest.mark.spec("PS3.18 Table 8.7.3-4")
def test_compressed_frame_as_image_and_decoded(archive: Gateway, client: httpx.Client) -> None:
    (head,) = put(archive, stock("JPEG2000.dcm"))
    url = path_of(head) + "/frames/1"
    stored = client.get(url, headers={"Accept": "image/jp2"})
    assert stored.headers["content-type"].startswith("image/jp2; transfer-syntax=1.2.840.10008.1.2.4.9")
    native = client.get(url, headers={"Accept": "application/octet-stream"})
    assert "transfer-syntax=1.2.840.10008.1.2.1" in native.headers["content-type"]
    assert len(native.content) == head.Rows * head.Columns * 2
    assert client.get(url, headers={"Accept": "image/gif"}).status_code == 406


@pytest.mark.spec("PS3.18 10.4.1.1.5, RFC 9110 14")
def test_bulk_data_whole_and_by_range(archive: Gateway, client: httpx.Client) -> None:
    file = stock("CT_small.dcm")
    (head,) = put(archive, file)
    pixels = dcmread(io.BytesIO(file)).PixelData
    url = path_of(head) + "/bulkdata/7FE00010"
    headers = {"Accept": "application/octet-stream"}
    assert client.get(url, headers=headers).content == pixels
    piece = client.get(url, headers={**headers, "Range": "bytes=10-19"})
    assert (piece.status_code, piece.content) == (206, pixels[10:20])
    assert piece.headers["content-range"] == f"bytes 10-19/{len(pixels)}"
    assert client.get(url, headers={**headers, "Range": "bytes=-4"}).content == pixels[-4:]
    assert client.get(url, headers={**headers, "Range": f"bytes={len(pixels)}-"}).status_code == 416
    assert client.get(path_of(head) + "/bulkdata/00990099", headers=headers).status_code == 404


@pytest.mark.spec("PS3.18 10.4.1.1.3")
def test_rendering_in_a_window_and_a_box(archive: Gateway, client: httpx.Client) -> None:
    (head,) = put(archive, stock("CT_small.dcm"))
    answer = client.get(
        path_of(head) + "/rendered",
        params={"viewport": "64,64", "window": "0,400,LINEAR"},
        headers={"Accept": "image/png"},
    )
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (64, 64), "L")
        assert len(set(image.tobytes())) > 20
    assert client.get(path_of(head) + "/rendered", params={"window": "x"}).status_code == 400
    assert client.get(path_of(head) + "/rendered", headers={"Accept": "video/mp4"}).status_code == 406


@pytest.mark.spec("PS3.18 10.4.1.1.4")
def test_thumbnails_at_every_level(archive: Gateway, client: httpx.Client) -> None:
    head = put(archive, *slices(3, rows=64))[1]
    levels = path_of(head).split("/instances")[0], f"/studies/{head.StudyInstanceUID}", path_of(head)
    for path in levels:
        answer = client.get(path + "/thumbnail")
        assert answer.headers["content-type"] == "image/jpeg" and answer.content.startswith(b"\xff\xd8")


@pytest.mark.spec("PS3.5 8.2, A.4")
@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_jpeg_dcmtk.dcm",
        "examples_palette.dcm",
        "examples_rgb_color.dcm",
        "MR_small_RLE.dcm",
        "JPEG2000.dcm",
    ],
)
def test_what_pydicom_decodes_is_what_goes_out_decoded(archive: Gateway, client: httpx.Client, name: str) -> None:
    file = stock(name)
    (head,) = put(archive, file)
    answer = client.get(path_of(head) + "/frames/1", headers={"Accept": "application/octet-stream"})
    assert len(answer.content) >= head.Rows * head.Columns * head.get("SamplesPerPixel", 1) * head.BitsAllocated // 8
    assert client.get(path_of(head) + "/rendered", headers={"Accept": "image/png"}).status_code == 200
