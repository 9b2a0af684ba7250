"""The Consents and treatment bases that concern a caller: what ends here ends at once, in other processes in a second.

One statement finds them, asked once a second for each caller and anew after each write that may matter; the content of
a version is read once and kept as rules, so that a signed paper inside a Consent is not read again and again.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    literal,
    null,
    or_,
    select,
    union_all,
)

from fhir_server import wire
from fhir_server.access import Terms
from fhir_server.access.basis import Basis, basis_of
from fhir_server.access.consent import Rules, rules_of
from fhir_server.access.emergency import PURPOSES, Emergency, emergency_of
from fhir_server.access.policy import EMERGENCY_ROLES
from fhir_server.access.proxies import standing_of
from fhir_server.access.relations import assigned_cases, own_emergencies
from fhir_server.access.terms import (
    BOUND_ROLES,
    NO_TERMS,
    UNASKED_ROLES,
    Release,
    in_emergency,
    names_of,
    recipient_of,
    terms_of,
)
from fhir_server.caller import Caller
from fhir_server.search.hashing import hash64
from fhir_server.store.compiler import Lookup
from fhir_server.store.conditions import Numbering
from fhir_server.store.database import Database, Row, Transaction
from fhir_server.store.models import index_reference, resource
from fhir_server.store.visibility import KEPT, condition

MOST_KEPT, MOST_CALLERS = 50_000, 1000
KEPT_SECONDS = 1.0
DECIDING = frozenset(
    {"Consent", "Provenance", "Task", "ServiceRequest", "PractitionerRole", "CareTeam", "RelatedPerson", "Organization"}
)
"""Types whose writes may change what a caller sees."""
MEMBERSHIPS = (("PractitionerRole", "practitioner"), ("CareTeam", "participant"))
IDENTITY = ("row_id", "version_id", "resource_type", "resource_id")
NO_CASE = (cast(null(), Text).label("case_id"), cast(null(), Text).label("request_id"))
NO_VERSION = cast(null(), Integer).label("version_id")
Version = tuple[int, int]
Said = Rules | Basis | Emergency | None


@dataclass
class Consents:
    """Reads what concerns a caller; `_read` holds what versions say, None for one that says nothing."""

    number: Numbering
    _read: dict[Version, Said] = field(default_factory=dict)
    _kept: dict[Caller, tuple[float, Terms]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each write that may decide."""

    def touch(self) -> None:
        """Something was written that may decide: nothing that was found before, or is being looked for, is kept."""
        self._kept = {}
        self.changed.set()

    async def terms(self, source: Database | Transaction, caller: Caller, now: int) -> Terms:
        """What Consents and bases say to this caller at this moment."""
        if caller.fhir_user is None or caller.roles <= UNASKED_ROLES:
            return NO_TERMS
        kept, asked = self._kept, time.monotonic()
        until, before = kept.get(caller, (0.0, NO_TERMS))
        if asked < until:
            return before
        terms = await self._found(source, caller, now)
        if terms == before:
            terms = before  # what is kept by terms is then found without comparing them part by part
        if len(kept) >= MOST_CALLERS:
            kept.clear()
        kept[caller] = asked + KEPT_SECONDS, terms
        return terms

    async def _found(self, source: Database | Transaction, caller: Caller, now: int) -> Terms:
        terms = await self._said(source, caller, now)
        if "proxy" in caller.roles:
            terms = replace(terms, acts_for=await self._acts_for(source, caller, now))
        return terms

    async def _acts_for(self, source: Database | Transaction, caller: Caller, now: int) -> str | None:
        """The patient for whom the RelatedPerson acts at this moment."""
        rows = await source.fetch(_related_person(), {"person": (caller.fhir_user or "").partition("/")[2]})
        standing = next((standing_of(wire.loads(bytes(row["content"]))) for row in rows), None)
        return standing.patient if standing is not None and standing.holds(now) else None

    async def _said(self, source: Database | Transaction, caller: Caller, now: int) -> Terms:
        rows = await source.fetch(_concerning(caller, self.number))
        if not rows:
            return NO_TERMS
        names = {f"{row['resource_type']}/{row['resource_id']}" for row in rows if row["version_id"] is None}
        found = [row for row in rows if row["version_id"] is not None]
        await self._look(source, {(row["row_id"], row["version_id"]) for row in found} - self._read.keys())
        said = [(row, self._read.get((row["row_id"], row["version_id"]))) for row in found]
        consents = [one for _, one in said if isinstance(one, Rules)]
        recipient = recipient_of(caller, names)
        terms = terms_of(_releases(said), consents, recipient, now)
        open_now = [one.patient for _, one in said if isinstance(one, Emergency) and one.start <= now < one.end]
        return in_emergency(terms, open_now, consents, replace(recipient, purposes=PURPOSES), now)

    async def _look(self, source: Database | Transaction, missing: set[Version]) -> None:
        if not missing:
            return
        if len(self._read) > MOST_KEPT:
            self._read.clear()
        columns = (resource.c[name] for name in ("row_id", "version_id", "content"))
        wanted = sorted(row_id for row_id, _ in missing)
        for row in await source.fetch(select(*columns).where(resource.c.row_id.in_(wanted))):
            self._read[row["row_id"], row["version_id"]] = _rules(row)


def _rules(row: Row) -> Said:
    document = wire.loads(bytes(row["content"]))
    if document["resourceType"] == "Task":
        return emergency_of(document)
    return rules_of(document) if document["resourceType"] == "Consent" else basis_of(document)


def _releases(said: Iterable[tuple[Row, Said]]) -> Iterator[Release]:
    for row, one in said:
        if row["case_id"] is None:
            continue
        case, request = f"Task/{row['case_id']}", f"ServiceRequest/{row['request_id']}"
        if isinstance(one, Basis):
            yield Release(case, request, None, ended=request not in one.requests)
        else:
            consent = one if isinstance(one, Rules) else None
            yield Release(case, request, consent, ended=consent is None)


@cache
def _related_person() -> Lookup:
    found = resource.c.resource_type == "RelatedPerson", resource.c.resource_id == bindparam("person")
    return Lookup(select(resource.c.content).where(*found))


@lru_cache(maxsize=KEPT)
def _concerning(caller: Caller, number: Numbering) -> Lookup:
    """Names of the caller (version NULL), Consents that name one of them, and what the caller's cases rest on."""
    memberships = _memberships(caller, number).cte()
    organizations = _with_parents(caller, _organizations(memberships, number).cte(), number)
    parts = [
        select(*memberships.c),
        select(cast(null(), BigInteger).label("row_id"), NO_VERSION, *organizations.c, *NO_CASE),
        *_naming(caller, memberships, organizations, number),
    ]
    if caller.roles & BOUND_ROLES:
        parts += _of_cases(caller, number)
    if caller.roles & EMERGENCY_ROLES:
        parts.append(_emergencies(caller, number))
    return Lookup(union_all(*parts))


def _emergencies(caller: Caller, number: Numbering) -> Select[Any]:
    """The Tasks that stand for emergency accesses of the caller, over or not."""
    table = resource.alias()
    return select(*(table.c[name] for name in IDENTITY), *NO_CASE).where(
        table.c.resource_type == "Task", condition(own_emergencies(caller), table, number)
    )


def _memberships(caller: Caller, number: Numbering) -> Select[Any]:
    """The roles and teams that name the caller."""
    link = index_reference.alias()
    return (
        select(resource.c.row_id, NO_VERSION, resource.c.resource_type, resource.c.resource_id, *NO_CASE)
        .join(link, link.c.row_id == resource.c.row_id)
        .where(link.c.parameter.in_([number(*each) for each in MEMBERSHIPS]), _is(link, caller.fhir_user or ""))
    )


def _organizations(memberships: CTE, number: Numbering) -> Select[Any]:
    """The organizations for which the caller works in one of these roles."""
    link = index_reference.alias()
    named = link.c.target_type.label("resource_type"), link.c.target_id.label("resource_id")
    return (
        select(link.c.row_id, NO_VERSION, *named, *NO_CASE)
        .join(memberships, memberships.c.row_id == link.c.row_id)
        .where(link.c.parameter == number("PractitionerRole", "organization"))
    )


def _with_parents(caller: Caller, organizations: CTE, number: Numbering) -> CTE:
    """These organizations, the caller's own, and those that they are part of, however many above each other: who works
    in a department works in its hospital.  Organization.partOf
    """
    own = cast(literal("Organization"), Text), cast(literal((caller.organization or "/").partition("/")[2]), Text)
    named = organizations.c.resource_type, organizations.c.resource_id
    first = select(*(cast(column, Text).label(column.name) for column in named))
    names = select(union_all(first, select(*own)).subquery()).cte(recursive=True)
    type_, id_ = names.c
    child, link = resource.alias(), index_reference.alias()
    above = (
        select(cast(link.c.target_type, Text), cast(link.c.target_id, Text))
        .select_from(names)
        .join(child, and_(child.c.resource_type == type_, child.c.resource_id == id_))
        .join(link, and_(link.c.row_id == child.c.row_id, link.c.parameter == number("Organization", "partof")))
    )
    return names.union(above)


def _naming(caller: Caller, memberships: CTE, organizations: CTE, number: Numbering) -> list[Select[Any]]:
    """The Consents that name the caller, or a role, team or organization of the caller's."""
    own = names_of(caller)
    link = index_reference.alias()
    chosen = _consents_naming(link, number).where(or_(*(_is(link, name) for name in own)))
    return [chosen, *(_naming_one_of(names, number) for names in (memberships, organizations))]


def _naming_one_of(names: CTE, number: Numbering) -> Select[Any]:
    link, known = index_reference.alias(), resource.alias()
    one_of = and_(known.c.resource_type == names.c.resource_type, known.c.resource_id == names.c.resource_id)
    pointed = and_(
        link.c.target_hash == known.c.identity_hash,
        link.c.target_type == known.c.resource_type,
        link.c.target_id == known.c.resource_id,
    )
    return _consents_naming(link, number).join(known, pointed).join(names, one_of)


def _consents_naming(link: Any, number: Numbering) -> Select[Any]:
    columns = (*(resource.c[name] for name in IDENTITY), *NO_CASE)
    return (
        select(*columns)
        .join(link, link.c.row_id == resource.c.row_id)
        .where(link.c.parameter == number("Consent", "recipient"))
    )


def _of_cases(caller: Caller, number: Numbering) -> list[Select[Any]]:
    """What the caller's cases rest on (with case and request), and all Consents of their patients."""
    asked, consent = _asked(caller, number), resource.alias()
    others = select(*(consent.c[name] for name in IDENTITY), *NO_CASE).where(
        consent.c.resource_type == "Consent", consent.c.patient.in_(select(asked.c.patient))
    )
    return [
        _consents_of(asked, asked.c.case_row, number("Task", "task-input")),
        _consents_of(asked, asked.c.request_row, number("ServiceRequest", "supporting-info")),
        _attested(asked, number("Provenance", "target")),
        others,
    ]


def _consents_of(asked: CTE, source: ColumnElement[Any], parameter: int) -> Select[Any]:
    """The Consents of the same patient that the case or the request names."""
    link, consent = index_reference.alias(), resource.alias()
    named = and_(
        consent.c.identity_hash == link.c.target_hash,
        consent.c.resource_type == "Consent",
        consent.c.resource_id == link.c.target_id,
        consent.c.patient == asked.c.patient,
    )
    return (
        select(*(consent.c[name] for name in IDENTITY), asked.c.case_id, asked.c.request_id)
        .join_from(asked, link, and_(link.c.row_id == source, link.c.parameter == parameter))
        .join(consent, named)
    )


def _attested(asked: CTE, parameter: int) -> Select[Any]:
    """The Provenances of the requests; which of them attest treatment, their content says."""
    link = index_reference.alias()
    about = and_(
        link.c.parameter == parameter,
        link.c.target_hash == asked.c.identity_hash,
        link.c.target_type == "ServiceRequest",
        link.c.target_id == asked.c.request_id,
    )
    return (
        select(*(resource.c[name] for name in IDENTITY), asked.c.case_id, asked.c.request_id)
        .join_from(asked, link, about)
        .join(resource, resource.c.row_id == link.c.row_id)
    )


def _asked(caller: Caller, number: Numbering) -> CTE:
    """The caller's cases with their requests."""
    case, request, link = resource.alias(), resource.alias(), index_reference.alias()
    focus = and_(
        request.c.identity_hash == link.c.target_hash,
        request.c.resource_type == "ServiceRequest",
        request.c.resource_id == link.c.target_id,
        request.c.patient == case.c.patient,
    )
    found = select(
        case.c.row_id.label("case_row"),
        case.c.resource_id.label("case_id"),
        request.c.row_id.label("request_row"),
        request.c.resource_id.label("request_id"),
        request.c.identity_hash,
        request.c.patient,
    )
    found = found.join_from(
        case, link, and_(link.c.row_id == case.c.row_id, link.c.parameter == number("Task", "focus"))
    )
    held = case.c.resource_type == "Task", condition(assigned_cases(caller), case, number)
    return found.join(request, focus).where(*held).cte().prefix_with("MATERIALIZED")


def _is(link: Any, reference: str) -> ColumnElement[bool]:
    """Whether an index row points to `Type/id`."""
    target_type, _, target_id = reference.partition("/")
    return and_(
        link.c.target_hash == hash64(target_type, target_id),
        link.c.target_type == target_type,
        link.c.target_id == target_id,
    )
