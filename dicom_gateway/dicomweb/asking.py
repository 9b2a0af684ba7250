"""Questions to an outside archive, by C-FIND or by QIDO-RS as its entry says.  PS3.4 C.4.1, PS3.18 10.6"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from pydicom.dataset import Dataset
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as StudyRootFind,
)

from dicom_gateway.dicomweb import query
from dicom_gateway.dicomweb.server import connected
from dicom_gateway.dimse import find
from dicom_gateway.dimse.association import UNCOMPRESSED, Proposal, associate
from dicom_gateway.peers import Peer


class Ask(Protocol):
    """Asks one level with keys; the answers as the peer gave them."""

    def __call__(self, level: str, keys: Mapping[str, str], limit: int | None = None) -> list[Dataset]:
        """Ask.  Raises PeerError."""
        ...


@contextmanager
def asking(peer: Peer, silence_seconds: float | None = None) -> Iterator[Ask]:
    """Get ready to ask a peer several questions: on one association, or by one HTTP client.  Raises PeerError."""
    if peer.dicomweb is not None:
        with connected(peer, silence_seconds) as server:

            def by_http(level: str, keys: Mapping[str, str], limit: int | None = None) -> list[Dataset]:
                return query.ask(server, level, keys, limit)

            yield by_http
        return
    proposal = Proposal([(StudyRootFind, UNCOMPRESSED)])
    if silence_seconds is not None:
        proposal = replace(proposal, silence_seconds=silence_seconds)
    with associate(peer, proposal) as assoc:

        def by_dimse(level: str, keys: Mapping[str, str], limit: int | None = None) -> list[Dataset]:
            return find.ask(assoc, find.identifier(level, keys, peer.charset), limit)

        yield by_dimse
