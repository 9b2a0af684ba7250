"""Two versions of one report side by side, the words that differ marked.  Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from smart_app.report.form import rows_of
from smart_app.report.opinion import QUESTIONS, VALUES

WORDS = re.compile(r"\s+|[^\s]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words; `differs` when the other version does not have it."""

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One field that differs, in both versions."""

    title: str
    mine: list[Piece]
    theirs: list[Piece]


def compared(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Row]:
    """The fields that differ; empty when the versions say the same."""
    ours, others = fields(mine), fields(theirs)
    return [
        Row(title, pieces(ours[title], others[title]), pieces(others[title], ours[title]))
        for title in ours
        if ours[title] != others[title]
    ]


def fields(content: Mapping[str, Any]) -> dict[str, str]:
    """A draft as titles and texts."""
    chosen = content.get("concordance", {})
    return {
        "Answer": str(content.get("answer", "")).strip(),
        **{title: VALUES.get(chosen.get(key, ""), "") for key, (title, _) in QUESTIONS.items()},
        "Findings": "\n".join(_finding(row) for row in rows_of(content, "findings")),
        "Recommendations": "\n".join(rows_of(content, "recommendations")),
        "For the patient": str(content.get("patient_version", "")).strip(),
    }


def as_text(content: Mapping[str, Any]) -> str:
    """A draft as plain text, to keep or to paste elsewhere."""
    written = ((title, text) for title, text in fields(content).items() if text)
    return "\n\n".join(f"{title.upper()}\n{text}" for title, text in written) + "\n"


def pieces(text: str, other: str) -> list[Piece]:
    """A text in runs of words that the other has and has not."""
    words, others = WORDS.findall(text), WORDS.findall(other)
    matcher = SequenceMatcher(None, others, words, autojunk=False)
    runs = [(tag != "equal", "".join(words[begin:end])) for tag, _, _, begin, end in matcher.get_opcodes()]
    return [Piece(run, differs) for differs, run in runs if run]


def _finding(row: Mapping[str, Any]) -> str:
    cited = len(row["cites"])
    return f"{row['text']} ({cited} cited)" if cited else str(row["text"])
