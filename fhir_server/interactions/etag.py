"""Weak ETags name versions.  https://hl7.org/fhir/R4/http.html#versioning"""

import re

from fhir_server.errors import Invalid

ETAG = re.compile(r'\s*(?:W/)?"(\d{1,9})"\s*\Z')


def version_of_etag(text: str | None) -> int | None:
    """The version that If-Match names. Raises Invalid for an ETag that this server never gave."""
    if text is None:
        return None
    match = ETAG.match(text)
    if match is None:
        raise Invalid('If-Match is an ETag of this server: W/"version".')
    return int(match.group(1))


def is_among(etag: str, listed: str) -> bool:
    """Whether `If-None-Match` names this ETag (or any, `*`), compared weakly.  RFC 9110 13.1.2"""
    return any(text.strip() in {"*", etag, etag.removeprefix("W/")} for text in listed.split(","))
