"""OperationOutcome as sentences a person can act on.  https://hl7.org/fhir/R4/operationoutcome.html"""

from typing import Any

import httpx
import orjson

_BY_STATUS = {
    400: "The record server could not use the request.",
    401: "The sign-in at the record server has ended.",
    403: "The record server does not allow this for you.",
    404: "The record server knows nothing by this name.",
    409: "Somebody else is writing the same record.",
    410: "The record was deleted.",
    412: "Somebody else changed the record in the meantime.",
    422: "The record server found a rule that this breaks.",
    429: "The record server asks for patience.",
}


def sentences(answer: httpx.Response) -> list[str]:
    """What a failed answer says: the texts of its OperationOutcome, else a sentence for the status."""
    texts = [text for issue in _issues(answer) if (text := _text(issue))]
    return texts or [_BY_STATUS.get(answer.status_code, f"The record server answered {answer.status_code}.")]


def _issues(answer: httpx.Response) -> list[dict[str, Any]]:
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return []
    if not isinstance(body, dict) or body.get("resourceType") != "OperationOutcome":
        return []
    return [issue for issue in body.get("issue", []) if issue.get("severity") in ("fatal", "error")]


def _text(issue: dict[str, Any]) -> str:
    text = issue.get("diagnostics") or issue.get("details", {}).get("text") or ""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
