"""Consent provisions as restrictions say the same as a plain reading of R4, row by row."""

from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.algebra import (
    AllOf,
    AnyOf,
    Carrying,
    Everything,
    Identified,
    Not,
    OfOrganization,
    OfType,
    Restriction,
)
from fhir_server.access.consent import DEEPEST, Recipient, outcome, rules_of
from fhir_server.access.labels import ACT_CODE

TYPES, REFERENCES = ("Condition", "Observation"), ("Condition/1", "Observation/1")
LABELS = ((ACT_CODE, "PSY"), (ACT_CODE, "HIV"))
ACTORS, PURPOSES, NOW = ("Practitioner/a", "Organization/b"), ("TREAT", "HRESCH"), 1_700_000_000_000_000


@dataclass(frozen=True)
class Record:
    """A row as the naive reading sees it."""

    reference: str
    labels: frozenset[tuple[str, str]]
    organization: str


def subsets(values: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), unique=True, max_size=len(values))


def coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}


def actor(reference: str, role: str) -> dict[str, Any]:
    return {"role": {"coding": [{"code": role}]}, "reference": {"reference": reference}}


@st.composite
def provisions(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": draw(st.sampled_from(("permit", "deny"))),
        "class": [coding("http://hl7.org/fhir/resource-types", each) for each in draw(subsets(TYPES))],
        "data": [{"meaning": "instance", "reference": {"reference": each}} for each in draw(subsets(REFERENCES))],
        "securityLabel": [coding(*each) for each in draw(subsets(LABELS))],
        "purpose": [coding("reason", each) for each in draw(subsets(PURPOSES))],
        "actor": [actor(each, "IRCP") for each in draw(subsets(ACTORS))]
        + [actor(each, "CST") for each in draw(subsets(("Organization/o",)))],
        "period": draw(st.sampled_from(({}, {"end": "2020-01-01"}, {"start": "2020-01-01"}))),
        "provision": draw(st.lists(provisions(depth + 1), max_size=2)) if depth < 2 else [],
    }
    if draw(st.integers(0, 9)) == 0:
        made["dataPeriod"] = {"start": "2020"}
    return {name: value for name, value in made.items() if value not in ([], {})}


records = st.builds(
    Record, st.sampled_from(REFERENCES), st.frozensets(st.sampled_from(LABELS)), st.sampled_from(("o", "p"))
)
recipients = st.builds(
    Recipient, st.frozensets(st.sampled_from(ACTORS)), st.frozensets(st.sampled_from(PURPOSES)), st.booleans()
)
Said = Literal["permit", "deny"] | None


def naive(provision: dict[str, Any], who: Recipient, row: Record, named: bool = False) -> Said:
    """What a provision says about one row, read as R4 words it."""
    if not speaks_of(provision, who, row):
        return None
    named = named or any(each["role"]["coding"][0]["code"] == "IRCP" for each in provision.get("actor", []))
    inner = {naive(part, who, row, named) for part in provision.get("provision", [])}
    if "deny" in inner or "permit" in inner:
        return "deny" if "deny" in inner else "permit"
    if provision["type"] == "permit":
        labels = {(each["system"], each["code"]) for each in provision.get("securityLabel", [])}
        return "permit" if row.labels <= labels else None
    return "deny" if who.bound or named else None


def speaks_of(provision: dict[str, Any], who: Recipient, row: Record) -> bool:
    recipients = {each["reference"]["reference"] for each in provision.get("actor", []) if _role(each) == "IRCP"}
    keepers = {each["reference"]["reference"] for each in provision.get("actor", []) if _role(each) == "CST"}
    labels = {(each["system"], each["code"]) for each in provision.get("securityLabel", [])}
    classes = {each["code"] for each in provision.get("class", [])}
    data = {each["reference"]["reference"] for each in provision.get("data", [])}
    asked = (
        (recipients, recipients & who.names),
        (provision.get("purpose"), {each["code"] for each in provision.get("purpose", [])} & who.purposes),
        (classes, row.reference.split("/")[0] in classes),
        (data, row.reference in data),
        (labels, labels & row.labels),
        (keepers, f"Organization/{row.organization}" in keepers),
    )
    unclear = "dataPeriod" in provision and provision["type"] == "permit"
    return "end" not in provision.get("period", {}) and not unclear and all(met for wanted, met in asked if wanted)


def _role(each: dict[str, Any]) -> str:
    code: str = each["role"]["coding"][0]["code"]
    return code


def holds(restriction: Restriction, row: Record) -> bool:
    """Whether a restriction lets a row through, as the SQL does."""
    match restriction:
        case AllOf(parts):
            return all(holds(part, row) for part in parts)
        case AnyOf(parts):
            return any(holds(part, row) for part in parts)
        case Not(part):
            return not holds(part, row)
        case _:
            return alone(restriction, row)


def alone(restriction: Restriction, row: Record) -> bool:
    match restriction:
        case OfType(types):
            return row.reference.split("/")[0] in types
        case Identified(references):
            return row.reference in references
        case Carrying(tokens):
            return bool(row.labels & set(tokens))
        case OfOrganization(organization):
            return row.organization == organization
        case _:
            return restriction == Everything()


def consent(provision: dict[str, Any], **elements: Any) -> dict[str, Any]:
    document = {"resourceType": "Consent", "id": "c", "status": "active", "patient": {"reference": "Patient/p"}}
    return {**document, "provision": provision, **elements}


@given(provisions(), recipients, records)
def test_the_restrictions_say_what_the_provision_says_of_each_row(
    provision: dict[str, Any], who: Recipient, row: Record
) -> None:
    rules = rules_of(consent(provision))
    assert rules is not None
    said = outcome(rules.provision, who, NOW)
    expected = naive(provision, who, row)
    assert (holds(said.permitted, row), holds(said.denied, row)) == (expected == "permit", expected == "deny")


def test_a_consent_that_is_not_in_force_or_about_something_else_says_nothing() -> None:
    assert rules_of(consent({}, status="inactive")) is None
    assert rules_of(consent({}, scope={"coding": [{"code": "adr"}]})) is None
    assert rules_of(consent({}, patient={"display": "somebody"})) is None


def test_opting_out_denies_what_no_provision_permits() -> None:
    rules = rules_of(consent({}, policyRule={"coding": [coding(ACT_CODE, "OPTOUT")]}))
    assert rules is not None
    assert outcome(rules.provision, Recipient(frozenset(), frozenset(), bound=True), NOW).denied == Everything()


def test_what_is_nested_too_deep_to_be_read_denies() -> None:
    provision: dict[str, Any] = {"type": "deny"}
    for _ in range(DEEPEST + 1):
        provision = {"type": "permit", "provision": [provision]}
    rules = rules_of(consent(provision))
    assert rules is not None
    assert outcome(rules.provision, Recipient(frozenset(), frozenset(), bound=True), NOW).denied == Everything()
