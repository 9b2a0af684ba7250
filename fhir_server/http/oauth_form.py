"""Form-encoded parameters of OAuth requests and of our own pages, every value kept: repeating one is an error there."""

from urllib.parse import parse_qs

from authlib.oauth2.rfc6749 import InvalidRequestError
from starlette.requests import Request

FORM_BYTES = 65_536
FORM_FIELDS = 50
MEDIA_TYPE = "application/x-www-form-urlencoded"


async def read(request: Request) -> dict[str, list[str]]:
    """Read a form body with all values of each field.  Raises InvalidRequestError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise InvalidRequestError(f"the body must be {MEDIA_TYPE}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise InvalidRequestError("the body is too large")
    return parse(bytes(body))


async def single(request: Request) -> dict[str, str]:
    """Read a form body, of each field the first value.  Raises InvalidRequestError."""
    return {name: values[0] for name, values in (await read(request)).items()}


def parse(query: bytes) -> dict[str, list[str]]:
    """Read form-encoded parameters, blank ones included.  Raises InvalidRequestError."""
    try:
        return parse_qs(query.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="strict")
    except ValueError as error:
        raise InvalidRequestError("malformed parameters") from error
