"""WADO-RS renderings and thumbnails, clause by clause."""

import io

import pytest
from PIL import Image

from tests.conformance.dicomweb.client import Server, path_of
from tests.dicom_gateway.web.data import renamed, slices


def picture(server: Server, path: str, accept: str = "image/png", **parameters: str) -> Image.Image:
    """The picture at an address."""
    answer = server.get(path, accept, **parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == accept
    image = Image.open(io.BytesIO(answer.content))
    image.load()
    return image


@pytest.mark.spec("PS3.18 Table 8.7.4-1")
@pytest.mark.parametrize(("accept", "kind"), [("image/jpeg", "JPEG"), ("image/png", "PNG"), ("image/gif", "GIF")])
def test_an_image_as_each_consumer_type(server: Server, accept: str, kind: str) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    image = picture(server, path_of(head) + "/rendered", accept)
    assert (image.format, image.size) == (kind, (128, 128))


@pytest.mark.spec("PS3.18 Table 8.7.4-1")
def test_jpeg_is_the_default(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    assert server.get(path_of(head) + "/rendered", "*/*").headers["content-type"] == "image/jpeg"


@pytest.mark.spec("PS3.18 8.3.5.1.3")
def test_viewport_is_the_size(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    assert picture(server, path_of(head) + "/rendered", viewport="64,64").size == (64, 64)


@pytest.mark.spec("PS3.18 8.3.5.1.3")
def test_viewport_keeps_the_proportions(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    assert max(picture(server, path_of(head) + "/rendered", viewport="100,50").size) in {50, 100}


@pytest.mark.spec("PS3.18 8.3.5.1.4")
def test_window_is_used(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    soft = picture(server, path_of(head) + "/rendered", window="40,400,linear")
    bone = picture(server, path_of(head) + "/rendered", window="600,3000,linear")
    assert soft.convert("L").tobytes() != bone.convert("L").tobytes()


@pytest.mark.spec("PS3.18 8.3.5.1, 10.4.3")
@pytest.mark.parametrize("query", ["window=x", "window=40,0,linear", "viewport=0,0", "viewport=wide"])
def test_wrong_parameters_are_400(server: Server, query: str) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    assert server.get(f"{path_of(head)}/rendered?{query}", "image/png").status_code == 400


@pytest.mark.spec("PS3.18 10.4.1.1.3")
def test_a_frame_of_many_is_rendered(server: Server) -> None:
    (head,) = server.store(renamed("color3d_jpeg_baseline.dcm"))
    pictures = [picture(server, f"{path_of(head)}/frames/{number}/rendered") for number in (1, 60)]
    assert [image.size for image in pictures] == [(head.Columns, head.Rows)] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()


@pytest.mark.spec("PS3.18 10.4.1.1.4")
@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_thumbnail_of_each_level(server: Server, level: str) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    steps = {"study": 2, "series": 4, "instance": 6}
    path = "/".join(path_of(head).split("/")[: steps[level] + 1])
    image = picture(server, path + "/thumbnail", "image/jpeg")
    assert max(image.size) <= 256


@pytest.mark.spec("PS3.18 10.4.1.1.4, 8.3.5.1.3")
def test_thumbnail_has_the_size_asked_for(server: Server) -> None:
    (head,) = server.store(renamed("CT_small.dcm"))
    assert picture(server, path_of(head) + "/thumbnail", viewport="48,48").size == (48, 48)


@pytest.mark.spec("PS3.18 8.7.4")
@pytest.mark.parametrize(
    "name",
    ["SC_rgb_jpeg_dcmtk.dcm", "examples_palette.dcm", "examples_rgb_color.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"],
)
def test_each_kind_of_pixel_is_drawn(server: Server, name: str) -> None:
    (head,) = server.store(renamed(name))
    image = picture(server, path_of(head) + "/rendered")
    assert len(set(image.convert("L").tobytes())) > 10


@pytest.mark.spec("PS3.18 8.7.4")
def test_what_has_no_pixels_cannot_be_drawn(server: Server) -> None:
    (head,) = server.store(renamed("reportsi.dcm"))
    assert server.get(path_of(head) + "/rendered", "image/png").status_code in {400, 404, 406}


@pytest.mark.spec("PS3.18 10.4.1.1.3")
def test_a_series_of_instances_is_rendered_one_by_one(server: Server) -> None:
    heads = server.store(*slices(2))
    assert all(picture(server, path_of(head) + "/rendered").size == (16, 16) for head in heads)
