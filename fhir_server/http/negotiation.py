"""Which form the client takes and sends, and what it prefers.  https://hl7.org/fhir/R4/http.html#mime-type"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl

from starlette.requests import Request

from fhir_server.errors import NotAcceptable, UnsupportedMedia

Form = Literal["json", "xml", "html", "native"]
JSON_TYPE = "application/fhir+json"
XML_TYPE = "application/fhir+xml"
JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json"})
XML_TYPES = frozenset({"application/fhir+xml", "application/xml", "text/xml"})
FHIR_TYPES = JSON_TYPES | XML_TYPES
FORMS: dict[str, Form] = {
    **dict.fromkeys(JSON_TYPES | {"json", "*/*", "application/*"}, "json"),
    **dict.fromkeys(XML_TYPES | {"xml"}, "xml"),
    **dict.fromkeys(("text/html", "application/xhtml+xml", "html"), "html"),
}
PATCH_TYPE = "application/json-patch+json"
FORM_TYPE = "application/x-www-form-urlencoded"
RETURNS = {"minimal", "representation", "OperationOutcome"}
ANY_PART = frozenset({"true", "text", "data", "count"})
KEY = "fhir_server.presentation"


@dataclass(frozen=True, slots=True)
class Preference:
    """`Prefer`: what a write returns, whether unknown search parameters are refused, whether the answer may be made
    later.  http.html#ops, search.html#errors, async.html
    """

    returns: str | None = None
    lenient: bool = False
    asynchronous: bool = False


@dataclass(frozen=True, slots=True)
class Presentation:
    """How an answer is written: its form, whether for a person, and which part (`_summary`, `_elements`)."""

    form: Form = "json"
    pretty: bool = False
    summary: str = "false"
    elements: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether stored bytes are the answer."""
        return self is PLAIN


PLAIN = Presentation()
NO_PREFERENCE = Preference()


def header(request: Request, name: bytes) -> str | None:
    """The first header of this name, which is in small letters: Starlette's look-up takes four times as long."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def negotiate(request: Request, *, native: bool = False) -> Presentation:
    """How to answer; `_format` comes before Accept. Raises NotAcceptable, Invalid.

    Where bytes may be served as what they are (`native`), they are unless FHIR is asked for by name.
    """
    query = request.scope["query_string"]
    accept = header(request, b"accept") or "*/*"
    if not query and accept in {"*/*", JSON_TYPE} and not native:
        return PLAIN
    presentation = _negotiated(query.decode("latin-1"), accept, native)
    request.scope[KEY] = presentation
    return presentation


def presentation_of(request: Request | None) -> Presentation:
    """What was negotiated; JSON before."""
    found = request.scope.get(KEY, PLAIN) if request is not None else PLAIN
    return found if isinstance(found, Presentation) else PLAIN


@lru_cache(maxsize=2000)
def _negotiated(query: str, accept: str, native: bool) -> Presentation:
    """Kept by address and header: the same clients ask the same way."""
    asked = dict(parse_qsl(query, keep_blank_values=True))
    wanted = asked.get("_format", "")
    form = _chosen(wanted.replace(" ", "+") or accept, native=native and not wanted)
    if form is None:
        raise NotAcceptable(f"This server answers in {JSON_TYPE}, {XML_TYPE} and text/html.")
    summary, elements = asked.get("_summary", "false"), asked.get("_elements", "")
    pretty = asked.get("_pretty", "false") == "true"
    if summary not in ANY_PART:
        summary = "false"
    made = Presentation(form, pretty, summary, tuple(part.strip() for part in elements.split(",") if part.strip()))
    return PLAIN if made == PLAIN else made


def _chosen(accept: str, *, native: bool) -> Form | None:
    """The form of the highest weight, the earlier one of equals.  RFC 9110 12.5.1"""
    best: tuple[float, Form] | None = None
    for text in accept.split(","):
        name, _, parameters = text.partition(";")
        form = _form(name.strip().lower(), native)
        weight = _weight(parameters) if form and _version_fits(parameters) else 0.0
        if form and weight > 0 and (best is None or weight > best[0]):
            best = weight, form
    return best[1] if best else None


def _form(name: str, native: bool) -> Form | None:
    if native and name not in FHIR_TYPES | {"json", "xml", "text/html"}:
        return "native"
    return FORMS.get(name)


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _version_fits(parameters: str) -> bool:
    """The fhirVersion parameter, where there is one.  http.html#version-parameter"""
    return _parameter(parameters, "fhirversion", "4.0") in {"4.0", "4.0.1"}


def _parameter(parameters: str, wanted: str, default: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == wanted:
            return value.strip('"')
    return default


def check_content_type(request: Request, *accepted: str) -> str:
    """The type of the body, JSON when none is said. Raises UnsupportedMedia for another type, version or charset."""
    name, _, parameters = request.headers.get("content-type", JSON_TYPE).partition(";")
    name = name.strip().lower()
    if name not in (accepted or FHIR_TYPES):
        raise UnsupportedMedia(f"This takes {', '.join(sorted(accepted or FHIR_TYPES))}.")
    if not _version_fits(parameters) or _parameter(parameters, "charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMedia("This takes FHIR 4.0 in UTF-8.")
    return name


def preference(request: Request) -> Preference:
    """Read `Prefer`. What there is not is passed over, and the first of several counts.  RFC 7240 2"""
    headers = [value.decode("latin-1") for name, value in request.scope["headers"] if name == b"prefer"]
    return _preference(tuple(headers)) if headers else NO_PREFERENCE


@lru_cache(maxsize=100)
def _preference(headers: tuple[str, ...]) -> Preference:
    asked: dict[str, str] = {}
    for text in ",".join(headers).replace(";", ",").split(","):
        name, _, value = text.strip().partition("=")
        asked.setdefault(name.strip().lower(), value.strip().strip('"'))
    returns = asked.get("return")
    asynchronous = "respond-async" in asked
    return Preference(returns if returns in RETURNS else None, asked.get("handling") == "lenient", asynchronous)
