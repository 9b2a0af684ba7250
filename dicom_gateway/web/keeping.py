"""Legal holds over our API, and DELETE of a study over DICOMweb by the retention rules, for administrators.

What the rules keep is refused with 409 and the reason: nobody deletes by hand what a rule or a hold keeps.
"""

from contextlib import closing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway.keeping import holds, retention
from dicom_gateway.keeping.holds import Act
from dicom_gateway.keeping.retention import Kept
from dicom_gateway.publish.exchange import exchange_of
from dicom_gateway.web.administration import require_administrator
from dicom_gateway.web.api import answer, body_of
from dicom_gateway.web.doors import Doors, static_grant
from dicom_gateway.web.errors import NotFound, WebError
from dicom_gateway.web.transfers import moment
from konsil.database import reader

LONGEST_REASON = 500


def list_holds(doors: Doors, request: Request) -> Response:
    """Every hold, newest first.  Raises Unauthenticated, Forbidden."""
    require_administrator(doors, request)
    with reader(doors.engine).connect() as connection:
        rows = holds.every(connection)
    return answer({"holds": [{**_plain(row), "placed_at": moment(row["placed_at"])} for row in rows]})


def _plain(row: Any) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def place(doors: Doors, request: Request, raw: bytes) -> Response:
    """Place a hold; again changes nothing.  Raises WebError 400, Forbidden."""
    holds.place(doors.gateway, _act(doors, request, raw))
    return Response(status_code=204)


def lift(doors: Doors, request: Request, raw: bytes) -> Response:
    """Lift a hold.  Raises WebError 400, Forbidden, GatewayError 422 when none stands."""
    holds.lift(doors.gateway, _act(doors, request, raw))
    return Response(status_code=204)


def _act(doors: Doors, request: Request, raw: bytes) -> Act:
    described = require_administrator(doors, request)
    person = "/".join(str(described["fhirUser"]).split("/")[-2:])
    reason = body_of(raw).get("reason")
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= LONGEST_REASON:
        raise WebError(400, "`reason` says in a sentence why.")
    return Act(request.path_params["study"], person, reason.strip())


def delete_study(doors: Doors, request: Request) -> Response:
    """Delete a study if the rules let it go.  Raises WebError 409 with the reason, NotFound, Forbidden."""
    uid, reason = request.path_params["study"], "deleted over DICOMweb as the retention rules allow"
    if doors.access is None:
        static_grant(doors, request)
        act, exchange = Act(uid, "DICOMweb", reason), None
    else:
        described = require_administrator(doors, request)
        act = Act(uid, "/".join(str(described["fhirUser"]).split("/")[-2:]), reason)
        exchange = exchange_of(doors.gateway)
    try:
        if exchange is None:
            retention.remove(None, doors.gateway, act)
        else:
            with closing(exchange):
                retention.remove(exchange, doors.gateway, act)
    except Kept as error:
        if "no such study" in str(error):
            raise NotFound from error
        raise WebError(409, str(error)) from error
    return Response(status_code=204)


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    if doors.access is None:
        return []
    return [
        Route("/holds", doors.bind(list_holds), methods=["GET"]),
        Route("/holds/{study}", doors.bind_body(place), methods=["PUT"]),
        Route("/holds/{study}", doors.bind_body(lift), methods=["DELETE"]),
    ]


def web_routes(doors: Doors) -> list[Route]:
    """The route below /dicom-web."""
    return [Route("/studies/{study}", doors.bind(delete_study), methods=["DELETE"])]
