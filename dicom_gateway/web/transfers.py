"""Imaging sources and transfers, for those who look after them: HIM staff and administrators.

Which retrievals are shown is for the FHIR server to say, as everywhere; what acts on a peer or tells of the whole
archive asks for a role besides.  Trying a retrieval again, or ending it, is a step of its Task, made over FHIR.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, func, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway import commitment, operations, retrieve, route, workstation
from dicom_gateway.dimse.echo import probe
from dicom_gateway.index.exchange import forwarding
from dicom_gateway.index.models import association, retrieval
from dicom_gateway.peers import Peer, all_peers, by_name
from dicom_gateway.publish import codes
from dicom_gateway.publish.fhir import Bearer, Resource
from dicom_gateway.retrieval.state import sentences
from dicom_gateway.web.api import access_of, answer
from dicom_gateway.web.doors import Doors, ask, require_bearer
from dicom_gateway.web.errors import Forbidden, NotFound
from konsil.database import reader

OPERATORS = frozenset({"him", "administrator"})


def require_live_token(doors: Doors, request: Request) -> str:
    """A token that the FHIR server knows.  Raises Unauthenticated."""
    token = require_bearer(request)
    access = access_of(doors)
    ask(lambda: access.studies(token))
    return token


def require_operator(doors: Doors, request: Request) -> str:
    """The token of somebody who looks after sources and transfers.  Raises Unauthenticated, Forbidden."""
    token = require_bearer(request)
    access = access_of(doors)
    if not ask(lambda: access.roles(token)) & OPERATORS:
        raise Forbidden("Imaging sources are for health information staff and administrators.")
    return token


def shown_peer(peer: Peer) -> dict[str, Any]:
    """A peer as the app shows it."""
    cause = peer.capabilities.get("last_error") or None
    told, remedy = sentences(
        cause, {"title": peer.title, "host": peer.host, "port": peer.port, "our": peer.our_ae_title}
    )
    state = {True: "ok", False: "failed", None: "unknown"}[peer.reachable]
    return {
        "name": peer.name,
        "title": peer.title,
        "ae_title": peer.ae_title,
        "address": f"{peer.host}:{peer.port}",
        "our_ae_title": peer.our_ae_title,
        "can": peer.can,
        "forward": peer.forward,
        "readers": list(peer.readers),
        "state": state,
        "checked_at": moment(peer.checked_at),
        "cause": told if state == "failed" else None,
        "remedy": remedy if state == "failed" else None,
    }


def moment(seconds: float | None) -> str | None:
    """A moment as FHIR writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def list_peers(doors: Doors, request: Request) -> Response:
    """The outside PACS and destinations, with what is known of them.  Raises Forbidden."""
    require_operator(doors, request)
    with reader(doors.engine).begin() as connection:
        called = dict(
            connection.execute(
                select(association.c.peer, func.max(association.c.started_at))
                .where(association.c.outcome == "accepted")
                .group_by(association.c.peer)
            ).all()
        )
        peers = [shown_peer(peer) | {"called_at": moment(called.get(peer.name))} for peer in all_peers(connection)]
    return answer({"peers": peers})


def echo_peer(doors: Doors, request: Request) -> Response:
    """Ask a peer whether it is there (C-ECHO), now.  Raises Forbidden, NotFound."""
    require_operator(doors, request)
    name = request.path_params["name"]
    with reader(doors.engine).begin() as connection:
        peer = by_name(connection, name)
    probe(doors.engine, peer)
    with reader(doors.engine).begin() as connection:
        return answer(shown_peer(by_name(connection, name)))


def list_transfers(doors: Doors, request: Request) -> Response:
    """Retrievals whose Task the caller may read, and forwardings of studies that the caller is shown; newest first."""
    token = require_live_token(doors, request)
    access = access_of(doors)
    criteria = {"code": f"{codes.TASK_CODE}|imaging-retrieval", "_count": "200", "_sort": "-_lastUpdated"}
    tasks = {task["id"]: task for task in access.fhir.search(Bearer(token), "Task", criteria)}
    studies = access.studies(token)
    with reader(doors.engine).begin() as connection:
        order = select(retrieval.c.task_id, retrieval.c.created_at, retrieval.c.updated_at)
        rows = connection.execute(order.order_by(retrieval.c.created_at.desc())).all()
        retrievals = [
            shown_retrieval(tasks[row.task_id], retrieve.progress(connection, row.task_id))
            | {"begun_at": moment(row.created_at), "changed_at": moment(row.updated_at)}
            for row in rows
            if row.task_id in tasks
        ]
        titles = {peer.name: peer.title for peer in all_peers(connection)}
        found = connection.execute(select(forwarding).order_by(forwarding.c.updated_at.desc())).mappings()
        asked, commitments = workstation.askers(connection), commitment.standing(connection)
        forwardings = [
            shown_forwarding(row)
            | {"title": titles.get(row["peer"], row["peer"]), "asked_by": asked_by(asked.get(row["id"]))}
            | {"commitment": commitments.get(row["id"], "")}
            for row in found
            if row["study_instance_uid"] in studies
        ]
    for item in retrievals:
        item["title"] = titles.get(item["peer"], item["peer"])
    return answer({"retrievals": retrievals, "forwardings": forwardings})


def asked_by(row: RowMapping | None) -> str:
    """Who had it sent, `Practitioner/id`; empty for what goes out by itself."""
    return "" if row is None else str(row["asked_by"])


def shown_forwarding(row: RowMapping) -> dict[str, Any]:
    """A forwarding as JSON has it: the names of columns become plain strings, which orjson insists on."""
    return {str(name): value for name, value in row.items()} | {"updated_at": moment(row["updated_at"])}


def shown_retrieval(task: Resource, progress: retrieve.Progress) -> dict[str, Any]:
    """A retrieval with the case and description of its Task."""
    return {
        "task": f"Task/{task['id']}",
        "version": task["meta"]["versionId"],
        "status": task.get("status"),
        "case": codes.case_of(task),
        "patient": codes.reference_of(task.get("for")),
        "description": codes.input_of(task, "description") or task.get("description"),
        "peer": progress.peer,
        "study_instance_uid": progress.study_instance_uid,
        "state": progress.state,
        "expected": progress.expected,
        "received": progress.received,
        "failed": progress.failed,
        "aside": progress.aside,
        "completeness": progress.completeness,
        "cause": progress.cause,
        "remedy": progress.remedy,
    }


def overview(doors: Doors, request: Request) -> Response:
    """What waits in quarantine, what could not be read, and how much room is taken and left.  Raises Forbidden."""
    require_operator(doors, request)
    with reader(doors.engine).begin() as connection:
        return answer(operations.status(connection, doors.settings))


def resend(doors: Doors, request: Request) -> Response:
    """Send a study on once more, to a destination where it failed or was withheld.  Raises Forbidden, NotFound."""
    token = require_operator(doors, request)
    forwarding_id = request.path_params["forwarding"]
    with doors.engine.begin() as connection:
        row = connection.execute(select(forwarding).where(forwarding.c.id == forwarding_id)).mappings().one_or_none()
        if row is None or row["study_instance_uid"] not in access_of(doors).studies(token):
            raise NotFound
        route.plan_one(connection, row["study_instance_uid"], by_name(connection, row["peer"]))
    return answer({"state": "due"}, 202)


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    return [
        Route("/peers", doors.bind(list_peers), methods=["GET"]),
        Route("/peers/{name}/echo", doors.bind(echo_peer), methods=["POST"]),
        Route("/transfers", doors.bind(list_transfers), methods=["GET"]),
        Route("/overview", doors.bind(overview), methods=["GET"]),
        Route("/forwardings/{forwarding:int}/resend", doors.bind(resend), methods=["POST"]),
    ]
