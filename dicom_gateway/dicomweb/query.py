"""QIDO-RS as a user agent: the same questions as C-FIND.  PS3.18 10.6"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
from pydicom.dataset import Dataset

from dicom_gateway.attributes import MALFORMED
from dicom_gateway.dicomweb.server import ABSENT, Server
from dicom_gateway.errors import PeerError
from dicom_gateway.status import Cause

JSON: Final = "application/dicom+json"
PAGE: Final = 1000
MOST: Final = 200_000
NO_CONTENT: Final = 204
ABOVE: Final = {"STUDY": (), "SERIES": ("StudyInstanceUID",), "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID")}
"""The unique keys that stand in the path."""
PLACES: Final = {"StudyInstanceUID": "studies", "SeriesInstanceUID": "series", "SOPInstanceUID": "instances"}
LISTS: Final = {"STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}


def ask(server: Server, level: str, keys: Mapping[str, str], limit: int | None = None) -> list[Dataset]:
    """Query one level, page by page; the answers as the peer gave them.  Raises PeerError."""
    path, query = _question(level, keys)
    found: list[Dataset] = []
    while True:
        wanted = PAGE if limit is None else min(PAGE, limit - len(found))
        page = [*query, ("limit", str(wanted)), *([("offset", str(len(found)))] if found else [])]
        status, body = server.read(path, JSON, page)
        answers = [] if status == NO_CONTENT or status in ABSENT else _answers(body)
        known = {str(each) for each in found[-PAGE:]}
        fresh = [each for each in answers if str(each) not in known]  # who ignores `offset` begins again
        found += fresh[:wanted]
        if len(answers) < wanted or not fresh or len(found) >= (MOST if limit is None else limit):
            return found


def _question(level: str, keys: Mapping[str, str]) -> tuple[str, list[tuple[str, str]]]:
    above = ABOVE[level]
    path = "".join(f"/{PLACES[keyword]}/{keys[keyword]}" for keyword in above) + f"/{LISTS[level]}"
    others = [(keyword, value) for keyword, value in keys.items() if keyword not in above]
    asked = [(keyword, value.replace("\\", ",")) for keyword, value in others if value]
    return path, [*asked, *(("includefield", keyword) for keyword, value in others if not value)]


def _answers(body: bytes) -> list[Dataset]:
    """Raises PeerError for what is no DICOM JSON."""
    try:
        listed: Any = orjson.loads(body)
        return list(_data_sets(listed if isinstance(listed, list) else [listed]))
    except MALFORMED as error:
        raise PeerError(Cause.QUERY_FAILED, "the answer is no DICOM JSON") from error


def _data_sets(listed: Iterable[Any]) -> Iterable[Dataset]:
    for each in listed:
        yield Dataset.from_json(each, bulk_data_uri_handler=lambda *_: None)
