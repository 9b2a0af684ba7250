"""C-ECHO as SCU.  PS3.4 Annex A"""

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from sqlalchemy import Engine

from dicom_gateway.dimse.association import UNCOMPRESSED, Proposal, associate
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer, note
from dicom_gateway.status import SUCCESS, Cause


def echo(peer: Peer) -> None:
    """Ask a peer whether it is there; raises PeerError when it is not, or not for us."""
    with associate(peer, Proposal([(Verification, UNCOMPRESSED)], silence_seconds=30)) as assoc:
        answer = assoc.send_c_echo()
        if answer.get("Status") != SUCCESS:
            raise PeerError(Cause.NO_ANSWER)


def probe(engine: Engine, peer: Peer) -> PeerError | None:
    """Check a peer and keep the outcome with its record; returns the error, if there was one."""
    try:
        echo(peer)
    except PeerError as error:
        note(engine, peer.name, False, last_error=error.cause)
        return error
    note(engine, peer.name, True, last_error="")
    return None
