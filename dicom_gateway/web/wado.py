"""WADO-RS: retrieve instances, metadata, frames, bulk data and renderings.  PS3.18 10.4

Everything is streamed: memory holds a piece of one file at a time, whatever the size of the study. Stored bytes go
out as they are; a frame is read by its offset. Frames are decoded only for a client that accepts nothing but native
samples, objects transcoded only for one that names another syntax.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import chain
from typing import BinaryIO

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dicom_gateway.audit.happened import ACCESSED, TRANSFERRED
from dicom_gateway.index.query import Located, Place
from dicom_gateway.transcode import CannotTranscode, transcode
from dicom_gateway.web import dicom_json, multipart, native_xml
from dicom_gateway.web.doors import Doors, bearer_of, grant_for_study, looker, ranges
from dicom_gateway.web.errors import NotAcceptable, NotFound
from dicom_gateway.web.media import ANY_SYNTAX, MediaRange
from dicom_gateway.web.metadata import of_instances
from dicom_gateway.web.multipart import Part
from dicom_gateway.web.native_xml import XML
from dicom_gateway.web.stored import entity_tag, path_of, released

DICOM = "application/dicom"
Outgoing = tuple[Located, str, Iterator[bytes]]
JSON = "application/dicom+json"
PIECE_BYTES = 256 << 10
PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}


def place_of(request: Request) -> Place:
    """The study, series or instance of the path."""
    names = request.path_params
    return Place(names["study"], names.get("series"), names.get("instance"))


def granted(doors: Doors, request: Request) -> list[Located]:
    """The released instances at the path, if the caller is shown the study, which is put down.  Raises Unauthenticated,
    NotFound.
    """
    place = place_of(request)
    study = request.path_params["study"]
    token = grant_for_study(doors, request, study)
    instances = released(doors.engine, place)
    if not instances:
        raise NotFound
    code = ACCESSED if bearer_of(request) is None else TRANSFERRED
    doors.looking.at(looker(request, token), code, {study: None})
    return instances


def unchanged(request: Request, tag: str) -> Response | None:
    """304 when the client has this very state.  RFC 9110 13.1.2"""
    sent = request.headers.get("if-none-match", "")
    matches = tag in [item.strip().removeprefix("W/") for item in sent.split(",")]
    return Response(status_code=304, headers={"ETag": tag, **PRIVATE}) if matches else None


def retrieve(doors: Doors, request: Request) -> Response:
    """Whole objects, in the transfer syntax that is asked for.  PS3.18 10.4.1.1.1

    multipart/related; type="application/dicom", or application/dicom alone for one instance. Naming no syntax, or `*`,
    takes the stored one; where another is named the objects are transcoded, 406 when the first cannot be.
    """
    instances = granted(doors, request)
    for media in ranges(request):
        alone = not media.multipart and media.inner == DICOM and len(instances) == 1
        if not media.matches(DICOM) or not (alone or media.multipart or media.inner == "*/*"):
            continue
        try:
            objects = outgoing(doors, instances, media.transfer_syntax)
        except CannotTranscode:
            continue
        return single(*next(objects)) if alone else several(doors, objects)
    raise NotAcceptable("No accepted range names a transfer syntax that the objects can be had in without loss.")


def outgoing(doors: Doors, instances: Iterable[Located], syntax: str | None) -> Iterator[Outgoing]:
    """Each object as it goes out; the first is made at once.  Raises CannotTranscode for it.

    A later one that cannot be transcoded goes out as stored: its part says so.
    """
    items = iter(instances)
    first = in_syntax(doors, next(items), syntax)

    def others() -> Iterator[Outgoing]:
        for item in items:
            try:
                yield in_syntax(doors, item, syntax)
            except CannotTranscode:
                yield in_syntax(doors, item, None)

    return chain([first], others())


def in_syntax(doors: Doors, item: Located, syntax: str | None) -> Outgoing:
    """One object in a syntax, as stored for None and `*`: itself, the syntax, its bytes.  Raises CannotTranscode."""
    if syntax in {None, ANY_SYNTAX, item.transfer_syntax_uid}:
        pieces = multipart.file_pieces(partial(doors.archive.open, item.object_key), 0, item.size)
        return item, item.transfer_syntax_uid, pieces
    stream = doors.archive.open(item.object_key)
    try:
        made, pieces = transcode(stream, str(syntax))
    except CannotTranscode:
        stream.close()
        raise
    return item, made, closing_after(stream, pieces)


def closing_after(stream: BinaryIO, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces; then the file is closed."""
    with stream:
        yield from pieces


def dicom_type(syntax: str) -> str:
    """The media type of one object, with its transfer syntax.  PS3.18 8.7.3.5.2"""
    return f"{DICOM}; transfer-syntax={syntax}"


def several(doors: Doors, objects: Iterable[Outgoing]) -> Response:
    """Each object as a part; its file is opened when its turn comes."""
    boundary = multipart.new_boundary()
    parts = (
        Part({"Content-Type": dicom_type(syntax), "Content-Location": doors.root + path_of(item)}, pieces)
        for item, syntax, pieces in objects
    )
    headers = {"Content-Type": multipart.content_type(DICOM, boundary), **PRIVATE}
    return StreamingResponse(multipart.write(parts, boundary), headers=headers)


def single(item: Located, syntax: str, pieces: Iterator[bytes]) -> Response:
    """One object by itself."""
    stored = syntax == item.transfer_syntax_uid
    headers = {"Content-Type": dicom_type(syntax), "ETag": entity_tag([item], "" if stored else syntax), **PRIVATE}
    headers |= {"Content-Length": str(item.size)} if stored else {}
    return StreamingResponse(pieces, headers=headers)


def metadata(doors: Doors, request: Request) -> Response:
    """Metadata of a study, series or instance as DICOM JSON or XML, with an ETag.  PS3.18 10.4.1.1.2"""
    instances = granted(doors, request)
    kind = model_type(ranges(request))
    tag = entity_tag([*instances], kind)
    answer = unchanged(request, tag)
    if answer is not None:
        return answer
    models = (dicom_json.with_root(item, doors.root) for item in of_instances(doors.engine, doors.archive, instances))
    headers = {"ETag": tag, **PRIVATE}
    if kind == XML:
        return xml_response(map(orjson.loads, models), headers)
    headers["Content-Type"] = JSON
    body = metadata_array(models)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return StreamingResponse(gzipped(body), headers={**headers, "Content-Encoding": "gzip"})
    return StreamingResponse(body, headers=headers)


def model_type(accepted: Iterable[MediaRange]) -> str:
    """DICOM JSON or XML, whichever the client likes better.  PS3.18 8.7.3.2  Raises NotAcceptable."""
    for media in accepted:
        if accepts_json(media):
            return JSON
        if media.multipart and media.inner == XML:
            return XML
    raise NotAcceptable(f'Served as {JSON} and as multipart/related; type="{XML}".')


def accepts_json(media: MediaRange) -> bool:
    """DICOM JSON, asked for by its own name, as plain JSON, or by a wildcard."""
    return not media.multipart and (media.matches(JSON) or media.media_type == "application/json")


def xml_response(models: Iterable[native_xml.Model], headers: dict[str, str]) -> Response:
    """Data sets as parts of XML."""
    boundary = multipart.new_boundary()
    kind = {"Content-Type": multipart.content_type(XML, boundary)}
    return StreamingResponse(native_xml.body(models, boundary), headers={**headers, **kind})


def metadata_array(items: Iterable[bytes]) -> Iterator[bytes]:
    """A JSON array, in pieces of some size: each piece of an answer costs a change of threads."""
    pieces, size = [b"["], 1
    for item in items:
        pieces += [item, b","]
        size += len(item)
        if size > PIECE_BYTES:
            yield b"".join(pieces[:-1])
            pieces, size = [b","], 1
    if pieces[-1] == b",":
        pieces.pop()
    yield b"".join([*pieces, b"]"])


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The body compressed while it is made.  RFC 9110 8.4.1.3"""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    for piece in pieces:
        if data := squeeze.compress(piece):
            yield data
    yield squeeze.flush()


@lru_cache(maxsize=1)
def levels() -> tuple[str, ...]:
    """The three levels of WADO-RS resources as paths."""
    study = "/studies/{study}"
    series = study + "/series/{series}"
    return study, series, series + "/instances/{instance}"


def routes(doors: Doors) -> list[Route]:
    """Routes of whole objects and their metadata."""
    table: list[tuple[str, Callable[[Doors, Request], Response]]] = []
    for path in levels():
        table += [(path, retrieve), (path + "/metadata", metadata)]
    return [Route(path, doors.bind(endpoint), methods=["GET"]) for path, endpoint in table]
