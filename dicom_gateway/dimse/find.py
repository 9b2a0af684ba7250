"""C-FIND as SCU, study root.  PS3.4 C.4.1"""

from collections.abc import Mapping

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as StudyRootFind,
)

from dicom_gateway.dimse.association import UNCOMPRESSED, Proposal, associate
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer
from dicom_gateway.status import (
    CANCEL,
    IDENTIFIER_MISMATCH,
    OUT_OF_RESOURCES,
    SUCCESS,
    Cause,
    is_pending,
    name,
)

MESSAGE_ID = 1


def identifier(level: str, keys: Mapping[str, str], charset: str) -> Dataset:
    """Make a C-FIND, C-MOVE or C-GET identifier; an empty value asks for the attribute back.  PS3.4 C.4.1.1.3.2

    Text that does not fit the peer's character set is sent in UTF-8.
    """
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    if any(not value.isascii() for value in keys.values()):
        ds.SpecificCharacterSet = charset or "ISO_IR 192"
    for keyword, value in keys.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise KeyError(keyword)
        if dictionary_VR(tag) == "SQ":
            setattr(ds, keyword, [])
        else:
            setattr(ds, keyword, value.split("\\") if "\\" in value else value)
    return ds


def find(peer: Peer, level: str, keys: Mapping[str, str], limit: int | None = None) -> list[Dataset]:
    """Query a peer; the answers as it gave them: re-check every one, peers ignore optional keys.

    Past `limit` answers the query is cancelled and what came is returned.  Raises PeerError.
    """
    with associate(peer, Proposal([(StudyRootFind, UNCOMPRESSED)])) as assoc:
        return ask(assoc, identifier(level, keys, peer.charset), limit)


def ask(assoc: Association, query: Dataset, limit: int | None = None) -> list[Dataset]:
    """Send one C-FIND on an open association.  Raises PeerError."""
    found: list[Dataset] = []
    cancelled = False
    for answer, match in assoc.send_c_find(query, StudyRootFind, msg_id=MESSAGE_ID):
        status = answer.get("Status")
        if status is None:
            raise PeerError(Cause.NO_ANSWER)
        if not is_pending(status):
            _check(status, cancelled)
            break
        if match is not None and not cancelled:
            found.append(match)
        if limit is not None and len(found) >= limit and not cancelled:
            cancelled = True
            assoc.send_c_cancel(MESSAGE_ID, query_model=StudyRootFind)
    return found


def _check(status: int, cancelled: bool) -> None:
    if status == SUCCESS or (status == CANCEL and cancelled):
        return
    if status == OUT_OF_RESOURCES:
        raise PeerError(Cause.PEER_OUT_OF_RESOURCES, name(status))
    if status == IDENTIFIER_MISMATCH:
        raise PeerError(Cause.IDENTIFIER_REFUSED, name(status))
    raise PeerError(Cause.QUERY_FAILED, name(status))
