"""The report form: what a consultant types, as draft content and as an Opinion."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Protocol

from smart_app.case.material import Record
from smart_app.report.opinion import QUESTIONS, Finding, Opinion, Reviewed
from smart_app.words import Clock

Row = dict[str, Any]


class Fields(Protocol):
    """A posted form."""

    def get(self, key: str) -> Any:
        """The first value of a field."""

    def getlist(self, key: Any) -> list[Any]:
        """All values of a field."""


def content_of(form: Fields) -> dict[str, Any]:
    """What is kept of the form while it is written, and which window wrote it.

    `findings` and `cites` (references with blanks between) come in pairs, a pair for each finding; a finding of several
    lines is several findings, the last of them citing.  `recommendations` may be several fields, or lines of one.
    """
    chosen = {key: value for key in QUESTIONS if (value := str(form.get(f"concordance-{key}") or ""))}
    return {
        "answer": str(form.get("answer") or ""),
        "findings": findings_of(_texts(form, "findings"), _texts(form, "cites")),
        "recommendations": _lines(_texts(form, "recommendations")),
        "patient_version": str(form.get("patient_version") or ""),
        "concordance": chosen,
        "reviewed": [reference for each in _texts(form, "reviewed") for reference in each.split()],
        "window": str(form.get("window") or ""),
    }


def findings_of(texts: Sequence[str], cites: Sequence[str]) -> list[Row]:
    """Rows of text and references; a row with neither is left out."""
    rows: list[Row] = []
    for text, cited in zip_longest(texts, cites, fillvalue=""):
        lines, references = _lines([text]), list(dict.fromkeys(cited.split()))
        rows += [{"text": line, "cites": []} for line in lines[:-1]]
        if lines or references:
            rows.append({"text": lines[-1] if lines else "", "cites": references})
    return rows


def rows_of(content: Mapping[str, Any], name: str) -> list[Any]:
    """The rows of a draft; one that was written as lines of text is taken apart."""
    kept = content.get(name, [])
    if not isinstance(kept, str):
        return list(kept)
    return findings_of([kept], []) if name == "findings" else _lines([kept])


def is_empty(content: Mapping[str, Any]) -> bool:
    """Whether nothing was written that a person would miss."""
    written = (content.get("answer"), content.get("patient_version"), content.get("concordance"))
    return not any(written) and not rows_of(content, "findings") and not rows_of(content, "recommendations")


def opinion_of(content: Mapping[str, Any], records: Sequence[Record]) -> Opinion:
    """The draft as an Opinion.  `records` are those of the case and the values that they consist of.

    A cited record counts as reviewed; in the report the reviewed records are numbered from 1.
    """
    rows = rows_of(content, "findings")
    cited = {each for row in rows for each in row["cites"]}
    wanted = {record_of(each) for each in cited} | set(content.get("reviewed", []))
    reviewed = [each for each in records if each.reference in wanted]
    place = {record.reference: at for at, record in enumerate(reviewed, start=1)}
    return Opinion(
        answer=str(content.get("answer", "")).strip(),
        concordance=dict(content.get("concordance", {})),
        findings=tuple(Finding(row["text"], sources(row["cites"], place)) for row in rows if row["text"]),
        recommendations=tuple(rows_of(content, "recommendations")),
        patient_version=str(content.get("patient_version", "")).strip(),
        reviewed=tuple(Reviewed(each.reference, label(each) + images(each, cited)) for each in reviewed),
    )


def record_of(citation: str) -> str:
    """The reference of a citation; one of an image is `ImagingStudy/x#SOPInstanceUID;number;of how many`."""
    return citation.partition("#")[0]


def image_of(citation: str) -> str:
    """`image 12 of 300` when a citation names an image."""
    parts = citation.partition("#")[2].split(";")
    numbers = [part for part in parts[1:] if part.isdecimal()]
    return f"image {numbers[0]} of {numbers[1]}" if len(numbers) == 2 else ""


def images(record: Record, cited: Iterable[str]) -> str:
    """The images of a study that findings cite."""
    named = sorted(filter(None, (image_of(each) for each in cited if record_of(each) == record.reference)))
    return f"; {', '.join(named)}" if named else ""


def sources(citations: Iterable[str], place: Mapping[str, int]) -> tuple[int, ...]:
    """The numbers of the reviewed records that citations name."""
    return tuple(sorted({place[record_of(each)] for each in citations if record_of(each) in place}))


def label(record: Record) -> str:
    """A record as a report names it: `CT Chest, 28 Oct 2026`."""
    return f"{record.title}, {Clock().day(record.date[:10])}" if record.date else record.title


def _texts(form: Fields, name: str) -> list[str]:
    return [str(each) for each in form.getlist(name)]


def _lines(texts: Sequence[str]) -> list[str]:
    return [" ".join(line.split()) for text in texts for line in text.splitlines() if line.strip()]
