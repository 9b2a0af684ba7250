"""C-FIND as SCP, patient root and study root, out of the index.  PS3.4 C.4.1, C.6.1, C.6.2

Relational queries are answered without negotiation: a key above the level may be left out.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
)
from sqlalchemy.exc import SQLAlchemyError

from dicom_gateway.attributes import MALFORMED, UNREADABLE, Attributes, tag_of, text
from dicom_gateway.audit.disclosure import calling
from dicom_gateway.audit.happened import QUERY, Happened, ourselves, put_down
from dicom_gateway.errors import QueryRefused
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.matching import LEVELS
from dicom_gateway.index.query import Query, find, unsupported
from dicom_gateway.status import (
    CANCEL,
    IDENTIFIER_MISMATCH,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_OPTIONAL_KEYS_UNSUPPORTED,
    RESPONSE_LIMIT,
)
from konsil.database import reader

logger = logging.getLogger(__name__)

PATIENT_ROOT: Final = frozenset(
    {
        str(PatientRootQueryRetrieveInformationModelFind),
        str(PatientRootQueryRetrieveInformationModelGet),
        str(PatientRootQueryRetrieveInformationModelMove),
    }
)
NOT_KEYS: Final = frozenset(
    {"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC", "QueryRetrieveView"}
)
OURS: Final = frozenset({"RetrieveAETitle", "InstanceAvailability"})
UNDECODABLE: Final = "the identifier does not decode: send it in the agreed syntax"
MOST_MATCHES: Final = 20_000
INDEX_DOWN: Final = "our index does not answer: ask again in some minutes"


def level_of(identifier: Dataset, model: str) -> str:
    """Read the level of a query; raises QueryRefused when the information model does not have it.  PS3.4 C.6"""
    level = text(identifier, "QueryRetrieveLevel").upper()
    levels = LEVELS if model in PATIENT_ROOT else LEVELS[1:]
    if level not in levels:
        raise QueryRefused(f"Query/Retrieve Level must be one of {', '.join(levels)}"[:64])
    return level


def keys_of(identifier: Dataset) -> dict[str, str]:
    """Read the keys of an identifier as matching text; sequences are return keys only."""
    found = {}
    for element in identifier:
        if element.keyword and element.keyword not in NOT_KEYS:
            found[element.keyword] = "" if element.VR == "SQ" else text(identifier, element.keyword)
    return found


def failure(status: int, comment: str) -> Dataset:
    """Make a status with an Error Comment.  PS3.7 C.4"""
    ds = Dataset()
    ds.Status = status
    ds.ErrorComment = comment[:64]
    return ds


def on_c_find(event: evt.Event, gateway: Gateway) -> Iterator[tuple[int | Dataset, Dataset | None]]:
    """Answer a query from what is released.  PS3.4 C.4.1.3

    Yields FF00 with each match, FF01 when keys were passed over; FE00 cancelled; A900 no such level, or an identifier
    that does not decode; A700 when the index does not answer, or the question cannot be put down for the audit; B001
    after the first 20,000 matches of a question that does not name one study.
    """
    try:
        identifier = event.identifier
        level = level_of(identifier, str(event.request.AffectedSOPClassUID))
        keys = keys_of(identifier)
    except QueryRefused as error:
        yield failure(IDENTIFIER_MISMATCH, str(error)), None
        return
    except MALFORMED:
        yield failure(IDENTIFIER_MISMATCH, UNDECODABLE), None
        return
    try:
        pending, hits = _hits(event, gateway, (level, keys))
    except SQLAlchemyError:
        logger.exception("C-FIND refused: the index does not answer")
        yield failure(OUT_OF_RESOURCES, INDEX_DOWN), None
        return
    most = _most(keys)
    for hit in hits[:most]:
        if event.is_cancelled:
            yield CANCEL, None
            return
        yield pending, _answer(hit, keys, identifier, gateway.settings.ae_title)
    if most is not None and len(hits) > most:
        yield failure(RESPONSE_LIMIT, f"the first {most} matches: ask for less at once"), None


def _most(keys: Mapping[str, str]) -> int | None:
    """How many matches are told: all of one study, whose whole list proves that it has been fetched."""
    study = keys.get("StudyInstanceUID", "")
    return MOST_MATCHES if not study or set(study) & set("*?\\") else None


def _hits(event: evt.Event, gateway: Gateway, question: tuple[str, Mapping[str, str]]) -> tuple[int, list[Attributes]]:
    """What answers a question, one more than are told at most; and the status of each answer.

    The question is put down first.  Raises SQLAlchemyError.
    """
    level, keys = question
    query = Query(level, {keyword: value for keyword, value in keys.items() if value and keyword not in OURS})
    with reader(gateway.engine).connect() as connection:
        most = _most(keys)
        hits = find(connection, replace(query, limit=None if most is None else most + 1))
        about = find(connection, replace(query, level="STUDY")) if level == "PATIENT" else hits
    asked(event, gateway, question, about)
    return (PENDING_OPTIONAL_KEYS_UNSUPPORTED if unsupported(query) else PENDING), hits


def asked(
    event: evt.Event, gateway: Gateway, question: tuple[str, Mapping[str, str]], hits: Iterable[Attributes]
) -> None:
    """Put a question down with the studies that answer it, before they are told.  PS3.15 A.5.3.10"""
    level, keys = question
    text_of = " ".join([level, *(f"{keyword}={value}" for keyword, value in keys.items() if value)])
    agents = (
        replace(calling(event.assoc, getattr(event.assoc, "peer", None)), part="source"),
        ourselves(gateway.settings, "destination"),
    )
    studies = {str(hit["0020000D"]["Value"][0]): None for hit in hits if "0020000D" in hit}
    put_down(gateway, Happened(QUERY, "E", agents, studies, query=text_of))


def _answer(hit: Attributes, keys: Iterable[str], identifier: Dataset, ae_title: str) -> Dataset:
    """Give back the attributes that were asked for, empty where there is no value.  PS3.4 C.4.1.1.3.2"""
    wanted = {tag_of(keyword): hit[tag_of(keyword)] for keyword in keys if tag_of(keyword) in hit}
    ds = Dataset.from_json(wanted)
    for keyword in keys:
        if keyword not in ds:
            setattr(ds, keyword, [] if dictionary_VR(tag_for_keyword(keyword) or 0) == "SQ" else None)
    ds.QueryRetrieveLevel = identifier.QueryRetrieveLevel
    ds.RetrieveAETitle = ae_title
    if "InstanceAvailability" in keys:
        ds.InstanceAvailability = "ONLINE"
    charset = _charset(wanted, identifier)
    if charset is not None:
        ds.SpecificCharacterSet = charset
    return ds


def _charset(wanted: Attributes, identifier: Dataset) -> str | list[str] | None:
    """The asker's own character set where the answer fits into it, else UTF-8; none for plain ASCII."""
    written = repr(wanted)
    if written.isascii():
        return None
    asked = identifier.get("SpecificCharacterSet")
    if isinstance(asked, str) and asked:
        try:
            "".join(character for character in written if not character.isascii()).encode(convert_encodings(asked)[0])
        except UNREADABLE:
            return "ISO_IR 192"
        return asked
    return "ISO_IR 192"
