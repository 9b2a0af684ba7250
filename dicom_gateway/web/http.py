"""Errors as HTTP answers, in one place, and headers that every answer carries."""

import logging

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dicom_gateway.errors import GatewayError, NotFound
from dicom_gateway.publish.fhir import FhirError
from dicom_gateway.web.errors import WebError

logger = logging.getLogger(__name__)


def on_web_error(request: Request, error: Exception) -> Response:
    """A door's own answer."""
    status = error.status if isinstance(error, WebError) else 500
    headers = error.headers if isinstance(error, WebError) else {}
    return problem(status, str(error), headers)


def on_gateway_error(request: Request, error: Exception) -> Response:
    """What the core refused."""
    return problem(404 if isinstance(error, NotFound) else 422, str(error), {})


def on_fhir_error(request: Request, error: Exception) -> Response:
    """The FHIR server refused something on the caller's behalf: its refusals are passed on, its failures are 502."""
    status = error.status if isinstance(error, FhirError) and error.status in {401, 403, 404} else 502
    return problem(status, "The FHIR server did not allow or answer this.", {})


def on_transport_error(request: Request, error: Exception) -> Response:
    """The FHIR server cannot be reached, so nobody can be let in: 503."""
    logger.warning("the FHIR server does not answer: %s", type(error).__name__)
    return problem(503, "The FHIR server cannot be reached.", {"Retry-After": "5"})


def problem(status: int, detail: str, headers: dict[str, str]) -> Response:
    """An error in the words of RFC 9457."""
    content = {"status": status, "detail": detail, "error": detail, "remedy": REMEDIES.get(status, REMEDIES[500])}
    return JSONResponse(
        content, status, headers={"Cache-Control": "no-store", **headers}, media_type="application/problem+json"
    )


REMEDIES = {
    400: "Correct the request.",
    401: "Sign in again.",
    403: "Sign in with an account that has the role.",
    404: "Check the address, or ask who may show it to you.",
    406: "Ask for another format.",
    429: "Wait as long as Retry-After says.",
    503: "Try again in a minute.",
    500: "Try again; if it persists, tell the administrators of the gateway.",
}
HANDLERS = {
    WebError: on_web_error,
    GatewayError: on_gateway_error,
    FhirError: on_fhir_error,
    httpx.HTTPError: on_transport_error,
}
