"""The report form: what a consultant types, as draft content and as an Opinion."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from smart_app.case.material import Record
from smart_app.report.opinion import QUESTIONS, Finding, Opinion, Reviewed

CITATION = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
TEXTS = ("answer", "findings", "recommendations", "patient_version")


class Fields(Protocol):
    """A posted form."""

    def get(self, key: str) -> Any:
        """The first value of a field."""

    def getlist(self, key: Any) -> list[Any]:
        """All values of a field."""


def content_of(form: Fields) -> dict[str, Any]:
    """What is kept of the form while it is written, and which window wrote it."""
    texts = {name: str(form.get(name) or "") for name in TEXTS}
    chosen = {key: value for key in QUESTIONS if (value := str(form.get(f"concordance-{key}") or ""))}
    reviewed = [str(each) for each in form.getlist("reviewed")]
    return {**texts, "concordance": chosen, "reviewed": reviewed, "window": str(form.get("window") or "")}


def opinion_of(content: Mapping[str, Any], records: Sequence[Record]) -> Opinion:
    """The draft as an Opinion: lines become findings, `[3]` in a line cites the case's third record.

    In the report the reviewed records are numbered from 1 again; a cited record counts as reviewed.
    """
    lines = [line.strip() for line in str(content.get("findings", "")).splitlines() if line.strip()]
    cited = {number for line in lines for number in numbers_in(line)}
    ticked = set(content.get("reviewed", []))
    reviewed = [each for each in records if each.reference in ticked or each.number in cited]
    place = {record.number: at for at, record in enumerate(reviewed, start=1)}
    return Opinion(
        answer=str(content.get("answer", "")).strip(),
        concordance=dict(content.get("concordance", {})),
        findings=tuple(finding_of(line, place) for line in lines),
        recommendations=tuple(
            line.strip() for line in str(content.get("recommendations", "")).splitlines() if line.strip()
        ),
        patient_version=str(content.get("patient_version", "")).strip(),
        reviewed=tuple(Reviewed(each.reference, label(each)) for each in reviewed),
    )


def finding_of(line: str, place: Mapping[int, int]) -> Finding:
    """One line; numbers that name no record stay in the text."""
    sources = tuple(sorted({place[number] for number in numbers_in(line) if number in place}))
    text = CITATION.sub(lambda found: "" if numbers(found[1]) <= place.keys() else found[0], line)
    return Finding(" ".join(text.split()), sources)


def numbers_in(line: str) -> set[int]:
    """All numbers cited in a line."""
    return {number for found in CITATION.findall(line) for number in numbers(found)}


def numbers(inside: str) -> set[int]:
    """`3, 5` as numbers."""
    return {int(each) for each in inside.split(",")}


def label(record: Record) -> str:
    """A reviewed record as the report names it."""
    return f"{record.title}, {record.date[:10]}" if record.date else record.title
