"""WADO-RS for parts of an instance: frames, bulk data, renderings and thumbnails.  PS3.18 10.4.1.1.3 to 10.4.1.1.6"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from io import BytesIO
from typing import BinaryIO

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, EncapsulatedPDFStorage, VLWholeSlideMicroscopyImageStorage
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dicom_gateway.archive import Archive
from dicom_gateway.index.query import Located
from dicom_gateway.web import multipart, render
from dicom_gateway.web.doors import Doors, ranges
from dicom_gateway.web.errors import NotAcceptable, NotFound, WebError
from dicom_gateway.web.frames import PixelLayout, pixel_layout, read_frame, read_header
from dicom_gateway.web.media import ANY_SYNTAX, MediaRange
from dicom_gateway.web.multipart import Part
from dicom_gateway.web.stored import entity_tag
from dicom_gateway.web.wado import PRIVATE, granted, levels, unchanged

OCTETS = "application/octet-stream"
PDF, SLIDE = str(EncapsulatedPDFStorage), str(VLWholeSlideMicroscopyImageStorage)
EXPLICIT = "1.2.840.10008.1.2.1"
PIXEL_TAG = "7FE00010"
# Media types of compressed frames.  PS3.18 Tables 8.7.3-4 and 8.7.3-5
JPEG_LS, JPEG_2000, JPEG_2000_PART_2, HTJ2K = "image/jls", "image/jp2", "image/jpx", "image/jphc"
COMPRESSED = {
    **dict.fromkeys(("50", "51", "57", "70"), "image/jpeg"),
    **dict.fromkeys(("80", "81"), JPEG_LS),
    **dict.fromkeys(("90", "91"), JPEG_2000),
    **dict.fromkeys(("92", "93"), JPEG_2000_PART_2),
    **dict.fromkeys(("201", "202", "203"), HTJ2K),
}


def frame_type(syntax: str) -> str:
    """The media type of a frame in this stored syntax."""
    if syntax == "1.2.840.10008.1.2.5":
        return "image/dicom-rle"
    return COMPRESSED.get(syntax.removeprefix("1.2.840.10008.1.2.4."), OCTETS)


@lru_cache(maxsize=512)
def layout_of(archive: Archive, object_key: str) -> PixelLayout:
    """The pixel layout of a stored object; its bytes never change, so neither does this."""
    with archive.open(object_key) as stream:
        return pixel_layout(stream)


def native_syntax(layout: PixelLayout) -> str:
    """The syntax in which native frames go out: little endian, whatever was stored."""
    return str(layout.transfer_syntax) if layout.transfer_syntax.is_compressed else EXPLICIT


def frame_content_type(media: MediaRange, stored: str) -> tuple[str, bool] | None:
    """Content type of a frame for this range and whether it must be decoded first; None when the range is not met."""
    wanted = media.transfer_syntax
    if wanted in {None, ANY_SYNTAX, stored} and frame_type(stored) != OCTETS and media.matches(frame_type(stored)):
        kind = OCTETS if media.inner == OCTETS else frame_type(stored)
        return f"{kind}; transfer-syntax={stored}", False
    if not media.matches(OCTETS):
        return None
    if wanted in {ANY_SYNTAX, stored} or (wanted in {None, EXPLICIT} and stored == EXPLICIT):
        return f"{OCTETS}; transfer-syntax={stored}", False
    if wanted in {None, EXPLICIT}:
        return f"{OCTETS}; transfer-syntax={EXPLICIT}", True
    return None


def frames(doors: Doors, request: Request) -> Response:
    """Frames by number, each read by its offset.  PS3.18 10.4.1.1.6

    Raises NotFound for a frame that is not there, NotAcceptable when no range is met, WebError 400 for a bad list.
    """
    item = granted(doors, request)[0]
    numbers = frame_list(request.path_params["frames"])
    layout = layout_of(doors.archive, item.object_key)
    for number in numbers:
        layout.spans(number)
    tag = entity_tag([item])
    answer = unchanged(request, tag)
    if answer is not None:
        return answer
    for media in ranges(request):
        chosen = frame_content_type(media, native_syntax(layout))
        if chosen is not None:
            bodies = frame_bodies(doors, item, layout, numbers, decode=chosen[1])
            return frames_response(media, chosen[0], bodies, len(numbers), {"ETag": tag, **PRIVATE})
    raise NotAcceptable(
        "The frames are stored in a syntax that is not among those accepted, and cannot be decoded here."
    )


def frame_list(text: str) -> list[int]:
    """Frame numbers of the path: `1,2,3`.  Raises WebError 400."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise WebError(400, "Frames are numbers, separated by commas.") from error


def frame_bodies(
    doors: Doors, item: Located, layout: PixelLayout, numbers: Iterable[int], *, decode: bool
) -> Iterator[bytes]:
    """The frames one after the other, one in memory at a time."""
    with doors.archive.open(item.object_key) as stream:
        for number in numbers:
            yield decoded(stream, number) if decode else read_frame(stream, layout, number)


def decoded(stream: BinaryIO, number: int) -> bytes:
    """One frame as native little-endian samples."""
    stream.seek(0)
    pixels = render.decode(stream, number, Dataset())
    return pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()


def frames_response(
    media: MediaRange, content_type: str, bodies: Iterator[bytes], count: int, headers: dict[str, str]
) -> Response:
    """The frames as parts, or one frame by itself for a client that asked for a single part."""
    if not media.multipart and media.inner != "*/*":
        if count != 1:
            raise NotAcceptable("Several frames go out as multipart/related.")
        return Response(next(bodies), headers={"Content-Type": content_type, **headers})
    boundary = multipart.new_boundary()
    first = next(bodies)

    def parts() -> Iterator[Part]:
        yield Part({"Content-Type": content_type}, [first])
        for body in bodies:
            yield Part({"Content-Type": content_type}, [body])

    headers = {"Content-Type": multipart.content_type(content_type.partition(";")[0], boundary), **headers}
    body = multipart.write(parts(), boundary)
    return Response(b"".join(body), headers=headers) if count == 1 else StreamingResponse(body, headers=headers)


def bulk_data(doors: Doors, request: Request) -> Response:
    """One binary value by its tag path, such as `00420011` or `54000100/0/54001010`.  PS3.18 10.4.1.1.5

    Compressed pixel data goes out frame by frame; anything else may be asked for by Range.
    """
    item = granted(doors, request)[0]
    path = request.path_params["path"].upper()
    tag = entity_tag([item])
    if path == PIXEL_TAG:
        layout = layout_of(doors.archive, item.object_key)
        if layout.transfer_syntax.is_compressed:
            kind = f"{frame_type(str(layout.transfer_syntax))}; transfer-syntax={layout.transfer_syntax}"
            numbers = range(1, len(layout.frames) + 1)
            bodies = frame_bodies(doors, item, layout, numbers, decode=False)
            return frames_response(
                MediaRange("multipart/related"), kind, bodies, len(numbers), {"ETag": tag, **PRIVATE}
            )
        start, length = layout.frames[0][0][0], sum(layout.length(n + 1) for n in range(len(layout.frames)))
        return bytes_response(request, partial(doors.archive.open, item.object_key), (start, length), tag)
    value = element_value(doors.archive, item, path)
    return bytes_response(request, partial(BytesIO, value), (0, len(value)), tag)


def element_value(archive: Archive, item: Located, path: str) -> bytes:
    """The bytes of one element.  Raises NotFound."""
    with archive.open(item.object_key) as stream:
        ds: Dataset = read_header(stream)
        *steps, last = path.split("/")
        try:
            for sequence, number in zip(steps[::2], steps[1::2], strict=True):
                ds = ds[int(sequence, 16)].value[int(number)]
            element: DataElement = ds[int(last, 16)]
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise NotFound from error
    if not isinstance(element.value, bytes | bytearray):
        raise NotFound
    return bytes(element.value)


def bytes_response(request: Request, open_file: Callable[[], BinaryIO], span: tuple[int, int], tag: str) -> Response:
    """A span of a file, whole or the one range asked for, as parts or by itself.  RFC 9110 14"""
    start, length = span
    headers = {"ETag": tag, "Accept-Ranges": "bytes", **PRIVATE}
    media = ranges(request)[0]
    if media.multipart:
        boundary = multipart.new_boundary()
        part = Part({"Content-Type": OCTETS}, multipart.file_pieces(open_file, start, length))
        headers["Content-Type"] = multipart.content_type(OCTETS, boundary)
        return StreamingResponse(multipart.write([part], boundary), headers=headers)
    first, last = byte_range(request.headers.get("range"), length)
    headers |= {"Content-Type": OCTETS, "Content-Length": str(last - first + 1)}
    status = 200
    if (first, last) != (0, length - 1):
        headers["Content-Range"] = f"bytes {first}-{last}/{length}"
        status = 206
    pieces = multipart.file_pieces(open_file, start + first, last - first + 1)
    return StreamingResponse(pieces, status, headers=headers)


def byte_range(header: str | None, length: int) -> tuple[int, int]:
    """First and last byte of a single range; anything else means the whole.  Raises WebError 416."""
    unit, _, spec = (header or "").partition("=")
    begin, dash, end = spec.partition("-")
    if unit.strip() != "bytes" or not dash or not (begin + end).isdigit():
        return 0, length - 1
    first = int(begin) if begin else max(length - int(end), 0)
    last = min(int(end), length - 1) if begin and end else length - 1
    if first >= length or first > last:
        raise WebError(416, "The range lies outside the value.", {"Content-Range": f"bytes */{length}"})
    return first, last


def rendered(doors: Doors, request: Request) -> Response:
    """A rendering of an instance or frame; `window=centre,width,function`, `viewport=width,height`.  PS3.18 8.3.5"""
    item = granted(doors, request)[0]
    if item.sop_class_uid == PDF:
        return document(doors, request, item)
    numbers = frame_list(request.path_params.get("frames", "1"))
    view = view_of(request, None)
    return picture(doors, request, item, numbers[0], view)


def document(doors: Doors, request: Request, item: Located) -> Response:
    """An encapsulated PDF as the document it is.  PS3.18 8.7.4, PS3.3 C.24.2  Raises NotAcceptable."""
    if not any(media.matches("application/pdf") for media in ranges(request)):
        raise NotAcceptable("The document is served as application/pdf.")
    tag = entity_tag([item])
    with doors.archive.open(item.object_key) as stream:
        length = int(read_header(stream).get("EncapsulatedDocumentLength", 0))
    content = element_value(doors.archive, item, "00420011")
    headers = {"ETag": tag, "Content-Disposition": "inline", "X-Content-Type-Options": "nosniff", **PRIVATE}
    return Response(content[: length or None], media_type="application/pdf", headers=headers)


def thumbnail(doors: Doors, request: Request) -> Response:
    """A small rendering of the middle instance of a study or series, or of an instance's frame.  PS3.18 10.4.1.1.4"""
    shown = pictures(granted(doors, request))
    if not shown:
        raise NotFound
    item = shown[0] if shown[0].sop_class_uid == SLIDE else shown[len(shown) // 2]
    view = view_of(request, (render.THUMBNAIL, render.THUMBNAIL))
    if item.sop_class_uid == PDF:
        return Response(render.document_icon(view.media_type), media_type=view.media_type, headers={**PRIVATE})
    numbers = frame_list(request.path_params.get("frames", str((item.frames + 1) // 2)))
    return picture(doors, request, item, numbers[0], view)


def pictures(instances: list[Located]) -> list[Located]:
    """The instances that can be shown small: images, of a slide those of one tile, without any image documents."""
    images = [item for item in instances if is_image(item.sop_class_uid)]
    slides = [item for item in images if item.sop_class_uid == SLIDE]
    if slides:
        fewest = min(item.frames for item in slides)
        images = sorted((item for item in slides if item.frames == fewest), key=lambda item: -item.size)
    return images or [item for item in instances if item.sop_class_uid == PDF]


def is_image(sop_class_uid: str) -> bool:
    """Whether objects of a class hold pictures: `... Image Storage`, also ` - For Presentation`.  PS3.4 B.5"""
    return "Image Storage" in UID(sop_class_uid).name


def picture(doors: Doors, request: Request, item: Located, frame: int, view: render.View) -> Response:
    """One rendering, with the ETag of its instance."""
    tag = entity_tag([item])
    answer = unchanged(request, tag)
    if answer is not None:
        return answer
    with doors.archive.open(item.object_key) as stream:
        content = render.render(stream, frame, view)
    return Response(content, media_type=view.media_type, headers={"ETag": tag, **PRIVATE})


def view_of(request: Request, box: tuple[int, int] | None) -> render.View:
    """How the picture is to look, by Accept and the rendering parameters.  Raises NotAcceptable, WebError 400."""
    found = next((kind for media in ranges(request) for kind in render.FORMATS if media.matches(kind)), None)
    if found is None:
        raise NotAcceptable("Renderings are image/jpeg, image/png and image/gif.")
    window = numbers_of(request, "window", 2)
    viewport = numbers_of(request, "viewport", 2)
    if (window and window[1] < 1) or (viewport and min(viewport[:2]) < 1):
        raise WebError(400, "The width of a window and both sides of a viewport are 1 or more.")
    size = (int(viewport[0]), int(viewport[1])) if viewport else box
    return render.View((window[0], window[1]) if window else None, size, found)


def numbers_of(request: Request, name: str, count: int) -> list[float] | None:
    """The first numbers of a comma-separated parameter.  Raises WebError 400."""
    value = request.query_params.get(name)
    if value is None:
        return None
    try:
        numbers = [float(part) for part in value.split(",")[:count]]
    except ValueError as error:
        raise WebError(400, f"{name} is {count} numbers.") from error
    if len(numbers) < count or min(abs(number) for number in numbers) > 1e6:
        raise WebError(400, f"{name} is {count} numbers.")
    return numbers


def routes(doors: Doors) -> list[Route]:
    """Routes of frames, bulk data and pictures."""
    study, series, instance = levels()
    table = [
        (instance + "/frames/{frames}", frames),
        (instance + "/frames/{frames}/rendered", rendered),
        (instance + "/frames/{frames}/thumbnail", thumbnail),
        (instance + "/bulkdata/{path:path}", bulk_data),
        (instance + "/rendered", rendered),
        *((path + "/thumbnail", thumbnail) for path in (study, series, instance)),
    ]
    return [Route(path, doors.bind(endpoint), methods=["GET"]) for path, endpoint in table]
