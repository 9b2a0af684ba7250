"""QIDO-RS: search for studies, series and instances.  PS3.18 10.6

The query is the one that C-FIND uses; only released instances exist for it, and above study level only the studies
that FHIR shows to the caller.  Nothing found is 204.  Answers are capped; a Warning header says how many are left
(PS3.18 10.6.1.3, 8.3.4.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydicom.datadict import dictionary_has_tag, keyword_for_tag, tag_for_keyword
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway.access import Grant
from dicom_gateway.index.query import Query, count, find, unsupported
from dicom_gateway.web.doors import Doors, bearer_of, grant_for_search, grant_for_study, looker, ranges
from dicom_gateway.web.errors import WebError
from dicom_gateway.web.native_xml import XML
from dicom_gateway.web.wado import JSON, PRIVATE, model_type, xml_response
from konsil.database import reader

CAP = 1000
CONTROL = frozenset(
    {"includefield", "limit", "offset", "fuzzymatching", "emptyvaluematching", "multiplevaluematching", "accept"}
)
RETRIEVE_URL, AVAILABILITY = "00081190", "00080056"
# Attributes that answers hold without being asked for.  PS3.18 Tables 10.6.3-3, -4, -5
STUDY_TAGS = (
    "00080005 00080020 00080030 00080050 00080056 00080061 00080090 00080201 00081030 00081190 00100010 00100020 "
    "00100021 00100030 00100040 0020000D 00200010 00201206 00201208"
)
SERIES_TAGS = (
    "00080005 00080021 00080031 00080060 00080201 0008103E 00081190 00180015 0020000D 0020000E 00200011 00201209 "
    "00400244 00400245 00400275"
)
IMAGE_TAGS = (
    "00080005 00080016 00080018 00080056 00080201 00081190 0020000D 0020000E 00200013 00280008 00280010 00280011 "
    "00280100"
)
DEFAULTS: Mapping[str, frozenset[str]] = {
    "STUDY": frozenset(STUDY_TAGS.split()),
    "SERIES": frozenset(SERIES_TAGS.split()),
    "IMAGE": frozenset(IMAGE_TAGS.split()),
}


@dataclass(frozen=True, slots=True)
class Search:
    """A parsed search: what to match, which attributes to answer with (None: all), how many, and what to warn of."""

    query: Query
    fields: frozenset[str] | None
    limited: bool
    warnings: tuple[str, ...]


def keyword_of(name: str) -> str:
    """The keyword of an attribute named by keyword or by its eight digits.  Raises WebError 400."""
    if tag_for_keyword(name) is not None:
        return name
    try:
        tag = int(name, 16)
    except ValueError:
        tag = 0
    if len(name) != 8 or not dictionary_has_tag(tag):
        raise WebError(400, "The query names an unknown attribute.")
    return keyword_for_tag(tag)


def match_of(parameters: QueryParams, path: Mapping[str, str]) -> dict[str, str]:
    """What to match: the query's attributes and the UIDs of the path.  PS3.18 8.3.4.1

    A comma separates UIDs of a list, as a backslash does. `a.b` reaches into a sequence, which the index does not
    hold: it is passed over and warned of, like any attribute that cannot be matched.
    """
    found: dict[str, str] = {}
    for name, value in parameters.multi_items():
        if name.lower() in CONTROL:
            continue
        keyword = ".".join(keyword_of(part) for part in name.split("."))
        found[keyword] = value.replace(",", "\\") if keyword.endswith("UID") else value
    levels = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID"}
    return found | {levels[name]: value for name, value in path.items() if name in levels}


def number(parameters: QueryParams, name: str, default: int) -> int:
    """A count of the query.  Raises WebError 400."""
    value = parameters.get(name)
    if value is None:
        return default
    if not value.isdecimal():
        raise WebError(400, f"{name} is a whole number.")
    return min(int(value), 2**31)


def fields_of(parameters: QueryParams, level: str, matched: Iterable[str]) -> frozenset[str] | None:
    """Tags to answer with: the level's own, what is matched, what is included; None for `includefield=all`."""
    included = [
        part.strip() for value in parameters.getlist("includefield") for part in value.split(",") if part.strip()
    ]
    if "all" in included:
        return None
    keywords = [keyword_of(part.split(".")[0]) for part in included] + [keyword.split(".")[0] for keyword in matched]
    return DEFAULTS[level] | {f"{tag_for_keyword(keyword):08X}" for keyword in keywords}


def parse(request: Request, level: str, grant: Grant) -> Search:
    """Read a search.  Raises WebError 400."""
    parameters = request.query_params
    match = match_of(parameters, request.path_params)
    asked = number(parameters, "limit", CAP)
    query = Query(level, match, grant.studies, limit=min(asked, CAP), offset=number(parameters, "offset", 0))
    warnings = []
    if parameters.get("fuzzymatching", "").lower() == "true":
        warnings.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    ignored = unsupported(query)
    if ignored:
        warnings.append(f"Not matched: {', '.join(sorted(ignored))}.")
    return Search(query, fields_of(parameters, level, match), asked <= CAP and "limit" in parameters, tuple(warnings))


def answer(doors: Doors, request: Request, level: str, grant: Grant) -> Response:
    """Run a search and answer it.  Raises NotAcceptable, WebError 400."""
    kind = model_type(ranges(request))
    search = parse(request, level, grant)
    with reader(doors.engine).begin() as connection:
        hits = find(connection, search.query)
        total = count(connection, search.query) if len(hits) >= (search.query.limit or 0) else 0
    left = max(total - search.query.offset - len(hits), 0)
    warnings = [*search.warnings]
    if left and not search.limited:
        warnings.append(f"There are {left} additional results that can be requested")
    headers = {**PRIVATE}
    if warnings:
        headers["Warning"] = ", ".join(f'299 {doors.root}: "{text}"' for text in warnings)
    told(doors, request, hits, grant)
    if not hits:
        return Response(status_code=204, headers=headers)
    models = [shown(doors, hit, level, search.fields) for hit in hits]
    if kind == XML:
        return xml_response(models, headers)
    return Response(orjson.dumps(models), headers={**headers, "Content-Type": JSON})


def told(doors: Doors, request: Request, hits: Sequence[dict[str, Any]], grant: Grant) -> None:
    """Put down who asked what and was shown which studies; a viewer's own questions belong to its look."""
    if bearer_of(request) is not None:
        found = {str(hit["0020000D"]["Value"][0]) for hit in hits}
        query = f"{request.url.path.partition('/dicom-web/')[2]}?{request.url.query}"
        doors.looking.asked(looker(request, grant.token), query, sorted(found))


def shown(doors: Doors, hit: dict[str, Any], level: str, fields: frozenset[str] | None) -> dict[str, Any]:
    """One answer: the wanted attributes, where to retrieve it, and that it is online.  PS3.18 Table 10.6.3-3"""
    names = {"STUDY": ("0020000D",), "SERIES": ("0020000D", "0020000E"), "IMAGE": ("0020000D", "0020000E", "00080018")}
    paths = zip(("studies", "series", "instances"), names[level], strict=False)
    url = "/".join([doors.root, *(f"{kind}/{hit[tag]['Value'][0]}" for kind, tag in paths)])
    model = {tag: value for tag, value in hit.items() if fields is None or tag in fields}
    model["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    model[RETRIEVE_URL] = {"vr": "UR", "Value": [url]}
    model[AVAILABILITY] = {"vr": "CS", "Value": ["ONLINE"]}
    return dict(sorted(model.items()))


def search_all(doors: Doors, request: Request, level: str) -> Response:
    """A search over everything that the caller is shown."""
    return answer(doors, request, level, grant_for_search(doors, request))


def search_study(doors: Doors, request: Request, level: str) -> Response:
    """A search inside one study."""
    study = request.path_params["study"]
    token = grant_for_study(doors, request, study)
    return answer(doors, request, level, Grant(frozenset({study}), token))


def studies(doors: Doors, request: Request) -> Response:
    """Search for studies.  PS3.18 Table 10.6.1-1"""
    return search_all(doors, request, "STUDY")


def series(doors: Doors, request: Request) -> Response:
    """Search for series, everywhere or in a study."""
    return (
        search_study(doors, request, "SERIES")
        if "study" in request.path_params
        else search_all(doors, request, "SERIES")
    )


def instances(doors: Doors, request: Request) -> Response:
    """Search for instances, everywhere, in a study or in a series."""
    return (
        search_study(doors, request, "IMAGE") if "study" in request.path_params else search_all(doors, request, "IMAGE")
    )


def routes(doors: Doors) -> list[Route]:
    """The six search transactions.  PS3.18 Table 10.6.1-2"""
    table = [
        ("/studies", studies),
        ("/series", series),
        ("/instances", instances),
        ("/studies/{study}/series", series),
        ("/studies/{study}/instances", instances),
        ("/studies/{study}/series/{series}/instances", instances),
    ]
    return [Route(path, doors.bind(endpoint), methods=["GET"]) for path, endpoint in table]
