"""Retrieving a study from an outside PACS: asked for once, carried on through any stop, ended with a named outcome.

`request`, `cancel` and `progress` are for those who want a study; `step` is what a worker runs, again and again,
each time less than a minute beyond the peer's own pace, until it is done.
"""

import time
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, insert

from dicom_gateway import aside, hours
from dicom_gateway.errors import NotFound, PeerError
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import outbox, retrieval
from dicom_gateway.peers import Peer, by_name, note
from dicom_gateway.retrieval import state
from dicom_gateway.retrieval.fetch import Fetch, Stopped, Ticker
from dicom_gateway.retrieval.judge import Evidence, grade
from dicom_gateway.retrieval.listing import Listing, list_study
from dicom_gateway.retrieval.state import Retrieval, sentences
from dicom_gateway.status import Cause
from konsil.database import reader
from konsil.outbox import Again, Job, NewJob, enqueue

KIND = "retrieve"
MEDIA = "Uploaded media"
"""Stands where a retrieval names its peer, for studies that HIM staff uploaded."""
ROUNDS = 2
PRIORITIES = {"urgent": 1, "asap": 2, "stat": 3}
"""Codes of Task.priority by how they go before each other; whatever else is routine, 0.  R4 request-priority"""
YIELD_SECONDS = 2.0
LIFE_SECONDS = 60.0
"""A more urgent study holds others up only as long as something happens to it."""
LONGEST_WAIT_SECONDS = 600.0
"""How long a study waits before the peer's hours are looked at again: they may have been changed."""

# After these the same request may well succeed later; after any other only a person can help.
PASSING = {
    Cause.PEER_DOWN,
    Cause.ASSOCIATION_ABORTED,
    Cause.NO_ANSWER,
    Cause.PEER_OUT_OF_RESOURCES,
    Cause.QUERY_FAILED,
    Cause.STORAGE_FULL,
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How a retrieval stands.  `completeness` A to D once it has ended; `cause` and `remedy` are sentences."""

    task_id: str
    peer: str
    study_instance_uid: str
    state: str
    expected: int | None
    received: int
    failed: int
    completeness: str | None
    cause_code: str | None
    cause: str | None
    remedy: str | None
    revision: int
    aside: int = 0


def request(
    connection: Connection, task_id: str, peer: str, study_instance_uid: str, *, priority: str = "routine"
) -> None:
    """Ask for a study, in the caller's transaction; asking again changes nothing, unless the last attempt failed.

    Series by series the study of higher priority, a code of R4's request-priority, goes first.
    """
    now = time.time()
    try:
        row = state.load(connection, task_id)
    except NotFound:
        values = {
            "task_id": task_id,
            "peer": peer,
            "study_instance_uid": study_instance_uid,
            "state": "requested",
            "priority": PRIORITIES.get(priority, 0),
            "created_at": now,
            "updated_at": now,
        }
        connection.execute(insert(retrieval).values(values))
        _enqueue(connection, task_id, 1)
        return
    if row.state in {"failed", "cancelled"}:
        again = {"state": "requested", "attempts": 0, "rounds": 0, "cause": None, "detail": None, "finished_at": None}
        again["priority"] = PRIORITIES.get(priority, 0)
        state.change(connection, task_id, **again, failed=0, completeness=None, cancel_requested=False)
        _enqueue(connection, task_id, row.revision + 1)


def cancel(connection: Connection, task_id: str) -> None:
    """Ask that a retrieval be stopped; what arrived stays in quarantine.  Raises NotFound."""
    if not state.load(connection, task_id).ended:
        state.change(connection, task_id, cancel_requested=True)


def progress(connection: Connection, task_id: str) -> Progress:
    """Tell how a retrieval stands.  Raises NotFound."""
    row = state.load(connection, task_id)
    try:
        peer = by_name(connection, row.peer)
        names = {"title": peer.title, "host": peer.host, "port": peer.port, "our": peer.our_ae_title}
    except NotFound:
        names = {"title": row.peer, "host": "", "port": "", "our": ""}
    told, remedy = sentences(row.cause, names)
    return Progress(
        task_id=row.task_id,
        peer=row.peer,
        study_instance_uid=row.study_instance_uid,
        state=row.state,
        expected=row.expected,
        received=row.received,
        failed=row.failed,
        completeness=row.completeness,
        cause_code=row.cause,
        cause=told,
        remedy=remedy,
        revision=row.revision,
        aside=aside.of_retrieval(connection, task_id),
    )


def sender(connection: Connection, task_id: str) -> tuple[str, str]:
    """What people call the archive that a retrieval was from, and the issuer that it means.  Raises NotFound."""
    name = state.load(connection, task_id).peer
    if name == MEDIA:
        return MEDIA, ""
    peer = by_name(connection, name)
    return peer.title, peer.issuer


def _enqueue(connection: Connection, task_id: str, generation: int) -> None:
    job = NewJob(KIND, {"task_id": task_id}, f"{KIND}:{task_id}:{generation}", order_key=f"{KIND}:{task_id}")
    connection.execute(enqueue(outbox, connection.dialect.name, job))


def step(gateway: Gateway, job: Job) -> Again | None:
    """Carry one retrieval a step further.

    Raises LeaseLost; a peer that fails is no error of the job but the retrieval's outcome, or a reason to wait.
    """
    task_id = str(job.payload["task_id"])
    with reader(gateway.engine).connect() as connection:
        row = state.load(connection, task_id)
    if row.ended:
        return None
    steps = _Steps(gateway, row, job)
    try:
        return steps.next()
    except Stopped:
        steps.end("cancelled", cause=Cause.CANCELLED)
        return None
    except PeerError as error:
        return steps.failed(error)


class _Steps:
    """The steps of one retrieval."""

    def __init__(self, gateway: Gateway, row: Retrieval, job: Job) -> None:
        self._gateway = gateway
        self._row = row
        self._job = job

    def next(self) -> Again | None:
        """Do what its state says is next."""
        if self._row.cancel_requested:
            raise Stopped
        peer = self._peer()
        if wait := hours.seconds_until(peer.hours, datetime.now(ZoneInfo(self._gateway.settings.time_zone))):
            if self._row.cause != Cause.OTHER_HOURS:
                self._change(state="waiting", cause=str(Cause.OTHER_HOURS))
            return Again(min(wait, LONGEST_WAIT_SECONDS))
        if self._gives_way():
            return Again(YIELD_SECONDS)
        if self._row.state in {"requested", "listing", "waiting"} and not self._row.listing:
            return self._list(peer)
        return self._fetch(peer)

    def _gives_way(self) -> bool:
        with reader(self._gateway.engine).connect() as connection:
            return state.more_urgent(connection, self._row, time.time() - LIFE_SECONDS)

    def _peer(self) -> Peer:
        with reader(self._gateway.engine).connect() as connection:
            try:
                return by_name(connection, self._row.peer)
            except NotFound as error:
                raise PeerError(Cause.UNKNOWN_PEER) from error

    def _list(self, peer: Peer) -> Again:
        """Write down what the peer says the study has."""
        self._change(state="listing")
        listing = list_study(peer, self._row.study_instance_uid, self._job.renew)
        note(self._gateway.engine, peer.name, True)
        with self._gateway.engine.begin() as connection:
            state.forget(connection, self._row.task_id)
            state.expect(connection, self._row.task_id, listing.series, listing.instances or ())
            kind = "series" if listing.instances is None else "instances"
            changed = {"state": "fetching", "listing": kind, "expected": listing.expected, "cause": None}
            state.change(connection, self._row.task_id, **changed)
        return Again()

    def _fetch(self, peer: Peer) -> Again | None:
        """Fetch the next series that is due; when there is none, list again and judge."""
        ticker = Ticker(self._gateway, self._row, self._job.renew)
        fetch = Fetch(self._gateway, peer, self._row, ticker)
        with reader(self._gateway.engine).connect() as connection:
            due = [item for item in state.all_series(connection, self._row.task_id) if item.state == "due"]
        if not due:
            return self._verify(peer)
        if self._row.state != "fetching":
            self._change(state="fetching", cause=None)
        uid = due[0].series_instance_uid
        fetch.series(uid)
        ticker.update()
        with self._gateway.engine.begin() as connection:
            state.set_series(connection, self._row.task_id, [uid], "fetched")
            detail = None if fetch.cause is None else str(fetch.cause)
            proven = "counted" if fetch.counters else "uncounted"
            state.change(connection, self._row.task_id, method=fetch.method, detail=detail or proven)
        return Again()

    def _verify(self, peer: Peer) -> Again | None:
        """List again: what is new or still missing is fetched once more, then the retrieval is judged."""
        self._change(state="verifying")
        after = list_study(peer, self._row.study_instance_uid, self._job.renew)
        self._gateway.ingest.replay()
        with self._gateway.engine.begin() as connection:
            before = frozenset(
                item.sop_instance_uid for item in state.expected_instances(connection, self._row.task_id)
            )
            state.expect(connection, self._row.task_id, after.series, after.instances or ())
            absent = state.missing(connection, self._row.task_id)
            due = {item.series_instance_uid for item in absent}
            due |= {
                item.series_instance_uid
                for item in state.all_series(connection, self._row.task_id)
                if item.state == "due"
            }
            if due and self._row.rounds < ROUNDS:
                state.set_series(connection, self._row.task_id, due, "due")
                expected = len(before | (after.uids or frozenset())) or after.expected
                changed = {"state": "fetching", "rounds": self._row.rounds + 1, "expected": expected}
                state.change(connection, self._row.task_id, **changed)
                return Again()
            stored = state.count_series(connection, self._row.study_instance_uid)
        lacking = len(absent) or max(0, (after.expected or 0) - sum(stored.values()))
        evidence = Evidence(after, self._agrees(before, after), lacking, stored, self._row.detail == "counted")
        self._judge(evidence)
        return None

    def _agrees(self, before: frozenset[str], after: Listing) -> bool | None:
        if self._row.listing != "instances" or after.uids is None:
            return None
        return before == after.uids

    def _judge(self, evidence: Evidence) -> None:
        completeness = grade(evidence)
        received = self._received()
        absent = Cause.UNREADABLE if self._aside() else Cause.INSTANCES_FAILED
        if received == 0:
            raise PeerError(self._row.detail if self._row.detail in set(Cause) - {Cause.INSTANCES_FAILED} else absent)
        cause = None
        if evidence.absent:
            cause = absent
        elif completeness != "A":
            cause = Cause.NOT_PROVEN_COMPLETE
        self.end("completed", cause=cause, completeness=completeness, failed=evidence.absent, received=received)

    def _received(self) -> int:
        with reader(self._gateway.engine).connect() as connection:
            return state.count_received(connection, state.load(connection, self._row.task_id))

    def _aside(self) -> int:
        with reader(self._gateway.engine).connect() as connection:
            return aside.of_retrieval(connection, self._row.task_id)

    def failed(self, error: PeerError) -> Again | None:
        """Wait and try again where that may help, else end; the cause stands in the retrieval either way."""
        cause = Cause(error.cause)
        settings = self._gateway.settings
        with reader(self._gateway.engine).connect() as connection:
            row = state.load(connection, self._row.task_id)
        progressed = row.received > self._row.received
        attempts = 1 if progressed else row.attempts + 1
        if cause == Cause.PEER_DOWN:
            note(self._gateway.engine, row.peer, False, last_error=str(cause))
        if cause in PASSING and attempts < settings.retrieval_attempts:
            self._change(state="waiting", cause=str(cause), attempts=attempts)
            return Again(settings.retrieval_backoff_seconds * 2 ** (attempts - 1))
        self.end("failed", cause=cause, failed=self._absent())
        return None

    def _absent(self) -> int:
        with reader(self._gateway.engine).connect() as connection:
            return len(state.missing(connection, self._row.task_id))

    def end(self, outcome: str, cause: Cause | None = None, **values: object) -> None:
        """Write the outcome; late arrivals still count for some minutes."""
        told = None if cause is None else str(cause)
        self._change(state=outcome, cause=told, finished_at=time.time(), **values)

    def _change(self, **values: object) -> None:
        with self._gateway.engine.begin() as connection:
            state.change(connection, self._row.task_id, **values)
