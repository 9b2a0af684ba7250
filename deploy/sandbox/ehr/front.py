"""The demo's front page: what this is, whom one can be, what runs."""

import json
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from deploy.sandbox.ehr.pages import templates
from konsil.probe import healthy

TRY = {
    "requester": (
        "Open a patient's chart and its tab “Second opinion”.",
        "Say why you ask, tick records, find the prior imaging at St. Anna Hospital, send.",
        "Later: read the signed report, acknowledge it, find its PDF under Notes.",
    ),
    "him": (
        "Open the inbox: what arrived waits here, nobody else sees it.",
        "Compare the outside study with the local patient; look at the differences marked.",
        "Accept it and see what changes in the images, tag by tag, or reject it with a reason.",
    ),
    "coordinator": (
        "Open the board: every request by state.",
        "Look at one: completeness, specialty, promised date.",
        "Offer it to the consultant of that service line.",
    ),
    "consultant": (
        "Accept the case that was offered to you.",
        "Read the question, the chart and the images side by side.",
        "Write the opinion with its concordance, check, sign.",
    ),
}
DOORS = ("requester", "him", "coordinator", "consultant")
ROLES = {
    "requester": "Physician who asks",
    "him": "Health information management",
    "coordinator": "Programme coordinator",
    "consultant": "Consultant who answers",
}


def demo(request: Request) -> dict[str, Any]:
    """The content of demo.json; empty when it is not there."""
    path = request.app.state.settings.demo_file
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def kind_of(person: dict[str, str]) -> str:
    """Which door somebody stands behind."""
    return next((door for door in DOORS if person.get("role", "").startswith(door)), "consultant")


def doors_of(people: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Five doors, in the order in which a case meets them; consultants share one."""
    doors: list[dict[str, Any]] = []
    for kind in DOORS:
        here = [each for each in people if kind_of(each) == kind]
        groups = [[each] for each in here] if kind == "requester" else [here]
        doors += [{"kind": kind, "title": ROLES[kind], "steps": TRY[kind], "people": each} for each in groups if each]
    return doors


async def state_of(program: dict[str, Any], states: dict[str, str]) -> None:
    """Ask one program how it is; a worker without an address cannot be asked."""
    address = program.get("health")
    if not address:
        states[program["name"]] = "background"
        return
    up = await anyio.to_thread.run_sync(healthy, address)
    states[program["name"]] = "running" if up else "not answering"


async def states_of(listed: list[dict[str, Any]]) -> dict[str, str]:
    """The state of every program, asked at the same time, in the order of the list."""
    states = {program["name"]: "" for program in listed}
    async with anyio.create_task_group() as group:
        for program in listed:
            if program["name"] == "ehr":
                states["ehr"] = "running"
            else:
                group.start_soon(state_of, program, states)
    return states


async def show(request: Request) -> Response:
    """The page."""
    content = demo(request)
    doors = doors_of(content.get("open", {}).get("people", []))
    states = await states_of(content.get("programs", []))
    values = {"doors": doors, "states": states, "addresses": addresses(content)}
    return HTMLResponse(templates.get_template("front.html").render(values))


async def programs(request: Request) -> Response:
    """The programs' states as JSON, for the page's own script."""
    return JSONResponse(await states_of(demo(request).get("programs", [])))


def addresses(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Where scripts and tools reach things."""
    found = [(f"FHIR, {key}", each["base"]) for key, each in content.get("fhir", {}).items()]
    for key, each in content.get("dicom", {}).items():
        found.append((f"DICOM, {key}", f"{each['ae_title']} at {each['host']}:{each['port']}"))
    gateway = content.get("dicom", {}).get("gateway", {})
    return [*found, *([("DICOMweb", gateway["dicomweb"])] if "dicomweb" in gateway else [])]
