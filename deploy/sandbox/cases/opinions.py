"""A consultant's opinion from the words of a story: citations resolved, typeset, signed."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, import_key

import smart_app
from deploy.sandbox.cases.browser import Form
from deploy.sandbox.cases.people import Caller
from deploy.sandbox.cases.story import Opinion
from smart_app.case.material import Record
from smart_app.report.opinion import QUESTIONS
from smart_app.tenants import NamedKey

FONTS = Path(smart_app.__file__).parent / "static" / "vendor" / "fonts"
CITED = re.compile(r"\{([^}]+)\}")


class NotCitable(Exception):
    """The case has no record with such words in its title."""


def record_named(words: str, records: Sequence[Record]) -> Record:
    """The newest record whose title holds these words, best at its start.  Raises NotCitable."""
    fitting = [each for each in records if words.lower() in each.title.lower()]
    if not fitting:
        raise NotCitable(words)
    return max(fitting, key=lambda each: (each.title.lower().startswith(words.lower()), each.date, each.number))


def finding(line: str, records: Sequence[Record]) -> dict[str, Any]:
    """A line as the report's form keeps it: its text, and the references of what it cites."""
    cites = [record_named(words, records).reference for words in CITED.findall(line)]
    return {"text": " ".join(CITED.sub("", line).split()), "cites": list(dict.fromkeys(cites))}


def content(opinion: Opinion, records: Sequence[Record]) -> dict[str, Any]:
    """The report's draft, as it is kept."""
    return {
        "answer": opinion.answer,
        "findings": [finding(line, records) for line in opinion.findings],
        "recommendations": list(opinion.recommendations),
        "patient_version": opinion.patient_version,
        "concordance": {key: value for key, value in zip(QUESTIONS, opinion.concordance, strict=True) if value},
        "reviewed": [record_named(words, records).reference for words in opinion.reviewed],
    }


def form(opinion: Opinion, records: Sequence[Record]) -> Form:
    """The same as the page posts it: text and citations of a finding in two fields, a choice in each row."""
    kept = content(opinion, records)
    rows = kept["findings"]
    texts = {"findings": [row["text"] for row in rows], "cites": [" ".join(row["cites"]) for row in rows]}
    plain = {name: kept[name] for name in ("answer", "recommendations", "patient_version", "reviewed")}
    return {**plain, **texts, **{f"concordance-{key}": value for key, value in kept["concordance"].items()}}


def signing_key(named: NamedKey) -> ECKey:
    """The app's key, by which it signs for whoever signed in."""
    key = import_key(named.key)
    assert isinstance(key, ECKey)  # noqa: S101 - made by deploy.sandbox.keys
    return key


async def instances(caller: Caller, records: Sequence[Record], references: set[str]) -> list[str]:
    """SOP Instance UIDs of the reviewed studies, as available now."""
    found: list[str] = []
    for each in records:
        if each.study_instance_uid and each.reference in references:
            found += await caller.gateway.instances(each.study_instance_uid)
    return sorted(found)
