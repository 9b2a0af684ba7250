"""Judging a retrieval: how complete it is proven to be, and why something did not come.

Grades: A, the peer's IMAGE-level UID lists before and after agree and every listed instance is stored; B, its counts
agree with what is stored; C, only the counters of its C-GET or C-MOVE do; D, nothing proves it.  Only A is complete.
"""

from dataclasses import dataclass
from typing import Final, Literal

from dicom_gateway.dimse.suboperations import Outcome
from dicom_gateway.retrieval.listing import Listing
from dicom_gateway.status import (
    IDENTIFIER_MISMATCH,
    MOVE_DESTINATION_UNKNOWN,
    OUT_OF_RESOURCES,
    OUT_OF_RESOURCES_MATCHES,
    SUCCESS,
    Cause,
)

Grade = Literal["A", "B", "C", "D"]

# Lengths at which peers cut their answers off: a list that long may be a list cut short.
ROUND: Final = frozenset({100, 200, 250, 500, 1000, 2000, 2500, 5000, 10000})

OF_STATUS: Final = {
    MOVE_DESTINATION_UNKNOWN: Cause.UNKNOWN_DESTINATION,
    OUT_OF_RESOURCES: Cause.PEER_OUT_OF_RESOURCES,
    OUT_OF_RESOURCES_MATCHES: Cause.PEER_OUT_OF_RESOURCES,
    IDENTIFIER_MISMATCH: Cause.IDENTIFIER_REFUSED,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to judge by.  `stored`: instances here by series; `absent`: how many are
    announced, by UID or by number, and not here.

    `agrees`: whether the list before equals the list after, None when there was no list.  `counters`: whether the
    counters of the last C-GET or C-MOVE of every series agree with what came, None when unknown.
    """

    after: Listing
    agrees: bool | None
    absent: int
    stored: dict[str, int]
    counters: bool | None


def grade(evidence: Evidence) -> Grade:
    """Say how well completeness is proven."""
    if evidence.absent:
        return "D"
    if evidence.agrees and not _cut_off(evidence.after):
        return "A"
    if _counts_agree(evidence.after, evidence.stored):
        return "B"
    return "C" if evidence.counters else "D"


def _cut_off(listing: Listing) -> bool:
    sizes: dict[str, int] = {}
    for item in listing.instances or ():
        sizes[item.series_instance_uid] = sizes.get(item.series_instance_uid, 0) + 1
    return bool(ROUND.intersection(sizes.values())) or len(listing.series) in ROUND


def _counts_agree(listing: Listing, stored: dict[str, int]) -> bool:
    by_series = [item.expected for item in listing.series]
    if by_series and None not in by_series:
        return all(stored.get(item.series_instance_uid, 0) == item.expected for item in listing.series)
    return listing.count is not None and sum(stored.values()) == listing.count


def cause_of_move(outcome: Outcome, associations: set[str]) -> Cause:
    """Find out why a C-MOVE brought nothing of a study that is there.

    Peers answer C000, or success without a sub-operation, for an unknown destination, for our listener being out of
    reach and for refused syntaxes alike; `associations` are the outcomes of those it opened with us meanwhile.
    """
    if outcome.status in OF_STATUS and not associations:
        return OF_STATUS[outcome.status]
    if associations and "accepted" not in associations:
        return Cause.WE_REJECTED
    return Cause.INSTANCES_FAILED if associations else Cause.UNKNOWN_DESTINATION


def cause_of_get(outcome: Outcome) -> Cause:
    """Find out why a C-GET brought nothing of a study that is there."""
    return OF_STATUS.get(outcome.status or SUCCESS, Cause.INSTANCES_FAILED)
