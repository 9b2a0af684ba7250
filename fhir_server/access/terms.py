"""What all Consents and treatment bases say to one caller now, and how that narrows what the policy grants.

A consultant's case is covered by a Consent that it names (ServiceRequest.supportingInfo, Task.input) or by a treatment
basis; what a Consent denies is denied whatever else permits it.  docs/access.md
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from fhir_server.access.algebra import (
    Agreed,
    AllOf,
    AnyOf,
    Carrying,
    Covered,
    Identified,
    InCompartment,
    NamedBy,
    Naming,
    Not,
    Nothing,
    Restriction,
    all_of,
    any_of,
    negated,
    specialise,
)
from fhir_server.access.consent import Recipient, Rules, outcome
from fhir_server.access.labels import SENSITIVE
from fhir_server.caller import Caller
from fhir_server.search.dates import EARLIEST

UNLABELLED = negated(Carrying(tuple(sorted(SENSITIVE))))
"""What a treatment basis is enough for: 42 CFR Part 2 and psychotherapy notes want the patient's word."""
PURPOSES: Mapping[str, frozenset[str]] = {
    "consultant": frozenset({"TREAT"}),
    "radiologist": frozenset({"TREAT"}),
    "requester": frozenset({"TREAT"}),
    "patient": frozenset({"PATRQT"}),
    "proxy": frozenset({"PATRQT", "FAMRQT"}),
}
"""Why each role looks (v3-ActReason); everybody else for operations."""
OPERATIONS = frozenset({"HOPERAT"})
BOUND_ROLES = frozenset({"consultant", "radiologist"})
UNASKED_ROLES = frozenset({"system", "interface-engine", "administrator"})
"""Machines and administrators are no recipients."""


@dataclass(frozen=True, slots=True)
class Release:
    """A case of the caller, its request, and one thing that its release may rest on: a Consent, or (None) treatment.

    `ended`: what it rested on says nothing any more.
    """

    case: str
    request: str
    consent: Rules | None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rows that the same words of Consents permit, and the cases and requests that rest on these, in order."""

    region: Restriction
    cases: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()

    def covered(self, resource_type: str) -> Restriction:
        """The cases or the requests."""
        named = self.cases if resource_type == "Task" else self.requests
        return Identified(named) if named else Nothing()


@dataclass(frozen=True)
class Terms:
    """What holds for a caller at a moment; without any, no case is covered and nothing is denied.

    `uncovered`: how many of the caller's cases nothing covers; `in_part`: how many a Consent covers with exceptions.
    `emergencies`: patients whose record is open to the caller now; `denied_by_name`: what is closed all the same.
    `acts_for`: the patient (an id) for whom a proxy acts now.
    """

    agreements: tuple[Agreement, ...] = ()
    denied: Restriction = Nothing()
    uncovered: int = 0
    in_part: int = 0
    emergencies: tuple[str, ...] = ()
    denied_by_name: Restriction = Nothing()
    acts_for: str | None = None

    @cached_property
    def _hash(self) -> int:
        said = self.agreements, self.denied, self.uncovered, self.in_part
        return hash((said, self.emergencies, self.denied_by_name, self.acts_for))

    def __hash__(self) -> int:
        return self._hash

    @property
    def withheld(self) -> str:
        """Words for who is shown less; empty where nothing is withheld.

        They speak of what the patients said, never of which records there are.
        """
        said = []
        if self.uncovered:
            said.append(f"Cases of yours whose records no Consent or treatment basis releases now: {self.uncovered}.")
        if self.in_part:
            said.append(f"Cases of yours of which a Consent releases a part: {self.in_part}.")
        return " ".join(said)


NO_TERMS = Terms()
UNCOVERED = (Agreement(Nothing()),)


def recipient_of(caller: Caller, names: Iterable[str]) -> Recipient:
    """The caller as somebody to whom something is shown; `names`: roles, teams and organizations besides the own."""
    own = set(names_of(caller))
    purposes = frozenset().union(*(PURPOSES.get(role, OPERATIONS) for role in caller.roles))
    return Recipient(frozenset({*own, *names}), purposes, bool(caller.roles & BOUND_ROLES))


def names_of(caller: Caller) -> tuple[str, ...]:
    """The references that a Consent can name the caller by; a proxy is told no more than the patient."""
    represented = f"Patient/{caller.patient}" if "proxy" in caller.roles and caller.patient else None
    return tuple(name for name in (caller.fhir_user, caller.organization, represented) if name)


def stands_aside(caller: Caller, terms: Terms) -> bool:
    """Whether a proxy does not act for the patient of the token, or does so no more."""
    return "proxy" in caller.roles and (caller.patient is None or terms.acts_for != caller.patient)


def terms_of(releases: Iterable[Release], consents: Iterable[Rules], recipient: Recipient, now: int) -> Terms:
    """Weigh what the caller's cases rest on, and all Consents that may deny the caller something."""
    regions: dict[Restriction, list[Release]] = {}
    cases = set()
    for release in releases:
        cases.add(release.case)
        if release.ended:
            continue
        region = UNLABELLED if release.consent is None else permitted(release.consent, recipient, now)
        regions.setdefault(region, []).append(release)
    regions.pop(Nothing(), None)
    denied = any_of(*_denied(consents, recipient, now))
    agreements = tuple(_agreement(region, found) for region, found in regions.items())
    whole = {case for each in agreements if each.region == UNLABELLED for case in each.cases}
    covered = {case for each in agreements for case in each.cases}
    if not recipient.bound:
        return Terms(agreements, denied)
    return Terms(agreements, denied, len(cases - covered), len(covered - whole) or int(denied != Nothing()))


def in_emergency(
    terms: Terms, patients: Iterable[str], consents: Iterable[Rules], recipient: Recipient, now: int
) -> Terms:
    """The same with records open in an emergency: what a patient denies to somebody by name stays closed."""
    opened = tuple(sorted(set(patients)))
    if not opened:
        return terms
    unbound = replace(recipient, bound=False)
    return replace(terms, emergencies=opened, denied_by_name=any_of(*_denied(consents, unbound, now)))


def _denied(consents: Iterable[Rules], recipient: Recipient, now: int) -> Iterable[Restriction]:
    return (
        all_of(InCompartment(rules.patient), outcome(rules.provision, recipient, _since(rules, now)).denied)
        for rules in sorted(set(consents), key=lambda each: each.consent)
    )


def permitted(rules: Rules, recipient: Recipient, now: int) -> Restriction:
    """The rows that a case which rests on this Consent may show to the recipient."""
    return outcome(rules.provision, recipient, _since(rules, now)).permitted if rules.releases else Nothing()


def _agreement(region: Restriction, releases: Iterable[Release]) -> Agreement:
    found = list(releases)
    cases, requests = {each.case for each in found}, {each.request for each in found}
    return Agreement(region, tuple(sorted(cases)), tuple(sorted(requests)))


def _since(rules: Rules, now: int) -> int:
    """The last moment at which what it says may have changed: all until the next are alike."""
    return max((moment for moment in rules.moments if moment <= now), default=EARLIEST)


@lru_cache(maxsize=4000)
def under(restriction: Restriction, terms: Terms, resource_type: str) -> Restriction:
    """Narrow what the policy grants on rows of a type to what the terms let the caller see."""
    agreements = terms.agreements or UNCOVERED
    shown = any_of(*dict.fromkeys(_settled(restriction, each) for each in agreements))
    return specialise(all_of(shown, negated(_with_what_hangs_on(terms.denied))), resource_type)


def _with_what_hangs_on(denied: Restriction) -> Restriction:
    """The rows denied, the bytes that belong to them and what vouches for them."""
    if denied == Nothing():
        return denied
    return any_of(denied, Naming("Binary", "security-context", denied), Naming("Provenance", "target", denied))


def _settled(restriction: Restriction, agreement: Agreement) -> Restriction:
    """Put the rows of an agreement where a relation leaves them open."""
    match restriction:
        case Covered(resource_type):
            return agreement.covered(resource_type)
        case Agreed():
            return agreement.region
        case AllOf(parts):
            return all_of(*(_settled(part, agreement) for part in parts))
        case AnyOf(parts):
            return any_of(*(_settled(part, agreement) for part in parts))
        case Not(part):
            return negated(_settled(part, agreement))
        case Naming(resource_type, parameter, target):
            return Naming(resource_type, parameter, _settled(target, agreement))
        case NamedBy(resource_type, parameter, source, target_types):
            return NamedBy(resource_type, parameter, _settled(source, agreement), target_types)
        case _:
            return restriction
