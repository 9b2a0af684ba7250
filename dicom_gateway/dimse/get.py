"""C-GET as SCU, study root: instances come on our own association.  PS3.4 C.4.3

One context for each SOP class and transfer syntax: peers that see several syntaxes in one context pick one, and then
fail on every object that is stored in another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet as StudyRootGet,
)

from dicom_gateway.dimse.association import MAXIMUM_CONTEXTS, UNCOMPRESSED, Proposal, accepts, associate
from dicom_gateway.dimse.suboperations import MESSAGE_ID, Follow, Outcome, Watch, follow
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer
from dicom_gateway.status import Cause

# In the order in which they matter: what is cut off when a study has too many SOP classes is at the end.
SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit little endian
    "1.2.840.10008.1.2",  # implicit little endian
    "1.2.840.10008.1.2.4.70",  # JPEG lossless SV1
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near lossless
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # explicit big endian
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC/H.264 high profile
    "1.2.840.10008.1.2.4.103",  # MPEG-4 AVC/H.264 BD compatible
    "1.2.840.10008.1.2.4.100",  # MPEG2 main profile
    "1.2.840.10008.1.2.4.101",  # MPEG2 main profile, high level
    "1.2.840.10008.1.2.4.107",  # HEVC/H.265 main profile
    "1.2.840.10008.1.2.4.92",  # JPEG 2000 multi-component lossless
    "1.2.840.10008.1.2.4.93",  # JPEG 2000 multi-component
)


@dataclass(frozen=True, slots=True)
class Message:
    """One C-STORE request as it came: what the command set and the context say, and the P-DATA bytes."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: memoryview


@dataclass(frozen=True, slots=True)
class GetRequest:
    """What to get: the identifier, and the SOP classes that may come.  `store` keeps one instance, gives a status."""

    identifier: Dataset
    sop_class_uids: Sequence[str]
    store: Callable[[Message], int]
    silence_seconds: float


def get(peer: Peer, request: GetRequest, hooks: Follow) -> Outcome:
    """Fetch instances over our own association.  Raises PeerError when C-GET itself is refused."""
    watches: list[Watch] = []

    def on_store(event: evt.Event) -> int:
        for watch in watches:
            watch.touch()
        status = request.store(message_of(event.request, event.context.transfer_syntax))
        hooks.progress()
        return status

    proposal = Proposal(
        contexts=[(StudyRootGet, UNCOMPRESSED), *storage_contexts(request.sop_class_uids)],
        as_scp=list(request.sop_class_uids),
        handlers=[(evt.EVT_C_STORE, on_store)],
        silence_seconds=None,
    )
    with associate(peer, proposal) as assoc:
        if not accepts(assoc, StudyRootGet):
            raise PeerError(Cause.CONTEXTS_REFUSED, "C-GET")
        watches.append(Watch(assoc, hooks, request.silence_seconds))
        answers = assoc.send_c_get(request.identifier, StudyRootGet, msg_id=MESSAGE_ID)
        outcome = follow(StudyRootGet, answers, watches[0])
        return _checked(assoc, watches[0], outcome)


def _checked(assoc: Association, watch: Watch, outcome: Outcome) -> Outcome:
    if watch.fired:
        raise PeerError(Cause.NO_ANSWER)
    if outcome.status is None:
        raise PeerError(Cause.ASSOCIATION_ABORTED)
    return outcome


def storage_contexts(sop_class_uids: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Propose each class in each syntax, as many as an association holds beside the C-GET context."""
    room = (MAXIMUM_CONTEXTS - 1) // max(1, len(sop_class_uids))
    if room == 0:
        raise PeerError(Cause.CONTEXTS_REFUSED, "too many SOP classes for one association")
    return [(uid, (syntax,)) for uid in sop_class_uids for syntax in SYNTAXES[:room]]


def message_of(request: Any, transfer_syntax: str | UID) -> Message:
    """Take a C-STORE request apart without copying its data set."""
    return Message(
        str(request.AffectedSOPClassUID),
        str(request.AffectedSOPInstanceUID),
        str(transfer_syntax),
        request.DataSet.getbuffer(),
    )
