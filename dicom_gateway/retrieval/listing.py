"""Asking a peer what a study has: series with counts, instances with their SOP classes.  PS3.4 C.6.2"""

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_gateway.attributes import integer, text
from dicom_gateway.dicomweb.asking import Ask, asking
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer
from dicom_gateway.retrieval.state import Expected, Series
from dicom_gateway.status import Cause


@dataclass(frozen=True, slots=True)
class Listing:
    """What a peer says a study has.  `count`: its own number; `instances` None when it lists none by UID."""

    count: int | None
    series: tuple[Series, ...]
    instances: tuple[Expected, ...] | None

    @property
    def uids(self) -> frozenset[str] | None:
        """The SOP Instance UIDs, None when they are not known."""
        return None if self.instances is None else frozenset(item.sop_instance_uid for item in self.instances)

    @property
    def expected(self) -> int | None:
        """How many instances to expect: as listed, else as counted."""
        if self.instances is not None:
            return len(self.instances)
        counts = [item.expected for item in self.series]
        if counts and None not in counts:
            return sum(count for count in counts if count is not None)
        return self.count


def list_study(peer: Peer, study_instance_uid: str, renew: Callable[[], None]) -> Listing:
    """Ask for study, series and instances together; every answer is checked to be of this study.

    Raises PeerError, study-not-found among the causes.
    """
    with asking(peer) as ask:
        study = _study(ask, study_instance_uid)
        found = ask(
            "SERIES",
            {
                "StudyInstanceUID": study_instance_uid,
                "SeriesInstanceUID": "",
                "NumberOfSeriesRelatedInstances": "",
            },
        )
        counts = {
            text(ds, "SeriesInstanceUID"): integer(ds, "NumberOfSeriesRelatedInstances")
            for ds in found
            if text(ds, "StudyInstanceUID") in {"", study_instance_uid} and text(ds, "SeriesInstanceUID")
        }
        instances: list[Expected] | None = []
        for uid in sorted(counts):
            renew()
            listed = _instances(ask, study_instance_uid, uid)
            instances = None if listed is None or instances is None else [*instances, *listed]
    series = tuple(Series(uid, count, "due") for uid, count in sorted(counts.items()))
    return Listing(
        integer(study, "NumberOfStudyRelatedInstances"), series, None if instances is None else tuple(instances)
    )


def _study(ask: Ask, study_instance_uid: str) -> Dataset:
    keys = {"StudyInstanceUID": study_instance_uid, "NumberOfStudyRelatedInstances": ""}
    for ds in ask("STUDY", keys):
        if text(ds, "StudyInstanceUID") == study_instance_uid:
            return ds
    raise PeerError(Cause.STUDY_NOT_FOUND)


def _instances(ask: Ask, study: str, series: str) -> list[Expected] | None:
    """List one series; None when the peer does not answer at IMAGE level.

    A peer may fail over the SOP Class UID, which it reads from a file that it has lost: then without.
    """
    for wanted in (("SOPInstanceUID", "SOPClassUID"), ("SOPInstanceUID",)):
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series, **dict.fromkeys(wanted, "")}
        try:
            answers = ask("IMAGE", keys)
        except PeerError as error:
            if error.cause in {Cause.QUERY_FAILED, Cause.IDENTIFIER_REFUSED}:
                continue
            raise
        found = {
            uid: Expected(series, uid, text(ds, "SOPClassUID"))
            for ds in answers
            if (uid := text(ds, "SOPInstanceUID")) and text(ds, "SeriesInstanceUID") in {"", series}
        }
        if found:
            return list(found.values())
    return None
