"""C-MOVE as SCU, study root: the peer opens associations of its own to our listener.  PS3.4 C.4.2"""

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove as StudyRootMove,
)

from dicom_gateway.dimse.association import UNCOMPRESSED, Proposal, associate
from dicom_gateway.dimse.suboperations import MESSAGE_ID, Follow, Outcome, Watch, follow
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer
from dicom_gateway.status import Cause


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """What to move to ourselves.  `arrived`: how many instances our listener has taken so far, for the watchdog."""

    identifier: Dataset
    arrived: Callable[[], int]
    silence_seconds: float


def move(peer: Peer, request: MoveRequest, hooks: Follow) -> Outcome:
    """Ask a peer to send instances to us.  Raises PeerError when it is refused, breaks off or stays silent."""
    with associate(peer, Proposal([(StudyRootMove, UNCOMPRESSED)], silence_seconds=None)) as assoc:
        watch = Watch(assoc, hooks, request.silence_seconds, request.arrived)
        answers = assoc.send_c_move(request.identifier, peer.our_ae_title, StudyRootMove, msg_id=MESSAGE_ID)
        outcome = follow(StudyRootMove, answers, watch)
        if watch.fired:
            raise PeerError(Cause.NO_ANSWER)
        if outcome.status is None:
            raise PeerError(Cause.ASSOCIATION_ABORTED)
        return outcome
