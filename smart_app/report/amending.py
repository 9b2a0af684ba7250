"""The amendment of a signed report as one FHIR transaction: a new version of the same report, signed anew.  case-model

An addendum is `appended`, a correction `corrected`, any other change `amended`; the version before stays in history,
with its own signature.  The server adds the Task that asks the requester to acknowledge it.
"""

from dataclasses import dataclass, replace

from smart_app.report import bundle
from smart_app.report.bundle import Resource, Signing
from smart_app.report.opinion import Opinion

KINDS = {
    "appended": ("Addendum", "Something is added; what was signed stays as it is."),
    "amended": ("Amendment", "The opinion changes, since more is known or was thought over."),
    "corrected": ("Correction", "The signed report holds a mistake."),
}


@dataclass(frozen=True)
class Amendment:
    """What is amended (the report and its concordance as read), how (a key of KINDS) and why."""

    report: Resource
    concordance: Resource
    kind: str
    reason: str


def with_addendum(opinion: Opinion, text: str, day: str) -> Opinion:
    """The opinion with a dated paragraph behind its answer."""
    return replace(opinion, answer=f"{opinion.answer}\n\nAddendum, {day}: {text}")


def unsigned(opinion: Opinion, pdf: bytes, signing: Signing, amendment: Amendment) -> Resource:
    """The transaction Bundle that amends, but for the signature.

    Report, comparison and Task go in on the versions that were read.
    """
    report_id, observation_id = str(amendment.report["id"]), str(amendment.concordance["id"])
    observation = bundle.concordance(opinion, signing, observation_id) | {"status": "amended"}
    report = bundle.diagnostic_report(opinion, pdf, signing, (report_id, observation_id))
    report |= {"status": amendment.kind}
    vouched = bundle.provenance(report_id, observation_id, signing)
    vouched["activity"]["coding"][0]["code"] = "UPDATE"
    vouched["reason"] = [{"text": amendment.reason}]
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            bundle.put(observation, if_match=version(amendment.concordance)),
            bundle.put(report, if_match=version(amendment.report)),
            bundle.put(vouched),
            bundle.put(amended(signing, amendment), if_match=version(signing.task)),
        ],
    }


def amended(signing: Signing, amendment: Amendment) -> Resource:
    """The case after it: report-amended, with the new version among its outputs and the reason."""
    following = int(amendment.report["meta"]["versionId"]) + 1
    output = {
        "type": bundle.coded("task-output", "report", "Report"),
        "valueReference": {"reference": f"DiagnosticReport/{amendment.report['id']}/_history/{following}"},
    }
    return signing.task | {
        "status": "completed",
        "lastModified": signing.when.isoformat(timespec="seconds"),
        "businessStatus": bundle.coded("business-status", "report-amended", "Report amended"),
        "statusReason": {"text": amendment.reason},
        "output": [*signing.task.get("output", []), output],
    }


def version(resource: Resource) -> str:
    """The ETag of a resource as read."""
    return f'W/"{resource["meta"]["versionId"]}"'
