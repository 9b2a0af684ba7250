"""A signed opinion as data: kept in the report beside its PDF, read back for pages and for amendments.  Pure."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from smart_app.report.opinion import Finding, Opinion, Reviewed

JSON = "application/json"
TITLE = "Second opinion as data"
Resource = dict[str, Any]


@dataclass(frozen=True)
class StoredOpinion:
    """What was signed; findings name their sources by reference."""

    answer: str
    concordance: Mapping[str, str]
    findings: Sequence[tuple[str, Sequence[str]]]
    recommendations: Sequence[str]
    patient_version: str
    reviewed: Sequence[Reviewed]
    amends: str = ""

    def content(self) -> dict[str, Any]:
        """The same as a draft's content, to write on from there."""
        return {
            "answer": self.answer,
            "concordance": dict(self.concordance),
            "findings": [{"text": text, "cites": list(cites)} for text, cites in self.findings],
            "recommendations": list(self.recommendations),
            "patient_version": self.patient_version,
            "reviewed": [each.reference for each in self.reviewed],
        }

    def opinion(self) -> Opinion:
        """The same as an Opinion, whose findings cite by number."""
        place = {each.reference: number for number, each in enumerate(self.reviewed, start=1)}
        found = (Finding(text, tuple(place[cite] for cite in cites if cite in place)) for text, cites in self.findings)
        return Opinion(
            answer=self.answer,
            concordance=dict(self.concordance),
            findings=tuple(found),
            recommendations=tuple(self.recommendations),
            patient_version=self.patient_version,
            reviewed=tuple(self.reviewed),
        )


def attachment(opinion: Opinion, creation: str, amends: str = "") -> Resource:
    """The opinion as an Attachment of its DiagnosticReport."""
    references = [each.reference for each in opinion.reviewed]
    content = {
        "answer": opinion.answer,
        "concordance": opinion.concordance,
        "findings": [
            {"text": each.text, "cites": [references[one - 1] for one in each.sources if one <= len(references)]}
            for each in opinion.findings
        ],
        "recommendations": list(opinion.recommendations),
        "patient_version": opinion.patient_version,
        "reviewed": [{"reference": each.reference, "display": each.display} for each in opinion.reviewed],
        "amends": amends,
    }
    data = base64.b64encode(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).decode()
    return {"contentType": JSON, "language": "en", "data": data, "title": TITLE, "creation": creation}


def opinion_in(report: Mapping[str, Any]) -> StoredOpinion | None:
    """The opinion that a DiagnosticReport holds as data; None for a report that was written elsewhere."""
    forms = (each for each in report.get("presentedForm", []) if each.get("title") == TITLE and each.get("data"))
    form = next(forms, None)
    if form is None:
        return None
    content = orjson.loads(base64.b64decode(form["data"]))
    return StoredOpinion(
        answer=content["answer"],
        concordance=content["concordance"],
        findings=[(each["text"], each["cites"]) for each in content["findings"]],
        recommendations=content["recommendations"],
        patient_version=content["patient_version"],
        reviewed=[Reviewed(each["reference"], each["display"]) for each in content["reviewed"]],
        amends=content.get("amends", ""),
    )
