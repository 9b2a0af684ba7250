"""What an operator looks after, over HTTP: queues and what was given up, tried again by administrators; metrics.

`konsil_dicom_...` tell what an alert is worth: docs/dimse.md, “Operations”.  They name peers and kinds of work, never
a person or a study.
"""

import time
from functools import partial
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_gateway import operations
from dicom_gateway.gateway import Gateway
from dicom_gateway.peers import all_peers
from dicom_gateway.web.api import access_of, answer
from dicom_gateway.web.doors import Doors, ask
from dicom_gateway.web.errors import Forbidden, NotFound
from dicom_gateway.web.transfers import moment, require_operator
from konsil.database import reader
from konsil.telemetry import logger

_log = logger(__name__)


def show(doors: Doors, request: Request) -> Response:
    """What waits, and what was given up.  Raises Forbidden."""
    require_operator(doors, request)
    with reader(doors.engine).begin() as connection:
        found = operations.told(connection)
    queues = [{**each, "oldest": moment(each["oldest"])} for each in found["queues"]]
    dead = [{**each, "created_at": moment(each["created_at"])} for each in found["dead"]]
    return answer({"queues": queues, "dead": dead})


def retry(doors: Doors, request: Request) -> Response:
    """Try once more what was given up.  Raises Forbidden for all but administrators, NotFound."""
    token, access = require_operator(doors, request), access_of(doors)
    if "administrator" not in ask(lambda: access.roles(token)):
        raise Forbidden("What was given up is tried again by administrators.")
    job = request.path_params["job"]
    if not operations.retry(doors.engine, job):
        raise NotFound
    _log.info("tried again by hand", extra={"job": job, "person": ask(lambda: access.person(token))})
    return answer({"state": "due"}, 202)


def routes(doors: Doors) -> list[Route]:
    """The routes below /api."""
    return [
        Route("/operations", doors.bind(show), methods=["GET"]),
        Route("/operations/dead/{job:int}/retry", doors.bind(retry), methods=["POST"]),
    ]


def metrics(gateway: Gateway, request: Request) -> Response:
    """GET /metrics: those of this process, and the gateway's as they are now, in Prometheus' text format."""
    own = generate_latest(REGISTRY) + generate_latest(registry(gateway))
    return Response(own, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE_LATEST)


def registry(gateway: Gateway) -> CollectorRegistry:
    """The gateway's own metrics, read now."""
    with reader(gateway.engine).begin() as connection:
        queues = operations.queues(connection)
        status = operations.status(connection, gateway.settings)
        peers = all_peers(connection)
    found, now = CollectorRegistry(), time.time()
    gauge = partial(_gauge, found)
    gauge("queue_waiting", "Work that waits", "kind", {each.kind: each.waiting for each in queues})
    gauge("queue_failed", "Work that was given up", "kind", {each.kind: each.failed for each in queues})
    oldest = {each.kind: max(0.0, now - each.oldest) for each in queues if each.oldest is not None}
    gauge("queue_oldest_seconds", "How long the longest-due work has waited", "kind", oldest)
    gauge("instances", "Instances", "state", {name: status[name]["instances"] for name in operations.STATES})
    gauge("set_aside", "Files that could not be read", "", {"": status["aside"]})
    gauge("archive_bytes", "Size of all instances", "", {"": status["bytes"]})
    gauge("disk_free_bytes", "Room left on the disk of the archive", "", {"": status["disk_free"]})
    answers = {peer.name: int(peer.reachable) for peer in peers if peer.reachable is not None}
    gauge("peer_answers", "Whether a peer answered when last asked", "peer", answers)
    return found


def _gauge(found: CollectorRegistry, name: str, text: str, label: str, values: dict[str, Any]) -> None:
    made = Gauge(f"konsil_dicom_{name}", text, [label] if label else [], registry=found)
    for key, value in values.items():
        (made.labels(key) if label else made).set(value)
