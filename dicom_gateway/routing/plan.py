"""What is to go where: asked when a study is released and when a case is assigned, or just to see (a dry run).

A case that is assigned has its released studies sent ahead of the reading session; what is not released never goes.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from dicom_gateway import route
from dicom_gateway.access import study_uids
from dicom_gateway.index.exchange import publication
from dicom_gateway.index.models import outbox
from dicom_gateway.peers import Peer, all_peers
from dicom_gateway.publish import codes
from dicom_gateway.publish.exchange import Exchange
from dicom_gateway.publish.fhir import FhirError, Resource
from dicom_gateway.routing.entry import ASSIGNED, Event, Facts, Rule, unmet
from dicom_gateway.routing.register import active
from dicom_gateway.settings import Settings
from konsil.database import reader
from konsil.outbox import Job, NewJob, enqueue

RELEASE, AHEAD = "forward-study", "prefetch"
GONE = frozenset({403, 404, 410})


@dataclass(frozen=True, slots=True)
class Judged:
    """What one rule says of a study: where it would go, or which conditions are not met."""

    rule: str
    event: Event
    case: str
    unmet: list[str]
    to: list[str] = field(default_factory=list)


def released(exchange: Exchange, job: Job) -> None:
    """A study was released, or more of it: note where it goes.  Raises FhirError, httpx.HTTPError."""
    uid = str(job.payload["study_instance_uid"])
    cases = cases_of(exchange, uid)
    with exchange.gateway.engine.begin() as connection:
        peers = all_peers(connection)
        planned = [peer.name for peer in peers if peer.forward]
        for peer in peers:
            if peer.forward:
                route.plan_one(connection, uid, peer, "")
        follow(connection, judge(connection, uid, cases, now(exchange.gateway.settings)), uid, planned)


def assigned(exchange: Exchange, job: Job) -> None:
    """A case was assigned: note where its released studies go.  Raises FhirError, httpx.HTTPError."""
    case = exchange.fhir.read(exchange.system, str(job.payload["case"]))
    if case.get("status") not in ASSIGNED:
        return
    for uid in studies_of(exchange, case):
        with exchange.gateway.engine.begin() as connection:
            told = [
                each
                for each in judge(connection, uid, [case], now(exchange.gateway.settings))
                if each.event == "assigned"
            ]
            follow(connection, told, uid, [])


def notice(connection: Connection, case: Resource) -> None:
    """See in a version of a case that it is assigned, once for each reader."""
    owner = codes.reference_of(case.get("owner"))
    if case.get("status") in ASSIGNED and owner:
        job = NewJob(AHEAD, {"case": f"Task/{case['id']}"}, f"{AHEAD}:{case['id']}:{owner}")
        connection.execute(enqueue(outbox, connection.dialect.name, job))


def follow(connection: Connection, told: Iterable[Judged], uid: str, planned: list[str]) -> None:
    """Plan what the rules say; each destination once, by the first rule that names it."""
    peers = {peer.name: peer for peer in all_peers(connection)}
    for each in told:
        for name in each.to:
            if name not in planned:
                planned.append(name)
                route.plan_one(connection, uid, peers[name], each.rule)


def judge(connection: Connection, uid: str, cases: Iterable[Resource], moment: datetime) -> list[Judged]:
    """What each rule says, in their order, for each case that names the study, or for none when no case does."""
    peers = all_peers(connection)
    known: list[Resource | None] = [*cases]
    found: list[Judged] = []
    for rule in active(connection):
        for case in known or [None]:
            facts = Facts(uid, rule.when, case, moment)
            lacking = unmet(connection, rule, facts)
            to = [] if lacking else destinations(rule, facts.reader, peers)
            named = f"Task/{case['id']}" if case else ""
            found.append(Judged(rule.name, rule.when, named, lacking, to))
    return found


def destinations(rule: Rule, reader_: str, peers: Iterable[Peer]) -> list[str]:
    """The active peers that a rule leads to and that take studies."""
    return [
        peer.name
        for peer in peers
        if "store" in peer.can and (peer.name in rule.to or (rule.to_reader and reader_ and peer.serves(reader_)))
    ]


def dry_run(connection: Connection, uid: str, cases: Iterable[Resource], moment: datetime) -> dict[str, Any]:
    """What would happen to a study now; nothing is planned."""
    always = [peer.name for peer in all_peers(connection) if peer.forward]
    rules = [asdict(each) for each in judge(connection, uid, cases, moment)]
    return {"study_instance_uid": uid, "always": always, "rules": rules}


def cases_of(exchange: Exchange, uid: str) -> list[Resource]:
    """The cases for which a study was fetched.  Raises FhirError, httpx.HTTPError."""
    with reader(exchange.gateway.engine).begin() as connection:
        named = select(publication.c.case_reference).where(publication.c.study_instance_uid == uid).distinct()
        references = sorted(filter(None, connection.execute(named).scalars()))
    return [case for reference in references if (case := _read(exchange, reference))]


def studies_of(exchange: Exchange, case: Resource) -> list[str]:
    """The studies that a case names as gathered, and that are out of quarantine.  Raises FhirError, httpx.HTTPError."""
    named = [codes.reference_of(each.get("valueReference")) for each in case.get("input", [])]
    wanted = dict.fromkeys(each for each in named if each.startswith("ImagingStudy/"))
    found = [study for each in wanted if (study := _read(exchange, each))]
    shown = [
        study
        for study in found
        if not codes.is_quarantined(study) and study.get("status") not in {"entered-in-error", "cancelled"}
    ]
    return [uid for study in shown for uid in study_uids(study.get("identifier", []))]


def now(settings: Settings) -> datetime:
    """The time at the site."""
    return datetime.now(ZoneInfo(settings.time_zone))


def _read(exchange: Exchange, reference: str) -> Resource | None:
    try:
        return exchange.fhir.read(exchange.system, reference)
    except FhirError as error:
        if error.status in GONE:
            return None
        raise
