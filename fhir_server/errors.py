"""Every failure of the server, one tree: an HTTP status and an IssueType.  https://hl7.org/fhir/R4/operationoutcome.html

Raised anywhere, turned into an OperationOutcome in one place (`http/errors.py`). No patient data in the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem among several: severity, code, our words, a FHIRPath, and the profile that it breaks (None: R4)."""

    severity: str
    code: str
    diagnostics: str
    expression: str | None = None
    profile: str | None = None


class FhirError(Exception):
    """A refusal with its HTTP status and its code of https://hl7.org/fhir/R4/valueset-issue-type.html.

    `issues`: where there are several problems, each of them.
    """

    status = 500
    issue_code = "exception"

    def __init__(self, diagnostics: str, expression: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics
        self.expression = expression
        self.headers = headers or {}
        self.issues: Sequence[Issue] = ()


class Invalid(FhirError):
    """The request cannot be understood: 400."""

    status = 400
    issue_code = "invalid"


class Unauthorized(FhirError):
    """No token, or one that is not (or no longer) good: 401 with WWW-Authenticate (RFC 6750 3)."""

    status = 401
    issue_code = "login"

    def __init__(self, diagnostics: str, challenge: str = 'Bearer realm="fhir"') -> None:
        super().__init__(diagnostics, headers={"WWW-Authenticate": challenge})


class Forbidden(FhirError):
    """The caller is known and may not do this: 403."""

    status = 403
    issue_code = "forbidden"


class NotFound(FhirError):
    """Nothing there, or nothing that the caller may see: 404."""

    status = 404
    issue_code = "not-found"


class NotAllowed(FhirError):
    """The interaction is not offered here: 405."""

    status = 405
    issue_code = "not-supported"


class NotAcceptable(FhirError):
    """No format that the client accepts: 406."""

    status = 406
    issue_code = "not-supported"


class Conflict(FhirError):
    """The state of the resource does not allow it now: 409."""

    status = 409
    issue_code = "conflict"


class Gone(FhirError):
    """Deleted: 410.  https://hl7.org/fhir/R4/http.html#read"""

    status = 410
    issue_code = "deleted"


class VersionMismatch(FhirError):
    """If-Match names another version than the current one: 412.  https://hl7.org/fhir/R4/http.html#concurrency"""

    status = 412
    issue_code = "conflict"


class MultipleMatches(FhirError):
    """A condition met by more than one resource: 412.  https://hl7.org/fhir/R4/http.html#ccreate"""

    status = 412
    issue_code = "multiple-matches"


class TooLarge(FhirError):
    """The body is over the limit: 413."""

    status = 413
    issue_code = "too-long"


class UnsupportedMedia(FhirError):
    """The body has a type that is not taken here: 415."""

    status = 415
    issue_code = "not-supported"


class RangeNotSatisfiable(FhirError):
    """The range lies outside: 416.  RFC 9110 15.5.17"""

    status = 416
    issue_code = "value"


class Unprocessable(FhirError):
    """Well-formed, yet against a profile or a business rule: 422.  https://hl7.org/fhir/R4/http.html#rejecting-updates"""

    status = 422
    issue_code = "business-rule"


class NotLoaded(Unprocessable):
    """A code system or value set that the answer needs is not on this server: 422."""

    issue_code = "not-found"


class TooCostly(Unprocessable):
    """More than this server is willing to list or to look through at once: 422.
    https://hl7.org/fhir/R4/valueset-operation-expand.html
    """

    issue_code = "too-costly"


class TooManyRequests(FhirError):
    """This caller asks too often: 429, with Retry-After.  RFC 6585 4"""

    status = 429
    issue_code = "throttled"


class Unavailable(FhirError):
    """The server cannot do it now; trying again is right: 503."""

    status = 503
    issue_code = "transient"
