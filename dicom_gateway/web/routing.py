"""Routing rules as administrators look after them, and which of them a study would meet.

Like the peers: a person of role administrator with the scope `administration`, each change in the audit before it is
done.
"""

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway.publish.fhir import Bearer, FhirError, Resource
from dicom_gateway.routing import plan, register
from dicom_gateway.web.administration import Tell, before_of, changer, done, require_administrator, told
from dicom_gateway.web.api import access_of, answer, body_of
from dicom_gateway.web.doors import Doors, require_bearer
from dicom_gateway.web.errors import WebError
from konsil.database import reader

RULE = "rule"
TELL: Tell = partial(told, RULE)


def list_all(doors: Doors, request: Request) -> Response:
    """Every rule, the deactivated ones too, in their order."""
    require_administrator(doors, request)
    with reader(doors.engine).begin() as connection:
        return answer({"rules": [TELL(each) for each in register.every(connection)]})


def show(doors: Doors, request: Request) -> Response:
    """One rule, with what was changed of it.  Raises NotFound."""
    require_administrator(doors, request)
    return answer(TELL(_shown(doors, request)))


def add(doors: Doors, request: Request, raw: bytes) -> Response:
    """Add a rule.  Raises WebError 400 with the members that are not taken."""
    by = changer(doors, request, RULE)
    return done(TELL, lambda: register.add(doors.engine, by, body_of(raw)), 201)


def change(doors: Doors, request: Request, raw: bytes) -> Response:
    """Change a rule of the version that If-Match names.  Raises WebError 400, 412, 428, NotFound."""
    by, before = changer(doors, request, RULE), before_of(request, _shown(doors, request))
    return done(TELL, lambda: register.change(doors.engine, by, before, body_of(raw)))


def switch(doors: Doors, active: bool, request: Request) -> Response:
    """Deactivate or activate a rule of the version that If-Match names.  Raises WebError 412, 428, NotFound."""
    by, before = changer(doors, request, RULE), before_of(request, _shown(doors, request))
    return done(TELL, lambda: register.activate(doors.engine, by, before, active=active))


def try_out(doors: Doors, request: Request) -> Response:
    """Which rules a study (`?study=UID`) would meet now, of a case (`&case=Task/id`) or of none; nothing is sent.

    Raises WebError 400.
    """
    require_administrator(doors, request)
    uid, case = request.query_params.get("study", ""), request.query_params.get("case", "")
    if not uid:
        raise WebError(400, "`study` is a Study Instance UID.")
    cases = [_case(doors, request, case)] if case else []
    with reader(doors.engine).begin() as connection:
        return answer(plan.dry_run(connection, uid, cases, plan.now(doors.settings)))


def _case(doors: Doors, request: Request, reference: str) -> Resource:
    try:
        return access_of(doors).fhir.read(Bearer(require_bearer(request)), reference)
    except FhirError as error:
        raise WebError(400, "`case` is no case that you may read.") from error


def _shown(doors: Doors, request: Request) -> dict[str, Any]:
    with reader(doors.engine).begin() as connection:
        return register.show(connection, request.path_params["name"])


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    at = "/administration/rules"
    return [
        Route(at, doors.bind(list_all), methods=["GET"]),
        Route(at, doors.bind_body(add), methods=["POST"]),
        Route("/administration/routing", doors.bind(try_out), methods=["GET"]),
        Route(f"{at}/{{name}}", doors.bind(show), methods=["GET"]),
        Route(f"{at}/{{name}}", doors.bind_body(change), methods=["PUT"]),
        *(
            Route(f"{at}/{{name}}/{verb}", partial(switch, doors, active), methods=["POST"])
            for verb, active in (("activate", True), ("deactivate", False))
        ),
    ]
