"""Prior imaging of a patient in the outside PACS: every peer asked at once, every answer checked again.

Peers may ignore birth date and issuer, so nothing is taken on their word: what does not resemble the patient is
dropped.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Event

from pydicom.dataset import Dataset

from dicom_gateway import hours
from dicom_gateway.attributes import integer, text
from dicom_gateway.dicomweb.asking import Ask, asking
from dicom_gateway.errors import PeerError
from dicom_gateway.peers import Peer
from dicom_gateway.reconcile import SPELLING, Difference, Identity, compare, outside_identity, plain
from dicom_gateway.retrieval.state import sentences
from dicom_gateway.status import LATER, SEARCH_REMEDIES, Cause

LIMIT = 200
ASSOCIATIONS = 48  # of all searches together; each ends by itself after `search_seconds`
RETURNED = (
    "StudyInstanceUID StudyDate StudyTime AccessionNumber ModalitiesInStudy StudyDescription PatientName PatientID "
    "IssuerOfPatientID PatientBirthDate PatientSex NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances"
)
WORDS = {"PatientName": "name", "PatientBirthDate": "birth date", "PatientSex": "sex", "PatientID": "record number"}


POOL = ThreadPoolExecutor(max_workers=ASSOCIATIONS, thread_name_prefix="priors")


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for: our patient, how long a peer may take, and what time it is.

    Staff may ask by another name, birth date or record number than ours (`other`, `number`), and of certain days only
    (`20200101-20241231`); what is found is compared with our patient all the same.
    """

    local: Identity
    seconds: float
    now: datetime
    other: Identity | None = None
    number: str = ""
    days: str = ""

    @property
    def asked(self) -> Identity:
        """Who is asked for."""
        return self.other or self.local


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """How a peer took the question: asked, ok, failed, or closed at this hour; cause and remedy are sentences."""

    name: str
    title: str
    state: str
    cause: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Prior:
    """One study of an outside PACS that resembles the patient's; `differences` say in what it does not, in a word,
    `explanations` how each attribute compares, in sentences."""

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
    explanations: list[str]


Told = tuple[PeerAnswer, list[Prior]]


async def search(peers: Sequence[Peer], wanted: Search) -> AsyncGenerator[Told]:
    """Ask all peers that can be asked, at once, and tell each answer as it comes; first that they are asked.

    Slow ones hold nobody up.  Whoever stops listening stops the questions: an association under way ends after the
    question that it asks.
    """
    asked = [peer for peer in peers if "find" in peer.can]
    for peer in asked:
        yield PeerAnswer(peer.name, peer.title, "asked"), []
    stop, loop = Event(), asyncio.get_running_loop()
    pending = [loop.run_in_executor(POOL, ask, peer, wanted, stop) for peer in asked]
    try:
        for each in asyncio.as_completed(pending):
            yield await each
    finally:
        stop.set()
        for future in pending:
            future.cancel()


def ask(peer: Peer, wanted: Search, stop: Event) -> Told:
    """Ask one peer; one that fails is an answer too, and what one found before it fell silent still counts."""
    found: dict[str, Prior] = {}
    if not hours.within(peer.hours, wanted.now):
        return closed(peer), []
    ends = time.monotonic() + wanted.seconds
    try:
        with asking(peer, wanted.seconds) as question:
            for keys in questions(peer, wanted):
                if stop.is_set():
                    break
                found |= answers(question, peer, keys, wanted)
                if time.monotonic() > ends:
                    raise PeerError(Cause.TOO_SLOW)
            if not found and wanted.asked.birth_date and not stop.is_set():
                keys = dated({"PatientBirthDate": wanted.asked.birth_date}, wanted)
                found |= answers(question, peer, keys, wanted)
    except PeerError as error:
        return failure(peer, Cause(error.cause)), list(found.values())
    return PeerAnswer(peer.name, peer.title, "ok"), list(found.values())


def closed(peer: Peer) -> PeerAnswer:
    """A peer that may not be asked now, with its hours."""
    cause = f"{peer.title} is asked at other hours: {', '.join(peer.hours)}."
    return PeerAnswer(peer.name, peer.title, "closed", cause, "Search again then, or send the request without it.")


def failure(peer: Peer, cause: Cause) -> PeerAnswer:
    """Why a peer could not be searched, and what whoever asks can do: none of it needs an administrator."""
    names = {"title": peer.title, "host": peer.host, "port": peer.port, "our": peer.our_ae_title}
    return PeerAnswer(peer.name, peer.title, "failed", sentences(cause, names)[0], SEARCH_REMEDIES.get(cause, LATER))


def answers(question: Ask, peer: Peer, keys: dict[str, str], wanted: Search) -> dict[str, Prior]:
    """Studies that one question brought and that resemble the patient's, by UID.  Raises PeerError."""
    asked = dict.fromkeys(RETURNED.split(), "") | keys
    checked = (resembling(peer, ds, wanted) for ds in question("STUDY", asked, LIMIT))
    return {prior.study_instance_uid: prior for prior in checked if prior is not None}


def dated(keys: dict[str, str], wanted: Search) -> dict[str, str]:
    """The same question of certain days only.  PS3.4 C.2.2.2.5"""
    return keys | ({"StudyDate": wanted.days} if wanted.days else {})


def questions(peer: Peer, wanted: Search) -> list[dict[str, str]]:
    """Keys to ask with: each family and given name with the birth date, and ids of the peer's own domain.

    A name is asked for as it is written and, for houses that know ASCII alone, by its first word without accents; given
    names because some houses turn them round. Where this finds nothing the birth date is asked for alone: misspelt
    names are found by no wild card.
    """
    local = wanted.asked
    full = [name.split("^") for whole in (local.name, *local.other_names) for name in whole.split("=")]
    names = {part for name in full for part in name[:2] if part}
    words = {*names, *(plain(name).split()[0] for name in names if plain(name).strip())}
    asked = [{"PatientName": f"{word}*", "PatientBirthDate": local.birth_date} for word in sorted(words)]
    for number, issuer in ((local.patient_id, local.issuer), *local.other_ids):
        if number and issuer and issuer in {peer.issuer, peer.issuer_oid}:
            asked.append({"PatientID": number})
    if wanted.number:
        asked.append({"PatientID": wanted.number})
    return [dated(keys, wanted) for keys in asked]


def resembling(peer: Peer, ds: Dataset, wanted: Search) -> Prior | None:
    """A study whose patient resembles whom we ask for, None for anybody else's."""
    outside = outside_identity(ds)
    outside = outside if outside.issuer else replace(outside, issuer=peer.issuer)
    by_number = bool(wanted.number) and outside.patient_id == wanted.number
    uid = text(ds, "StudyInstanceUID")
    if not uid or not (by_number or is_same_person(by_keyword(outside, wanted.asked))):
        return None
    found = by_keyword(outside, wanted.local)
    unequal = [item for keyword, item in found.items() if keyword in WORDS and item.verdict in {"near", "different"}]
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
        match="same" if is_sure(found) else "near",
        differences=[WORDS[item.keyword] for item in unequal],
        explanations=[item.explanation for item in found.values() if item.keyword in WORDS and item.outside],
    )


def by_keyword(outside: Identity, local: Identity) -> dict[str, Difference]:
    """Each identifying attribute compared, by its keyword."""
    return {item.keyword: item for item in compare(outside, local)}


def is_sure(found: dict[str, Difference]) -> bool:
    """Whether this is surely our patient: nothing differs but how the name is written, and the birth dates agree.

    Accents, hyphens and the place where given names are split say nothing about a person: many archives know neither.
    """
    if found["PatientBirthDate"].verdict != "same" or any(item.verdict == "different" for item in found.values()):
        return False
    name = found["PatientName"]
    return name.verdict == "same" or name.explanation == SPELLING or found["PatientID"].verdict == "same"


def is_same_person(found: dict[str, Difference]) -> bool:
    """Whether name and birth date go together, or an id of the same issuer says so."""
    if found["PatientID"].verdict == "same":
        return True
    name, birth = found["PatientName"].verdict, found["PatientBirthDate"].verdict
    if name == "missing":
        return birth == "same" and bool(found["PatientName"].outside) and bool(found["PatientName"].local)
    return name in {"same", "near"} and birth in {"same", "near"}
