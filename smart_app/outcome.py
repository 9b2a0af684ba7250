"""OperationOutcome as sentences a person can act on.  https://hl7.org/fhir/R4/operationoutcome.html"""

import time
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any

import httpx
import orjson

from smart_app.errors import Duplicate, FhirFailure, Protected
from smart_app.words import counted

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
    500: "The record server failed.",
    502: "The record server cannot be reached.",
    503: "The record server is down for the moment.",
    504: "The record server takes too long.",
}
_REMEDIES = {
    401: "Open the app again from the patient's chart.",
    403: "Ask your administrator whether this app may read it.",
}
_SOON = "Nothing was lost. Try again in a moment."
_PROTECTED = frozenset({"4130", "4131", "4134"})  # Epic's break-the-glass; asking again is no use


def failure_of(answer: httpx.Response) -> FhirFailure:
    """A failed answer as an error with a way on."""
    status, after = answer.status_code, retry_after(answer)
    if status == 403 and any(_is_protected(issue) for issue in _issues(answer)):
        remedy = "Open the chart in the hospital's record, give the reason it asks for, then read the chart again."
        return Protected(status, ["The hospital protects this chart (break the glass)."], remedy)
    if status in (400, 409, 422) and any(issue.get("code") == "duplicate" for issue in _issues(answer)):
        return Duplicate(status, sentences(answer))
    said = sentences(answer) if status < 500 else [_BY_STATUS.get(status, f"The record server answered {status}.")]
    remedy = _REMEDIES.get(status, "")
    if after is not None:
        remedy = f"Nothing was lost. Try again in {wait_of(after)}."
    elif status == 429 or status >= 500:
        remedy = _SOON
    return FhirFailure(status, said, remedy, after)


def retry_after(answer: httpx.Response) -> float | None:
    """How many seconds a busy server asks for, in either form of Retry-After.  RFC 9110 10.2.3"""
    if answer.status_code not in (429, 503):
        return None
    value = answer.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def wait_of(seconds: float) -> str:
    """A wait in words."""
    return counted(ceil(seconds), "second") if seconds < 100 else counted(ceil(seconds / 60), "minute")


def _is_protected(issue: dict[str, Any]) -> bool:
    codings = issue.get("details", {}).get("coding", [])
    return issue.get("code") == "suppressed" or any(each.get("code") in _PROTECTED for each in codings)


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
