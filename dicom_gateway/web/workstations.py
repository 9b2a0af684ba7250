"""A reader sends the studies of a case to a workstation, watches it, cancels it.  Part of the gateway's own API.

Everything is asked of the FHIR server with the reader's own token: the case is one that the reader may read, the
studies are the case's and shown to the reader; and only released instances exist for a sending at all.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway import workstation
from dicom_gateway.access import study_uids
from dicom_gateway.index.exchange import forwarding
from dicom_gateway.peers import Peer, all_peers
from dicom_gateway.publish import codes
from dicom_gateway.publish.fhir import Bearer, Resource
from dicom_gateway.web.api import access_of, answer, body_of, read_as_caller
from dicom_gateway.web.doors import Doors, ask, require_bearer
from dicom_gateway.web.errors import Forbidden, NotFound, WebError
from dicom_gateway.web.transfers import shown_forwarding
from dicom_gateway.workstation import Asking
from konsil.database import reader
from konsil.telemetry import logger

READERS = frozenset({"consultant", "radiologist"})
_log = logger(__name__)


def require_reader(doors: Doors, request: Request) -> tuple[str, str]:
    """The token and the person, `Practitioner/id`, of somebody who reads cases.  Raises Unauthenticated, Forbidden."""
    token, access = require_bearer(request), access_of(doors)
    if not ask(lambda: access.roles(token)) & READERS:
        raise Forbidden("Studies are sent to the workstations of those who read them.")
    return token, ask(lambda: access.person(token))


def workstations_of(doors: Doors, person: str) -> dict[str, Peer]:
    """The workstations that a person may send to, by name."""
    with reader(doors.engine).begin() as connection:
        return {peer.name: peer for peer in all_peers(connection) if peer.serves(person)}


def show(doors: Doors, request: Request) -> Response:
    """The caller's workstations, and how the named studies (`?study=`) stand with them.  Raises Forbidden."""
    token, person = require_reader(doors, request)
    mine, shown = workstations_of(doors, person), access_of(doors).studies(token)
    wanted = shown.intersection(request.query_params.getlist("study"))
    return answer({"workstations": [named(peer) for peer in mine.values()], "sendings": sendings(doors, mine, wanted)})


def named(peer: Peer) -> dict[str, Any]:
    """A workstation as its reader knows it: no address."""
    return {"name": peer.name, "title": peer.title}


def sendings(doors: Doors, peers: Collection[str], studies: Collection[str]) -> list[dict[str, Any]]:
    """How these studies stand with these destinations."""
    wanted = forwarding.c.peer.in_(peers), forwarding.c.study_instance_uid.in_(studies)
    with reader(doors.engine).begin() as connection:
        rows = connection.execute(select(forwarding).where(*wanted).order_by(forwarding.c.id)).mappings().all()
    return [shown_forwarding(row) for row in rows]


def send(doors: Doors, request: Request, raw: bytes) -> Response:
    """Send studies of a case: `{"case": "Task/id", "workstation": name, "studies": [uid]}`.

    202 with how they stand.  Raises Forbidden; NotFound for a case, study or workstation that is not the caller's to
    use, and for a study of another case; WebError 400.
    """
    token, person = require_reader(doors, request)
    body = body_of(raw)
    studies = body.get("studies")
    if not isinstance(studies, list) or not studies or not all(isinstance(uid, str) for uid in studies):
        raise WebError(400, "`studies` is a list of Study Instance UIDs.")
    peer = workstations_of(doors, person).get(str(body.get("workstation")))
    case = read_as_caller(doors, token, body.get("case"), "Task")
    if peer is None or not codes.is_case(case) or not studies_of(doors, token, case).issuperset(studies):
        raise NotFound
    asking = Asking(person, f"Task/{case['id']}")
    with doors.engine.begin() as connection:
        for uid in dict.fromkeys(studies):
            workstation.ask(connection, uid, peer, asking)
    _log.info("studies sent on request", extra={"case": asking.case, "person": person, "peer": peer.name})
    return answer({"sendings": sendings(doors, [peer.name], studies)}, 202)


def studies_of(doors: Doors, token: str, case: Resource) -> frozenset[str]:
    """The studies that a case names, in its request or itself, and that FHIR shows to the caller."""
    request = read_as_caller(doors, token, codes.reference_of(case.get("focus")), "ServiceRequest")
    references = [codes.reference_of(each) for each in request.get("supportingInfo", [])]
    references += [codes.reference_of(each.get("valueReference")) for each in case.get("input", [])]
    ids = [each.removeprefix("ImagingStudy/") for each in references if each.startswith("ImagingStudy/")]
    if not ids:
        return frozenset()
    parameters = {"_id": ",".join(dict.fromkeys(ids)), "_elements": "identifier,status", "_count": "500"}
    found = access_of(doors).fhir.search(Bearer(token), "ImagingStudy", parameters)
    shown = [each for each in found if each.get("status") not in {"entered-in-error", "cancelled"}]
    return frozenset(uid for each in shown for uid in study_uids(each.get("identifier", [])))


def cancel(doors: Doors, request: Request) -> Response:
    """Stop a sending to one of the caller's workstations; one that is over stays so.  Raises Forbidden, NotFound."""
    token, person = require_reader(doors, request)
    mine, shown = workstations_of(doors, person), access_of(doors).studies(token)
    wanted = select(forwarding).where(forwarding.c.id == request.path_params["forwarding"])
    with doors.engine.begin() as connection:
        row = connection.execute(wanted).mappings().one_or_none()
        if row is None or row["peer"] not in mine or row["study_instance_uid"] not in shown:
            raise NotFound
        workstation.cancel(connection, row)
        left = connection.execute(wanted).mappings().one()
    return answer(shown_forwarding(left))


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    return [
        Route("/workstations", doors.bind(show), methods=["GET"]),
        Route("/forwardings", doors.bind_body(send), methods=["POST"]),
        Route("/forwardings/{forwarding:int}/cancel", doors.bind(cancel), methods=["POST"]),
    ]
