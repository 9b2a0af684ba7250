"""The opinion on paper: one PDF/A-2b page set, by typst."""

import json
import unicodedata
from datetime import date
from pathlib import Path
from typing import Literal

import typst

from smart_app.report.opinion import QUESTIONS, VALUES, Letterhead, Opinion

TEMPLATE = Path(__file__).with_name("opinion.typ")


def render(opinion: Opinion, letterhead: Letterhead, fonts: Path) -> bytes:
    """Typeset the signed opinion.  The same input gives the same bytes.

    The words go in as data, never as typst source, so that nothing a person typed is run.  `fonts` is a folder with
    Noto Sans for the scripts in use.  A character that no font has shows as a box, in a plain PDF instead of PDF/A,
    because a rare script must not stop a report.  Raises typst.TypstError.
    """
    words = json.dumps(content(opinion, letterhead), ensure_ascii=False)
    try:
        return compiled(words, letterhead, fonts, "a-2b")
    except typst.TypstError as problem:
        if "could not be displayed" not in problem.message:
            raise
        return compiled(words, letterhead, fonts, "1.7")


def compiled(words: str, letterhead: Letterhead, fonts: Path, standard: Literal["a-2b", "1.7"]) -> bytes:
    """One run of typst over the template."""
    return typst.compile(
        str(TEMPLATE),
        root=str(TEMPLATE.parent),
        font_paths=[str(fonts)],
        format="pdf",
        sys_inputs={"opinion": words},
        pdf_standards=standard,
        timestamp=int(letterhead.signed_at.timestamp()),
    )


def content(opinion: Opinion, letterhead: Letterhead) -> dict[str, object]:
    """What the template shows, in plain strings and lists."""
    person = letterhead.person
    return {
        "names": [said(name) for name in person.name.split(" / ")],
        "born": long_date(person.birth_date) if person.birth_date else "not known",
        "sex": person.sex,
        "record": f"{person.record_number} ({person.issuer})" if person.issuer else person.record_number,
        "question": said(letterhead.question),
        "case": letterhead.case_number,
        "asked_by": letterhead.asked_by,
        "author": letterhead.author,
        "author_title": letterhead.author_title,
        "organization": letterhead.organization,
        "draft": letterhead.draft,
        "amends": letterhead.amends,
        "day": long_date(letterhead.signed_at.date()),
        "signed": f"{long_date(letterhead.signed_at.date())}, {letterhead.signed_at:%H:%M %Z}",
        "answer": said(opinion.answer),
        "concordance": [
            [title, VALUES.get(opinion.concordance.get(key, ""), "not stated")] for key, (title, _) in QUESTIONS.items()
        ],
        "findings": [{"text": said(each.text), "sources": list(each.sources)} for each in opinion.findings],
        "recommendations": [said(line) for line in opinion.recommendations],
        "patient_version": said(opinion.patient_version),
        "reviewed": [record.display for record in opinion.reviewed],
    }


def said(text: str) -> dict[str, object]:
    """A text with its direction, by its first letter that has one.  Unicode Standard Annex 9, P2 and P3"""
    directions = (unicodedata.bidirectional(character) for character in text)
    return {"text": text, "rtl": next((each for each in directions if each in ("L", "R", "AL")), "L") != "L"}


def long_date(day: date) -> str:
    """`7 March 2026`: no reader takes the month for the day."""
    return f"{day.day} {day:%B %Y}"
