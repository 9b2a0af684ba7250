"""The letter as the consultant will read it, made from the draft as it stands.  Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from smart_app.case.codes import PRODUCTS, REASONS, URGENCIES
from smart_app.request.chart import GROUP_TITLES, Item
from smart_app.request.content import Content
from smart_app.request.priors import Priors


@dataclass(frozen=True, slots=True)
class Line:
    """One enclosed record: what, when, detail."""

    title: str
    date: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Records of one kind."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Letter:
    """Everything that the letter says."""

    question: str
    reason: str
    diagnosis: str
    story: str
    product: str
    urgency: str
    sections: list[Section] = field(default_factory=list)
    imaging: list[Line] = field(default_factory=list)


def letter_of(content: Content, items: Sequence[Item], priors: Priors) -> Letter:
    """The letter of a draft, with the chart's items and the studies that were found."""
    picked = [item for item in items if item.reference in content.picks]
    sections = [
        Section(title, [Line(item.title, item.date, item.detail) for item in picked if item.group == group])
        for group, title in GROUP_TITLES.items()
        if any(item.group == group for item in picked)
    ]
    return Letter(
        question=content.question.strip(),
        reason=REASONS.get(content.reason, ""),
        diagnosis=diagnosis_of(content, items),
        story=content.story.strip(),
        product=PRODUCTS.get(content.product, ""),
        urgency=URGENCIES.get(content.urgency, ""),
        sections=sections,
        imaging=[
            Line(study.title, study.day, f"to be fetched from {priors.peer_title(study.peer)}")
            for study in priors.studies
            if study.key in content.studies
        ],
    )


def diagnosis_of(content: Content, items: Sequence[Item]) -> str:
    """The diagnosis in words: as written, else the chosen problem's name."""
    chosen = next((item.title for item in items if item.reference == content.diagnosis), "")
    return content.diagnosis_text.strip() or chosen
