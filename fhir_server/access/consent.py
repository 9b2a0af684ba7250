"""A patient's Consent as rules, and what it says to one recipient.  https://hl7.org/fhir/R4/consent.html

Pure: JSON becomes `Rules`, `outcome` answers with two restrictions, the rows that a provision permits and those that it
denies. A nested provision is an exception to the one around it; where two of them disagree, deny wins. What cannot be
evaluated (`dataPeriod`, a source other than an organization, what is nested too deep) never permits and always denies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_server.access.algebra import (
    Carrying,
    Everything,
    Identified,
    Nothing,
    OfOrganization,
    OfType,
    Restriction,
    all_of,
    any_of,
    negated,
)
from fhir_server.access.labels import ACT_CODE, NORMAL, SENSITIVE, Token
from fhir_server.errors import Invalid
from fhir_server.search.dates import EARLIEST, LATEST, date_range

LOINC = "http://loinc.org"
RELEASE_OF_INFORMATION = (LOINC, "64292-6")
SOURCES = frozenset({"CST", "AUT", "GRANTOR", "CONSENTER"})
"""Actors in these roles say where data come from; all others, to whom they go."""
OPT_OUT = frozenset({(ACT_CODE, "OPTOUT"), (ACT_CODE, "OPTOUTE")})
SHOWING = frozenset({"access", "disclose", "use"})
DEEPEST = 8
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recipient:
    """To whom something would be shown: every reference that names them, for which purposes.

    `bound`: by whatever a Consent says; the own organization and the platform's staff only by what names them.
    """

    names: frozenset[str]
    purposes: frozenset[str]
    bound: bool


@dataclass(frozen=True, slots=True)
class Provision:
    """Consent.provision, at any depth.  Empty parts ask nothing; `unclear`: some part is not evaluated."""

    permits: bool
    period: tuple[int, int] = (EARLIEST, LATEST)
    purposes: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    actors: frozenset[str] = frozenset()
    custodians: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()
    labels: frozenset[Token] = frozenset()
    codes: frozenset[Token] = frozenset()
    unclear: bool = False
    parts: tuple["Provision", ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """A Consent as far as it decides; `releases`: it is a release of information, so that a case may rest on it."""

    consent: str
    patient: str
    releases: bool
    provision: Provision
    moments: tuple[int, ...]
    """When what it says may change, in order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is permitted and what is denied; about all else nothing is said."""

    permitted: Restriction
    denied: Restriction


SILENT = Outcome(Nothing(), Nothing())


def rules_of(consent: Document) -> Rules | None:
    """Read a Consent; None when it is not in force, or is about something else than privacy."""
    patient = _reference(consent.get("patient"))
    scopes = {code for _, code in _tokens([consent.get("scope", {})])}
    if consent.get("status") != "active" or patient is None or not scopes <= {"patient-privacy"}:
        return None
    opted_out = bool(_tokens([consent.get("policyRule", {})]) & OPT_OUT)
    provision = _provision(consent.get("provision", {}), permits=not opted_out)
    releases = RELEASE_OF_INFORMATION in _tokens(consent.get("category", []))
    moments = tuple(sorted(_moments(provision)))
    return Rules(f"Consent/{consent.get('id')}", patient.partition("/")[2], releases, provision, moments)


def gives(rules: Rules, at: int) -> bool:
    """Whether there is anybody at all to whom something is permitted at this moment."""
    return _gives(rules.provision, at)


def _gives(provision: Provision, at: int) -> bool:
    start, end = provision.period
    if not start <= at < end or (provision.permits and provision.unclear):
        return False
    return provision.permits or any(_gives(part, at) for part in provision.parts)


@lru_cache(maxsize=10_000)
def outcome(provision: Provision, recipient: Recipient, at: int, *, named: bool = False) -> Outcome:
    """What a provision says to a recipient at a moment (microseconds).  `named`: one around it names the recipient."""
    if not _applies(provision, recipient, at):
        return SILENT
    named = named or bool(provision.actors)
    region = _region(provision)
    inner = [outcome(part, recipient, at, named=named) for part in provision.parts]
    denied = all_of(region, any_of(*(each.denied for each in inner)))
    permitted = all_of(region, any_of(*(each.permitted for each in inner)), negated(denied))
    rest = all_of(region, negated(denied), negated(permitted))
    if provision.permits:
        return Outcome(any_of(permitted, all_of(rest, _named_labels(provision))), denied)
    return Outcome(permitted, any_of(denied, rest if recipient.bound or named else Nothing()))


def _applies(provision: Provision, recipient: Recipient, at: int) -> bool:
    start, end = provision.period
    return (
        start <= at < end
        and not (provision.unclear and provision.permits)
        and (not provision.purposes or bool(provision.purposes & recipient.purposes))
        and (not provision.actions or bool(provision.actions & SHOWING))
        and (not provision.actors or bool(provision.actors & recipient.names))
    )


def _region(provision: Provision) -> Restriction:
    """The rows that a provision speaks of."""
    custodians = any_of(*(OfOrganization(each) for each in sorted(provision.custodians)))
    return all_of(
        OfType(tuple(sorted(provision.classes))) if provision.classes else Everything(),
        Identified(tuple(sorted(provision.data))) if provision.data else Everything(),
        _carrying(provision.labels),
        _carrying(provision.codes),
        custodians if provision.custodians else Everything(),
    )


def _carrying(tokens: frozenset[Token]) -> Restriction:
    if not tokens:
        return Everything()
    unlabelled = negated(Carrying(tuple(sorted(SENSITIVE)))) if NORMAL in tokens else Nothing()
    return any_of(Carrying(tuple(sorted(tokens - {NORMAL}))) if tokens - {NORMAL} else Nothing(), unlabelled)


def _named_labels(provision: Provision) -> Restriction:
    """Rows whose sensitive labels a permitting provision names all: one that names none permits no labelled row."""
    return negated(Carrying(tuple(sorted(SENSITIVE - provision.labels))))


def _moments(provision: Provision) -> set[int]:
    return set(provision.period).union(*(_moments(part) for part in provision.parts))


def _provision(document: Document, *, permits: bool, depth: int = 0) -> Provision:
    """Read one provision; `permits` is what it does when it does not say so itself."""
    actors = document.get("actor", [])
    sources = [each for each in actors if {code for _, code in _tokens([each.get("role", {})])} & SOURCES]
    custodians = {_reference(each.get("reference")) or "" for each in sources}
    kind = document.get("type")
    period, unclear = _period(document.get("period", {}))
    too_deep = depth == DEEPEST and "provision" in document
    parts = [] if too_deep else document.get("provision", [])
    return Provision(
        permits=(kind == "permit" if kind else permits) and not too_deep,
        period=period,
        purposes=frozenset(_code(each) for each in document.get("purpose", [])),
        actions=frozenset(code for _, code in _tokens(document.get("action", []))),
        actors=frozenset(_reference(each.get("reference")) or "" for each in actors if each not in sources),
        custodians=frozenset(one.partition("/")[2] for one in custodians if one.startswith("Organization/")),
        classes=frozenset(_code(each) for each in document.get("class", [])),
        data=frozenset(_reference(each.get("reference")) or "" for each in document.get("data", [])),
        labels=frozenset(_token(each) for each in document.get("securityLabel", [])),
        codes=frozenset(_tokens(document.get("code", []))),
        unclear=unclear or "dataPeriod" in document or any(not one.startswith("Organization/") for one in custodians),
        parts=tuple(_provision(part, permits=not permits, depth=depth + 1) for part in parts),
    )


def _period(period: Document) -> tuple[tuple[int, int], bool]:
    """From the start of `start` until the end of `end`; one that cannot be read is unclear."""
    try:
        start = date_range(period["start"])[0] if "start" in period else EARLIEST
        end = date_range(period["end"])[1] if "end" in period else LATEST
    except Invalid:
        return (EARLIEST, LATEST), True
    return (start, end), False


def _reference(value: Any) -> str | None:
    """`Type/id` of a Reference, without base and version."""
    text = value.get("reference") if isinstance(value, dict) else None
    return "/".join(str(text).partition("/_history/")[0].split("/")[-2:]) if text else None


def _tokens(concepts: Sequence[Document]) -> set[Token]:
    return {_token(coding) for concept in concepts for coding in concept.get("coding", [])}


def _token(coding: Document) -> Token:
    return str(coding.get("system", "")), str(coding.get("code", ""))


def _code(coding: Document) -> str:
    return str(coding.get("code", ""))
