"""The demo's front page: what this is, whom one can be, what runs."""

import json
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from deploy.sandbox.ehr.pages import templates
from deploy.sandbox.ehr.trouble import ANSWERS, MOMENTS
from deploy.sandbox.hospitals import HOSPITALS
from konsil.probe import healthy

DOORS = {
    "requester": (
        "Physicians who ask",
        (
            "Open a chart, then “Second opinion” in it.",
            "Say why you ask, tick records and images, send.",
            "Read the signed report; its PDF is under Notes.",
        ),
    ),
    "him": (
        "Health information staff",
        (
            "Open the inbox: what arrived waits here.",
            "Compare an outside study with the patient.",
            "Accept it, or reject it: one is somebody else’s.",
        ),
    ),
    "coordinator": (
        "Coordinator",
        (
            "Open the board: cases by state and promised day.",
            "See what is missing and whose licence fits.",
            "Offer a case; the best consultant comes first, with why.",
        ),
    ),
    "radiologist": (
        "Radiologist",
        (
            "Open the worklist: studies to re-read.",
            "Compare current and prior images.",
            "Write and sign the re-read.",
        ),
    ),
    "consultant": (
        "Consultants who answer",
        (
            "Accept the case that was offered to you.",
            "Read question, chart and images side by side; cite with a key.",
            "Write the opinion, look at the checks, sign it.",
        ),
    ),
    "patient": ("Patients", ("See where it stands, read the answer in plain words, see who looked.",)),
    "programme-manager": ("Behind the scenes", ("How it runs, who looked at whom, who may what.",)),
}
TOGETHER = {
    "patient": ("patient", "proxy"),
    "programme-manager": ("programme-manager", "privacy-officer", "administrator"),
}
"""Doors for people of more than one role."""
DOWN = "not answering"
PLACED = ("requester", "consultant")


def demo(request: Request) -> dict[str, Any]:
    """The content of demo.json; empty when it is not there."""
    path = request.app.state.settings.demo_file
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def doors_of(people: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A door for each role that somebody has, in the order in which a case meets them."""
    doors = []
    for kind, (title, steps) in DOORS.items():
        roles = {*TOGETHER.get(kind, (kind,))}
        here = [named(each, kind) for each in people if roles & {*each.get("roles", "").split()}]
        if here:
            doors.append({"kind": kind, "title": title, "steps": steps, "people": here})
    return doors


def named(person: dict[str, str], kind: str) -> dict[str, str]:
    """A person as a door names them: physicians by hospital, consultants by specialty, others who share one by role."""
    role = person["role"].removeprefix("requester at ").replace("-", " ")
    return {**person, "place": role if kind in PLACED or kind in TOGETHER else ""}


async def state_of(program: dict[str, Any], states: dict[str, str]) -> None:
    """Ask one program how it is; a worker without an address cannot be asked."""
    address = program.get("health")
    if not address:
        states[program["name"]] = "background"
        return
    up = await anyio.to_thread.run_sync(healthy, address)
    states[program["name"]] = "running" if up else DOWN


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
    people = content.get("open", {}).get("people", [])
    states = await states_of(listed(content))
    values = {
        "doors": doors_of(people),
        "states": states,
        "up": sum(state != DOWN for state in states.values()),
        "cases": cases(request),
        "addresses": addresses(content),
        "password": next((each["password"] for each in people), ""),
        "pin": next((each["pin"] for each in people if each.get("pin")), ""),
        "hospitals": HOSPITALS,
        "moments": MOMENTS,
        "answers": ANSWERS,
        "troubles": request.app.state.troubles.going,
    }
    return HTMLResponse(templates.get_template("front.html").render(values))


async def programs(request: Request) -> Response:
    """The programs' states and the cases in the making as JSON, for the page's own script."""
    return JSONResponse({"programs": await states_of(listed(demo(request))), "cases": cases(request)})


def listed(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The programs that keep running."""
    return [each for each in content.get("programs", []) if not each.get("once")]


def cases(request: Request) -> dict[str, Any]:
    """How far the making of the demo's cases has come; no text when there is nothing to say."""
    path = request.app.state.settings.demo_file.with_name("cases.json")
    made = dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    done, of = int(made.get("done", 0)), int(made.get("of", 0))
    text = {
        "starting": "Making cases",
        "making": f"Making cases: {done} of {of}",
        "stuck": f"Making cases stopped at {done} of {of}: {made.get('problem', '')}",
    }.get(str(made.get("state", "")), "")
    return {"text": text, "done": done, "of": max(of, 1)}


def addresses(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Where scripts and tools reach things."""
    found = [(f"FHIR, {key}", each["base"]) for key, each in content.get("fhir", {}).items()]
    for key, each in content.get("dicom", {}).items():
        found.append((f"DICOM, {key}", f"{each['ae_title']} at {each['host']}:{each['port']}"))
    gateway = content.get("dicom", {}).get("gateway", {})
    return [*found, *([("DICOMweb", gateway["dicomweb"])] if "dicomweb" in gateway else [])]
