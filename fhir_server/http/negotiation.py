"""Which format the client takes and sends, and what it prefers.  https://hl7.org/fhir/R4/http.html#mime-type"""

from dataclasses import dataclass

from starlette.requests import Request

from fhir_server.errors import Invalid, NotAcceptable, UnsupportedMedia

JSON_TYPE = "application/fhir+json"
JSON_TYPES = {"application/fhir+json", "application/json", "text/json", "json"}
ANY_TYPES = {"*/*", "application/*"}
PATCH_TYPE = "application/json-patch+json"
FORM_TYPE = "application/x-www-form-urlencoded"
RETURNS = {"minimal", "representation", "OperationOutcome"}


@dataclass(frozen=True, slots=True)
class Preference:
    """`Prefer`: what a write returns, and whether unknown search parameters are refused.  http.html#ops,
    search.html#errors
    """

    returns: str | None = None
    lenient: bool = False


def check_acceptable(request: Request) -> None:
    """Raise NotAcceptable unless the client takes JSON in FHIR version 4.0; `_format` comes before Accept."""
    wanted = request.query_params.get("_format")
    ranges = [wanted.replace(" ", "+")] if wanted else (request.headers.get("accept") or "*/*").split(",")
    for text in ranges:
        name, _, parameters = text.partition(";")
        known = name.strip().lower() in JSON_TYPES | ANY_TYPES
        if known and _version_fits(parameters) and "q=0" not in parameters.replace(" ", "").split(";"):
            return
    raise NotAcceptable(f"This server answers in {JSON_TYPE}.")


def _version_fits(parameters: str) -> bool:
    """The fhirVersion parameter, where there is one.  http.html#version-parameter"""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "fhirversion" and value.strip('"') not in {"4.0", "4.0.1"}:
            return False
    return True


def check_content_type(request: Request, *accepted: str) -> None:
    """Raise UnsupportedMedia for a body of another type; without a type it is taken for JSON."""
    name = (request.headers.get("content-type") or JSON_TYPE).partition(";")[0].strip().lower()
    if name not in (accepted or JSON_TYPES):
        raise UnsupportedMedia(f"This takes {', '.join(sorted(accepted or JSON_TYPES - {'json'}))}.")


def preference(request: Request) -> Preference:
    """Read `Prefer`. Raises Invalid for a return or handling that there is not."""
    returns, lenient = None, False
    for header in request.headers.getlist("prefer"):
        for text in header.replace(";", ",").split(","):
            name, _, value = text.strip().partition("=")
            if name == "return":
                returns = _one_of("return", value, RETURNS)
            elif name == "handling":
                lenient = _one_of("handling", value, {"strict", "lenient"}) == "lenient"
    return Preference(returns, lenient)


def _one_of(name: str, value: str, allowed: set[str]) -> str:
    if value not in allowed:
        raise Invalid(f"Prefer: {name} is one of {', '.join(sorted(allowed))}.")
    return value
