"""A signed report as its page shows it: answer, both opinions side by side, what to do, sources, versions.  Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smart_app.case.codes import own_system
from smart_app.report.compare import Row, compared
from smart_app.report.opinion import QUESTIONS
from smart_app.report.stored import StoredOpinion, opinion_in
from smart_app.words import code_in, concept, sentence_list

Resource = dict[str, Any]
CONFIRMS = frozenset({"agree", "high", "adequate", "yes", "no", "nothing-to-compare"})
TITLES = {"appended": "With an addendum", "amended": "Amended", "corrected": "Corrected"}
IN_WORDS = {
    ("diagnosis", "agree"): "agrees with the diagnosis",
    ("diagnosis", "refined"): "refines the diagnosis",
    ("diagnosis", "changed"): "comes to another diagnosis",
    ("diagnosis", "indeterminate"): "cannot settle the diagnosis",
    ("diagnosis", "nothing-to-compare"): "had no first diagnosis to compare with",
    ("treatment", "agree"): "agrees with the treatment",
    ("treatment", "modified"): "would modify the treatment",
    ("treatment", "alternative"): "proposes another treatment",
    ("treatment", "unable-to-say"): "cannot say which treatment is right",
    ("treatment", "nothing-to-compare"): "had no proposed treatment to compare with",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of the concordance; `differs` when it does not confirm the first opinion."""

    key: str
    code: str
    title: str
    value: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A record the report rests on, by its number; `path` within the case opens it, empty when it cannot be opened."""

    number: int
    display: str
    path: str


@dataclass(frozen=True, slots=True)
class Told:
    """A finding with its sources."""

    text: str
    sources: Sequence[Source]


@dataclass(frozen=True)
class Version:
    """One signed version; `changes` against the one before."""

    number: str
    title: str
    issued: str
    reason: str
    changes: Sequence[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """A signed report as a page shows it."""

    resource: Resource
    answers: Sequence[Answer]
    sources: Sequence[Source]
    findings: Sequence[Told]
    stored: StoredOpinion | None
    has_pdf: bool

    @property
    def conclusion(self) -> str:
        """The answer to the question."""
        return str(self.resource.get("conclusion", ""))

    @property
    def signed(self) -> str:
        """When this version was signed."""
        return str(self.resource.get("issued", ""))

    @property
    def amended(self) -> str:
        """What kind of amendment this version is, in words; empty for the first one."""
        return TITLES.get(str(self.resource.get("status")), "")

    @property
    def recommendations(self) -> Sequence[str]:
        """What to do."""
        return self.stored.recommendations if self.stored else ()

    @property
    def patient_version(self) -> str:
        """The same for the patient."""
        return self.stored.patient_version if self.stored else ""

    def in_words(self, who: str) -> str:
        """`Dr. Ito refines the diagnosis and agrees with the treatment.`"""
        said = [IN_WORDS[each.key, each.code] for each in self.answers if (each.key, each.code) in IN_WORDS]
        return f"{who} {sentence_list(said)}." if said else ""


def report_of(resource: Resource, concordance: Resource, named: Collection[str], uids: Mapping[str, str]) -> Report:
    """Read a DiagnosticReport and its concordance; `named` records can be opened, studies by their `uids`."""
    extensions = [each["valueReference"] for each in resource.get("extension", []) if "valueReference" in each]
    stored = opinion_in(resource)
    places = (
        [(each.reference, each.display) for each in stored.reviewed]
        if stored
        else [
            (each.get("reference", ""), each.get("display", ""))
            for each in [*resource.get("imagingStudy", []), *extensions]
        ]
    )
    sources = [
        Source(number, display or reference, _path(reference, named, uids))
        for number, (reference, display) in enumerate(places, start=1)
    ]
    by_reference = {reference: source for (reference, _), source in zip(places, sources, strict=True)}
    findings = [
        Told(text, [by_reference[cite] for cite in cites if cite in by_reference])
        for text, cites in (stored.findings if stored else ())
    ]
    answers = [_answer(each) for each in concordance.get("component", [])]
    return Report(resource, answers, sources, findings, stored, pdf_of(resource) is not None)


def versions_of(history: Sequence[Resource]) -> list[Version]:
    """The signed versions, newest first, each with what it changed."""
    found: list[Version] = []
    before: StoredOpinion | None = None
    for each in sorted(history, key=lambda one: int(one["meta"]["versionId"])):
        stored = opinion_in(each)
        if each.get("status") not in {"final", *TITLES}:
            continue
        changes = compared(stored.content(), before.content()) if stored and before else []
        title = TITLES.get(str(each.get("status")), "Signed")
        reason = stored.amends if stored else ""
        found.append(Version(each["meta"]["versionId"], title, each.get("issued", ""), reason, changes))
        before = stored
    return found[::-1]


def pdf_of(resource: Resource) -> Resource | None:
    """The PDF among a report's presented forms."""
    forms: list[Resource] = resource.get("presentedForm", [])
    return next((each for each in forms if each.get("contentType") == "application/pdf" and each.get("data")), None)


def _path(reference: str, named: Collection[str], uids: Mapping[str, str]) -> str:
    if uid := uids.get(reference):
        return f"images?study={uid}"
    return f"records/{reference}" if reference in named else ""


def _answer(component: Resource) -> Answer:
    question = code_in(component.get("code"), own_system("concordance")) or ""
    value = code_in(component.get("valueCodeableConcept"), own_system("concordance-value")) or ""
    title = QUESTIONS.get(question, (concept(component.get("code")), ()))[0]
    return Answer(question, value, title, concept(component.get("valueCodeableConcept")), value not in CONFIRMS)
