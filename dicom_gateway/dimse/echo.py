"""Whether a peer is there: C-ECHO as SCU, a short question where it is asked by DICOMweb.  PS3.4 Annex A"""

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from sqlalchemy import Engine

from dicom_gateway.dicomweb.query import ask
from dicom_gateway.dicomweb.server import connected
from dicom_gateway.dimse.association import UNCOMPRESSED, Proposal, associate
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer, note
from dicom_gateway.status import SUCCESS, Cause

ECHO_SECONDS = 30


def echo(peer: Peer) -> None:
    """Ask a peer whether it is there; raises PeerError when it is not, or not for us."""
    if peer.dicomweb is not None:
        with connected(peer, ECHO_SECONDS) as server:
            ask(server, "STUDY", {"StudyInstanceUID": ""}, limit=1)
        return
    with associate(peer, Proposal([(Verification, UNCOMPRESSED)], silence_seconds=ECHO_SECONDS)) as assoc:
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
