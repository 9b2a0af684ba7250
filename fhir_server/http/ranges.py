"""A part of a content, by its bytes.  RFC 9110 14"""

import re

from starlette.requests import Request

from fhir_server.errors import RangeNotSatisfiable

ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*\Z", re.ASCII)


def asked_range(request: Request, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole.

    Several ranges, other units and nonsense are passed over (RFC 9110 14.2), and so is a range with `If-Range`: that
    takes strong validators alone (13.1.5), ours are weak. Raises RangeNotSatisfiable.
    """
    text = request.headers.get("range")
    match = ONE_RANGE.match(text) if text and request.method == "GET" and "if-range" not in request.headers else None
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise RangeNotSatisfiable("The range lies outside.", headers={"Content-Range": f"bytes */{size}"})
    return (start, end) if start < end else None
