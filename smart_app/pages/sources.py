"""`sources`: outside archives and destinations, images on their way, the quarantine, and room on disk."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from smart_app.arrivals import is_retrieval
from smart_app.case.view import people_of
from smart_app.errors import AppError, Changed, Invalid, NotFound
from smart_app.fhir import Resource
from smart_app.gateway import gateway_of
from smart_app.listing import Choice, Column, Plan, listing
from smart_app.pages.inbox import STAFF, clock_of
from smart_app.pages.reconcile import once_more
from smart_app.transfers import Transfer, size_in_words
from smart_app.visit import NavItem, Visit, page
from smart_app.words import person_name

ABILITIES = {"find": "search", "get": "fetch (C-GET)", "move": "fetch (C-MOVE)", "store": "send to it"}
CANCELLABLE = frozenset({"requested", "accepted", "in-progress"})
PLAN: Plan[Transfer] = Plan(
    columns=[
        Column("study", "Study", lambda each: each.title),
        Column("peer", "Archive", lambda each: each.peer),
        Column("person", "Patient", lambda each: each.person),
        Column("state", "State", lambda each: each.words[0]),
        Column("changed", "Last change", lambda each: each.moment),
    ],
    choices=[
        Choice("group", "State", lambda each: each.group),
        Choice("archive", "Archive", lambda each: each.peer),
        Choice("way", "Direction", lambda each: each.direction),
    ],
    text=lambda each: " ".join([each.title, each.peer, each.person, str(each.found.get("cause") or "")]),
    sort="-changed",
    per_page=20,
)


async def sources(visit: Visit) -> Response:
    """Everything on one page; without the gateway it says that it does not answer."""
    visit.require(*STAFF)
    gateway = await gateway_of(visit)
    try:
        asked = gateway.peers(), gateway.transfers(), gateway.overview(), gateway.operations()
        peers, moved, overview, work = await asyncio.gather(*asked)
    except AppError as failure:
        return visit.render("sources.html", 503, problem=failure)
    transfers = await with_patients(visit, moved)
    return visit.render(
        "sources.html",
        problem=None,
        peers=peers,
        list=listing(PLAN, transfers, visit.request.query_params),
        failed=sum(each.group == "Needs a look" for each in transfers),
        running=sum(each.running for each in transfers),
        overview=overview,
        work=work,
        may_retry=visit.launch.has_role("administrator"),
        used=size_in_words(overview["bytes"]),
        free=size_in_words(overview["disk_free"]),
        full=overview["disk_free"] < 0.1 * overview["disk_total"],
        abilities=ABILITIES,
        names=await askers(visit, moved),
    )


async def askers(visit: Visit, moved: Mapping[str, Any]) -> dict[str, str]:
    """The names of the readers who had studies sent to their workstations."""
    found = await people_of(visit.fhir, {str(each.get("asked_by", "")) for each in moved["forwardings"]})
    return {reference: person_name(each) for reference, each in found.items()}


async def with_patients(visit: Visit, moved: Mapping[str, Any]) -> list[Transfer]:
    """Transfers with the patients that they are meant for, as far as this person may see them."""
    wanted = sorted({str(each["patient"]).removeprefix("Patient/") for each in moved["retrievals"]} - {""})
    found = await visit.fhir.search("Patient", {"_id": ",".join(wanted)}) if wanted else None
    patients = {f"Patient/{each['id']}": each for each in (found.matches if found else [])}
    titles = {each["study_instance_uid"]: each for each in moved["retrievals"]}
    coming = [Transfer(each, patients.get(each["patient"]), True) for each in moved["retrievals"]]
    for each in moved["forwardings"]:
        known = titles.get(each["study_instance_uid"], {})
        named = {**each, "description": known.get("description"), "case": known.get("case", "")}
        coming.append(Transfer(named, patients.get(str(known.get("patient", ""))), False))
    return coming


async def echo(visit: Visit) -> Response:
    """POST: ask a peer whether it is there, now; its row as it stands then."""
    visit.require(*STAFF)
    peer = await (await gateway_of(visit)).echo(visit.request.path_params["peer"])
    if not visit.is_htmx:
        return visit.go("sources", said=result_of(peer), tone="good" if peer["state"] == "ok" else "danger")
    return visit.render("source_state.html", peer=peer, result=result_of(peer))


def result_of(peer: Mapping[str, Any]) -> str:
    """What the echo found, in a sentence."""
    if peer["state"] == "ok":
        return f"{peer['title']} answers and lets us in."
    return str(peer["cause"] or f"{peer['title']} does not answer.")


async def again(visit: Visit) -> Response:
    """POST: fetch once more what failed, or what of a study is missing."""
    task = await retrieval(visit)
    now = clock_of(visit).now()
    if task["status"] == "failed":
        kept = {name: value for name, value in task.items() if name not in ("output", "statusReason")}
        await visit.fhir.update({**kept, "status": "requested"})
    elif task["status"] == "completed":
        await visit.fhir.create(once_more(task, now))
    else:
        raise Changed("This retrieval is running already.", "The list shows how far it is.")
    return visit.go("sources", said="Asked for once more.")


async def cancel(visit: Visit) -> Response:
    """POST: end a retrieval; what came stays in quarantine."""
    task = await retrieval(visit)
    if task["status"] not in CANCELLABLE:
        raise Changed("This retrieval is over already.", "The list shows how it ended.")
    await visit.fhir.update({**task, "status": "cancelled", "statusReason": {"text": "Cancelled by staff."}})
    return visit.go("sources", said="The retrieval is cancelled; what came is kept.")


async def resend(visit: Visit) -> Response:
    """POST: send a study on once more."""
    visit.require(*STAFF)
    await (await gateway_of(visit)).resend(int(visit.request.path_params["forwarding"]))
    return visit.go("sources", said="It is sent once more.")


async def retry(visit: Visit) -> Response:
    """POST: try once more what was given up."""
    visit.require("administrator")
    await (await gateway_of(visit)).retry(int(visit.request.path_params["job"]))
    return visit.go("sources", said="It is tried once more.")


async def retrieval(visit: Visit) -> Resource:
    """The Task of a retrieval, at the version that was looked at if the form names one.

    Raises NotFound, Changed.
    """
    visit.require(*STAFF)
    task = await visit.fhir.read(f"Task/{visit.request.path_params['task']}")
    if not is_retrieval(task):
        raise NotFound("This is not a retrieval.")
    wanted = str((await visit.form()).get("status", ""))
    if not wanted:
        raise Invalid("The page did not say what it showed.", "Open it again.")
    if wanted != task["status"] and {wanted, task["status"]} - CANCELLABLE:
        raise Changed("The retrieval has gone on since you looked.", "The list shows how it stands now.")
    return task


routes = [
    page("sources", sources),
    page("sources/{peer}/echo", echo, ("POST",)),
    page("sources/retrievals/{task}/again", again, ("POST",)),
    page("sources/retrievals/{task}/cancel", cancel, ("POST",)),
    page("sources/work/{job:int}/retry", retry, ("POST",)),
    page("sources/forwardings/{forwarding:int}/resend", resend, ("POST",)),
]
nav = [NavItem("Imaging sources", "sources", "server", STAFF)]
