"""Media ranges and multipart bodies."""

import io
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_gateway.web import multipart
from dicom_gateway.web.errors import WebError
from dicom_gateway.web.media import accepted, parse_accept, parse_media_type
from dicom_gateway.web.multipart import Part, Reader


@pytest.mark.parametrize("quote", ["", '"'])
def test_parameters_are_read_quoted_and_unquoted(quote: str) -> None:
    text = f"multipart/related; type={quote}application/octet-stream{quote}; transfer-syntax=*"
    (media,) = parse_accept([text])
    assert (media.multipart, media.inner, media.transfer_syntax) == (True, "application/octet-stream", "*")


def test_ranges_are_ordered_by_quality_and_zero_is_none() -> None:
    ranges = parse_accept(["image/png;q=0.5, image/jpeg, text/html;q=0", "image/gif;q=0.9"])
    assert [media.media_type for media in ranges] == ["image/jpeg", "image/gif", "image/png"]


def test_query_comes_before_header_and_nothing_means_anything() -> None:
    assert accepted(["image/png"], ["image/jpeg"])[0].media_type == "image/png"
    assert accepted([], [])[0].media_type == "*/*"
    assert accepted(["application/dicom json"], [])[0].media_type == "application/dicom+json"


@given(st.text())
def test_any_accept_header_is_read(text: str) -> None:
    for media in parse_accept([text]):
        assert 0 < media.quality <= 1
        assert isinstance(media.matches("application/dicom+json"), bool)
    parse_media_type(text)


def read_back(body: bytes, boundary: str, size: int) -> list[tuple[dict[str, str], bytes]]:
    """Parts of a body that comes in pieces of this size."""
    found: list[tuple[dict[str, str], bytes]] = []
    headers: list[dict[str, str]] = []

    def open_part(given: dict[str, str]) -> BinaryIO:
        headers.append(given)
        return io.BytesIO()

    def close_part(part: BinaryIO) -> None:
        part.seek(0)
        found.append((headers[-1], part.read()))

    reader = Reader(boundary.encode(), open_part, close_part)
    for start in range(0, len(body), size):
        reader.feed(body[start : start + size])
    reader.finish()
    return found


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 80))
def test_what_is_written_is_read_back_however_it_is_cut(contents: list[bytes], size: int) -> None:
    boundary = multipart.new_boundary()
    parts = [Part({"Content-Type": "application/dicom"}, [content]) for content in contents]
    found = read_back(b"".join(multipart.write(parts, boundary)), boundary, size)
    assert [content for _, content in found] == contents
    assert all(headers == {"content-type": "application/dicom"} for headers, _ in found)


@pytest.mark.parametrize("body", [b"", b"--X\r\n\r\nabc", b"x" * 20_000, b"--X\r\nA: " + b"y" * 20_000])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(WebError) as refused:
        read_back(body, "X", 4096)
    assert refused.value.status == 400
