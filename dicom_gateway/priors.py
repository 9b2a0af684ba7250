"""Prior imaging of a patient in the outside PACS: every peer asked at once, every answer checked again.

Peers may ignore birth date and issuer, so nothing is taken on their word: what does not resemble the patient is
dropped.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as StudyRootFind,
)

from dicom_gateway.attributes import integer, text
from dicom_gateway.dimse import find
from dicom_gateway.dimse.association import UNCOMPRESSED, Proposal, associate
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer
from dicom_gateway.reconcile import Difference, Identity, compare, outside_identity, plain
from dicom_gateway.retrieval.state import sentences
from dicom_gateway.status import LATER, SEARCH_REMEDIES, Cause

LIMIT = 200
WIDTH = 8
RETURNED = (
    "StudyInstanceUID StudyDate StudyTime AccessionNumber ModalitiesInStudy StudyDescription PatientName PatientID "
    "IssuerOfPatientID PatientBirthDate PatientSex NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances"
)
WORDS = {"PatientName": "name", "PatientBirthDate": "birth date", "PatientSex": "sex", "PatientID": "record number"}


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """How a peer took the question; cause and remedy are sentences."""

    name: str
    title: str
    state: str
    cause: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Prior:
    """One study of an outside PACS that resembles the patient's; `differences` say in what it does not."""

    peer: str
    study_instance_uid: str
    date: str
    time: str
    modalities: list[str]
    description: str
    series: int | None
    instances: int | None
    patient_name: str
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    match: str
    differences: list[str]


def search(peers: Iterable[Peer], local: Identity, seconds: float) -> dict[str, list[dict[str, object]]]:
    """Ask all peers that can be asked, each for at most so long; newest studies first."""
    asked = [peer for peer in peers if "find" in peer.can]
    with ThreadPoolExecutor(max_workers=WIDTH) as pool:
        answers = list(pool.map(lambda peer: ask(peer, local, seconds), asked))
    studies = [study for _, found in answers for study in found]
    studies.sort(key=lambda study: (study.date, study.time), reverse=True)
    return {"peers": [asdict(answer) for answer, _ in answers], "studies": [asdict(study) for study in studies]}


def ask(peer: Peer, local: Identity, seconds: float) -> tuple[PeerAnswer, list[Prior]]:
    """Ask one peer; one that fails is an answer too, and what one found before it fell silent still counts."""
    found: dict[str, Prior] = {}
    ends = time.monotonic() + seconds
    try:
        with associate(peer, Proposal([(StudyRootFind, UNCOMPRESSED)], silence_seconds=seconds)) as assoc:
            for keys in questions(peer, local):
                found |= answers(assoc, peer, keys, local)
                if time.monotonic() > ends:
                    raise PeerError(Cause.TOO_SLOW)
            if not found and local.birth_date:
                found |= answers(assoc, peer, {"PatientBirthDate": local.birth_date}, local)
    except PeerError as error:
        return failure(peer, Cause(error.cause)), list(found.values())
    return PeerAnswer(peer.name, peer.title, "ok"), list(found.values())


def failure(peer: Peer, cause: Cause) -> PeerAnswer:
    """Why a peer could not be searched, and what whoever asks can do: none of it needs an administrator."""
    names = {"title": peer.title, "host": peer.host, "port": peer.port, "our": peer.our_ae_title}
    return PeerAnswer(peer.name, peer.title, "failed", sentences(cause, names)[0], SEARCH_REMEDIES.get(cause, LATER))


def answers(assoc: Association, peer: Peer, keys: dict[str, str], local: Identity) -> dict[str, Prior]:
    """Studies that one question brought and that resemble the patient's, by UID.  Raises PeerError."""
    asked = dict.fromkeys(RETURNED.split(), "") | keys
    answered = find.ask(assoc, find.identifier("STUDY", asked, peer.charset), LIMIT)
    checked = (resembling(peer, ds, local) for ds in answered)
    return {prior.study_instance_uid: prior for prior in checked if prior is not None}


def questions(peer: Peer, local: Identity) -> list[dict[str, str]]:
    """Keys to ask with: each family and given name with the birth date, and ids of the peer's own domain.

    A name is asked for as it is written and, for houses that know ASCII alone, by its first word without accents; given
    names because some houses turn them round. Where this finds nothing the birth date is asked for alone: misspelt
    names are found by no wild card.
    """
    full = [name.split("^") for whole in (local.name, *local.other_names) for name in whole.split("=")]
    names = {part for name in full for part in name[:2] if part}
    words = {*names, *(plain(name).split()[0] for name in names if plain(name).strip())}
    asked = [{"PatientName": f"{word}*", "PatientBirthDate": local.birth_date} for word in sorted(words)]
    for number, issuer in ((local.patient_id, local.issuer), *local.other_ids):
        if number and issuer and issuer in {peer.issuer, peer.issuer_oid}:
            asked.append({"PatientID": number})
    return asked


def resembling(peer: Peer, ds: Dataset, local: Identity) -> Prior | None:
    """A study whose patient resembles ours, None for anybody else's."""
    outside = outside_identity(ds)
    outside = outside if outside.issuer else replace(outside, issuer=peer.issuer)
    found = {item.keyword: item for item in compare(outside, local)}
    uid = text(ds, "StudyInstanceUID")
    if not uid or not is_same_person(found):
        return None
    differing = [WORDS[keyword] for keyword in WORDS if found[keyword].verdict in {"near", "different"}]
    return Prior(
        peer=peer.name,
        study_instance_uid=uid,
        date=text(ds, "StudyDate"),
        time=text(ds, "StudyTime"),
        modalities=[code for code in text(ds, "ModalitiesInStudy").split("\\") if code],
        description=text(ds, "StudyDescription"),
        series=integer(ds, "NumberOfStudyRelatedSeries"),
        instances=integer(ds, "NumberOfStudyRelatedInstances"),
        patient_name=outside.name,
        patient_id=outside.patient_id,
        issuer=outside.issuer,
        birth_date=outside.birth_date,
        sex=outside.sex,
        match="near" if differing else "same",
        differences=differing,
    )


def is_same_person(found: dict[str, Difference]) -> bool:
    """Whether name and birth date go together, or an id of the same issuer says so."""
    if found["PatientID"].verdict == "same":
        return True
    name, birth = found["PatientName"].verdict, found["PatientBirthDate"].verdict
    if name == "missing":
        return birth == "same" and bool(found["PatientName"].outside) and bool(found["PatientName"].local)
    return name in {"same", "near"} and birth in {"same", "near"}
