"""Peers as administrators look after them: shown whole, added, changed, deactivated.

It takes a bearer token of a person of role administrator with the scope `administration`.  Each change is put down in
the FHIR server's audit with that token before it is done: what cannot be audited is not done.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway import peer_register
from dicom_gateway.peer_register import By, Stale, Unsuitable
from dicom_gateway.publish.fhir import Bearer, Resource
from dicom_gateway.web.api import access_of, answer, body_of
from dicom_gateway.web.doors import Doors, ask, require_bearer
from dicom_gateway.web.errors import Forbidden, WebError
from dicom_gateway.web.transfers import moment
from konsil.changes import Details, change_event
from konsil.database import reader

SCOPE = "administration"
PEER = "peer"
Tell = Callable[[Mapping[str, Any]], dict[str, Any]]
MOMENTS = ("changed_at", "checked_at", "called_at", "at")


def require_administrator(doors: Doors, request: Request) -> Mapping[str, Any]:
    """What the FHIR server says of the token of an administrator.  Raises Unauthenticated, Forbidden."""
    token = require_bearer(request)
    access = access_of(doors)
    described = ask(lambda: access.described(token))
    if "administrator" not in described.get("roles", ()) or "fhirUser" not in described:
        raise Forbidden("Peers and rules are changed by administrators.")
    if SCOPE not in str(described.get("scope", "")).split():
        raise Forbidden(f"The token lacks the scope {SCOPE}: the client has to be registered for it.")
    return described


def list_all(doors: Doors, request: Request) -> Response:
    """Every peer, the deactivated ones too."""
    require_administrator(doors, request)
    with reader(doors.engine).begin() as connection:
        return answer({"peers": [TELL(each) for each in peer_register.every(connection)]})


def show(doors: Doors, request: Request) -> Response:
    """One peer, with what was changed of it.  Raises NotFound."""
    require_administrator(doors, request)
    return answer(TELL(_shown(doors, request)))


def add(doors: Doors, request: Request, raw: bytes) -> Response:
    """Add a peer.  Raises WebError 400 with the members that are not taken."""
    by = changer(doors, request, PEER)
    ours = doors.settings.ae_title
    return done(TELL, lambda: peer_register.add(doors.engine, by, body_of(raw), ours), 201)


def change(doors: Doors, request: Request, raw: bytes) -> Response:
    """Change a peer of the version that If-Match names.  Raises WebError 400, 412, 428, NotFound."""
    by, before = changer(doors, request, PEER), before_of(request, _shown(doors, request))
    ours = doors.settings.ae_title
    return done(TELL, lambda: peer_register.change(doors.engine, by, before, body_of(raw), ours))


def switch(doors: Doors, request: Request, *, active: bool) -> Response:
    """Deactivate or activate a peer of the version that If-Match names.  Raises WebError 412, 428, NotFound."""
    by, before = changer(doors, request, PEER), before_of(request, _shown(doors, request))
    return done(TELL, lambda: peer_register.activate(doors.engine, by, before, active=active))


def _shown(doors: Doors, request: Request) -> dict[str, Any]:
    with reader(doors.engine).begin() as connection:
        return peer_register.show(connection, request.path_params["name"])


def before_of(request: Request, found: dict[str, Any]) -> dict[str, Any]:
    """What is to be changed, of the version that If-Match names.  Raises WebError 428."""
    version = request.headers.get("if-match", "").removeprefix("W/").strip('"')
    if not version.isdecimal():
        raise WebError(428, "If-Match names the version.")
    return found | {"version": int(version)}


def done(tell: Tell, work: Callable[[], dict[str, Any]], status: int = 200) -> Response:
    """What became of a change."""
    try:
        return answer(tell(work()), status)
    except Unsuitable as error:
        return answer({"status": 400, "detail": str(error), "fields": error.fields}, 400)
    except Stale as error:
        return answer({"status": 412, "detail": str(error), "current": tell(error.current)}, 412)


def changer(doors: Doors, request: Request, kind: str) -> By:
    """The person, whose name the FHIR server knows.  Raises as `require_administrator`, FhirError."""
    described = require_administrator(doors, request)
    person, token = "/".join(str(described["fhirUser"]).split("/")[-2:]), Bearer(require_bearer(request))
    fhir, server = access_of(doors).fhir, doors.settings.base_url

    def audit(name: str, what: str, details: Details) -> None:
        fhir.create(token, change_event(({"reference": person}, server), f"{kind} {name}", what, details))

    return By(_name(fhir.read(token, person)) or person, audit)


def _name(found: Resource) -> str:
    names = found.get("name") or [{}]
    parts = [*names[0].get("given", ()), names[0].get("family", "")]
    return str(names[0].get("text") or " ".join(parts).strip())[:200]


def told(kind: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """A document with moments as FHIR writes them."""
    document = {name: moment(value) if name in MOMENTS else value for name, value in found.items()}
    document["about"] = {name: moment(value) if name in MOMENTS else value for name, value in found["about"].items()}
    if "changes" in found:
        document["changes"] = [{**each, "at": moment(each["at"])} for each in found["changes"]]
    return {"kind": kind, "key": found["name"], "thing": f"{kind} {found['name']}", **document}


TELL: Tell = partial(told, PEER)


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    return [
        Route("/administration/peers", doors.bind(list_all), methods=["GET"]),
        Route("/administration/peers", doors.bind_body(add), methods=["POST"]),
        Route("/administration/peers/{name}", doors.bind(show), methods=["GET"]),
        Route("/administration/peers/{name}", doors.bind_body(change), methods=["PUT"]),
        *(
            Route(f"/administration/peers/{{name}}/{verb}", partial(_threaded, doors, active), methods=["POST"])
            for verb, active in (("activate", True), ("deactivate", False))
        ),
    ]


def _threaded(doors: Doors, active: bool, request: Request) -> Response:
    return switch(doors, request, active=active)
