"""Instances that leave by DIMSE: that it begins, durably before the first one, and how it ended.

DICOM PS3.15 A.5.3.5, A.5.3.7
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from pynetdicom.association import Association

from dicom_gateway.audit.happened import (
    BEGINNING,
    MINOR,
    SERIOUS,
    SUCCESS,
    TRANSFERRED,
    Agent,
    Happened,
    ourselves,
    put_down,
)
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.query import Located
from dicom_gateway.peers import Peer

Ends = tuple[Agent, Agent | None]
"""Who asked, and where it goes when that is somebody else."""


class Counted(Protocol):
    """How many sub-operations there were of each outcome.  PS3.4 C.4.2.1.6"""

    completed: int
    warning: int
    failed: int
    remaining: int


@dataclass
class Told:
    """How it ended; by itself a failure, if nothing is added."""

    outcome: str = SERIOUS
    problem: str = "it broke off"

    def add(self, counted: Counted) -> None:
        """Take the outcome from the counts."""
        sent, missing = counted.completed + counted.warning, counted.failed + counted.remaining
        self.outcome = SUCCESS if not missing else MINOR if sent else SERIOUS
        self.problem = f"{sent} instances sent, {missing} not" if missing else ""


def application(peer: Peer) -> Agent:
    """A registered application entity."""
    return Agent(peer.name, ae_title=peer.ae_title, address=peer.host, title=peer.title, roles=("system",))


def calling(assoc: Association, peer: Peer | None) -> Agent:
    """Who opened an association."""
    requestor = assoc.requestor
    title, address = requestor.ae_title.strip(), str(requestor.address or "")
    name = peer.name if peer else title
    return Agent(name, ae_title=title, address=address, title=peer.title if peer else "", roles=("system",), asked=True)


@contextmanager
def disclosure(gateway: Gateway, found: Sequence[Located], ends: Ends) -> Iterator[Told]:
    """Put down that these instances are about to leave, and afterwards how that ended.  Nothing found is a question
    without an answer, and no disclosure.
    """
    told = Told()
    if not found:
        yield told
        return
    studies: dict[str, int | None] = dict(Counter(item.study_instance_uid for item in found))
    asker, receiver = ends
    to = (replace(receiver, part="destination"), asker) if receiver else (replace(asker, part="destination"),)
    agents = (ourselves(gateway.settings, "source"), *to)
    put_down(gateway, Happened(BEGINNING, "E", agents, studies))
    try:
        yield told
    finally:
        ended = Happened(TRANSFERRED, "R", agents, studies, outcome=told.outcome, problem=told.problem)
        put_down(gateway, ended)
