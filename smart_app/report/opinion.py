"""What a consultant says in an opinion, before it becomes FHIR."""

from dataclasses import dataclass, replace
from datetime import date, datetime

QUESTIONS = {
    "diagnosis": ("Diagnosis", ("agree", "refined", "changed", "indeterminate", "nothing-to-compare")),
    "treatment": ("Treatment", ("agree", "modified", "alternative", "unable-to-say", "nothing-to-compare")),
    "confidence": ("Confidence", ("high", "moderate", "low")),
    "data-adequacy": ("Adequacy of the data", ("adequate", "limited", "inadequate")),
    "first-subspecialty-review": ("First subspecialty review", ("yes", "no")),
}
VALUES = {
    "agree": "Agree",
    "refined": "Refined",
    "changed": "Changed",
    "indeterminate": "Indeterminate",
    "nothing-to-compare": "Nothing to compare",
    "modified": "Modified",
    "alternative": "Alternative proposed",
    "unable-to-say": "Unable to say",
    "high": "High",
    "moderate": "Moderate",
    "low": "Low",
    "adequate": "Adequate",
    "limited": "Limited",
    "inadequate": "Inadequate",
    "yes": "Yes",
    "no": "No",
}


@dataclass(frozen=True)
class Person:
    """Who the opinion is about, as the reader's banner shows it."""

    name: str
    birth_date: date | None
    sex: str
    record_number: str
    issuer: str


@dataclass(frozen=True)
class Reviewed:
    """One record that the consultant looked at: `reference` as `Type/id`, `display` as people call it."""

    reference: str
    display: str


@dataclass(frozen=True)
class Finding:
    """One observation of the consultant with the numbers (from 1) of the reviewed records that show it."""

    text: str
    sources: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a signature needs; `field` is the id of where it is done."""

    field: str
    sentence: str
    done: bool


@dataclass(frozen=True)
class Opinion:
    """The whole report.  `answer` is one paragraph; `concordance` maps the keys of QUESTIONS to a value."""

    answer: str
    concordance: dict[str, str]
    findings: tuple[Finding, ...]
    recommendations: tuple[str, ...]
    patient_version: str
    reviewed: tuple[Reviewed, ...]

    def checks(self) -> list[Check]:
        """What a signature needs (case model, rule 4), each done or not, with the field where it is done."""
        checks = [Check("answer", "Answer the question in a paragraph.", bool(self.answer.strip()))]
        checks += [
            Check(f"concordance-{key}", f"Choose a value for “{title}”.", self.concordance.get(key) in values)
            for key, (title, values) in QUESTIONS.items()
        ]
        checks.append(Check("reviewed", "Name at least one record or study that you reviewed.", bool(self.reviewed)))
        return checks

    def missing(self) -> list[str]:
        """What stands in the way of signing, as sentences; empty when nothing does."""
        return [each.sentence for each in self.checks() if not each.done]


@dataclass(frozen=True)
class Letterhead:
    """What stands around the opinion on paper.  `signed_at` carries its zone."""

    person: Person
    question: str
    case_number: str
    asked_by: str
    author: str
    author_title: str
    organization: str
    signed_at: datetime
    draft: bool = False
    amends: str = ""

    def amending(self, what: str) -> "Letterhead":
        """The same around a report that takes the place of an earlier one: the paper says of which, and why."""
        return replace(self, amends=what)

    def unsigned(self) -> "Letterhead":
        """The same around a report that nobody has signed: the paper says so."""
        return replace(self, draft=True)
