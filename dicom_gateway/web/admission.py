"""Who may store what in gateway mode: a person of a case, for its patient.

An instance is admitted when its study is released and shown to the caller, or when the caller names a case that they
may read (`?case=Task/id`; a viewer session has its own), and the data set names the very patient of that study or case,
by id and issuer.  A viewer's objects often name no issuer: in its session the study's own stands for it.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from pydicom.dataset import Dataset
from sqlalchemy import select
from starlette.requests import Request

from dicom_gateway.attributes import issuer, read_identity, text
from dicom_gateway.audit.happened import TRANSFERRED, Agent, Happened, ourselves, put_down
from dicom_gateway.audit.looking import Looker
from dicom_gateway.errors import DataSetMismatch, IngestError
from dicom_gateway.index.models import instance, patient, study
from dicom_gateway.publish import codes
from dicom_gateway.publish.fhir import Resource
from dicom_gateway.reconcile import local_identity
from dicom_gateway.web.api import read_as_caller
from dicom_gateway.web.doors import Doors, ask, bearer_of, looker, static_grant, viewer_session
from dicom_gateway.web.errors import Forbidden, NotFound, Unauthenticated
from konsil.database import reader

STORING = frozenset({"consultant", "radiologist", "requester", "him"})
RELEASED = "released"


class NotAdmitted(IngestError):
    """The study is not the caller's to add to, or is not there at all: the two look alike.  PS3.7 C.4.1"""

    status = 0x0124


@dataclass(frozen=True)
class Admission:
    """One caller who stores.  `studies`: the only ones that a viewer session opens, None for a token."""

    doors: Doors
    looker: Looker
    case: str = ""
    ids: frozenset[tuple[str, str]] = frozenset()
    studies: frozenset[str] | None = None
    _told: set[str] = field(default_factory=set)

    def check(self, data_set: memoryview | BinaryIO, transfer_syntax_uid: str) -> str:
        """For what an instance is admitted; who stores into a study is put down before anything of it is kept.

        Raises NotAdmitted, DataSetMismatch for another patient, CannotUnderstand, TokenRefused.
        """
        if self.doors.access is None:
            return ""
        ds = read_identity(data_set, transfer_syntax_uid)
        uid = text(ds, "StudyInstanceUID")
        ids, open_ = self._held(uid)
        if open_:
            self._check_shown(uid)
        elif ids or not self.ids or self.studies is not None:
            raise NotAdmitted("the study is not open to the caller")
        self._check_patient(ds, ids or self.ids)
        self._tell(uid)
        return self.case or RELEASED

    def _held(self, uid: str) -> tuple[frozenset[tuple[str, str]], bool]:
        """Whose the study is in the index, none for a study that is not there, and whether any of it is released."""
        joined = study.join(patient, study.c.patient_id == patient.c.id)
        released = select(instance.c.id).where(instance.c.study_id == study.c.id, instance.c.state == "released")
        query = select(patient.c.patient_id, patient.c.issuer, released.exists().label("open")).select_from(joined)
        with reader(self.doors.engine).connect() as connection:
            row = connection.execute(query.where(study.c.study_instance_uid == uid)).one_or_none()
        return (frozenset(), False) if row is None else (frozenset({(row.patient_id, row.issuer)}), bool(row.open))

    def _check_shown(self, uid: str) -> None:
        access = self.doors.access
        in_session = self.studies is None or uid in self.studies
        if access is None or not in_session or not ask(partial(access.study, self.looker.token, uid)):
            raise NotAdmitted("the study is not open to the caller")

    def _check_patient(self, ds: Dataset, ids: frozenset[tuple[str, str]]) -> None:
        named, by = text(ds, "PatientID"), issuer(ds)
        own = {known for known, _ in ids} if self.studies is not None and not by else set()
        if not named or ((named, by) not in ids and named not in own):
            raise DataSetMismatch("the data set names another patient than the study or the case")

    def _tell(self, uid: str) -> None:
        if uid in self._told:
            return
        who = self.doors.looking.who(self.looker)
        person = Agent(who.identifier, who.reference, "", who.address, "", who.roles, part="source", asked=True)
        agents = (person, ourselves(self.doors.settings, "destination"))
        happened = Happened(TRANSFERRED, "C", agents, {uid: None}, case=self.case, patience_seconds=60)
        put_down(self.doors.gateway, happened)
        self._told.add(uid)


def admission(doors: Doors, request: Request) -> Admission:
    """Who stores.  Raises Unauthenticated, Forbidden, WebError 400, NotFound for a case that is not theirs to read."""
    if doors.access is None:
        static_grant(doors, request)
        return Admission(doors, Looker("", ""))
    token = bearer_of(request)
    session = viewer_session(doors, request) if token is None else None
    if session is not None:
        if request.headers.get("origin", "").rstrip("/") != doors.settings.base_url.rstrip("/"):
            raise Forbidden("A viewer session stores only from the viewer's own page.")
        token = session.token
    if token is None:
        raise Unauthenticated
    if not ask(partial(doors.access.roles, token)) & STORING:
        raise Forbidden("Objects are stored by those who ask, read, or keep records.")
    case = session.case if session is not None else request.query_params.get("case", "")
    ids = ids_of_case(doors, token, case) if case else frozenset()
    studies = None if session is None else frozenset(session.studies)
    return Admission(doors, looker(request, token), case, ids, studies)


def ids_of_case(doors: Doors, token: str, reference: str) -> frozenset[tuple[str, str]]:
    """Ids with issuers of the patient of a case that the caller may read.  Raises as `read_as_caller`, NotFound."""
    case: Resource = read_as_caller(doors, token, reference, "Task")
    if not codes.is_case(case):
        raise NotFound
    found = read_as_caller(doors, token, codes.reference_of(case.get("for")), "Patient")
    local = local_identity(found, doors.settings.id_domains)
    return frozenset({(local.patient_id, local.issuer), *local.other_ids})
