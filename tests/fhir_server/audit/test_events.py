"""What each interaction leaves in the audit journal, on both databases.  IHE BALP; R4 auditevent.html"""

import base64
from collections import Counter
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from fhir_server import wire
from fhir_server.audit.batch import events_of
from fhir_server.audit.chain import put_down
from fhir_server.caller import Caller
from fhir_server.context import Node
from fhir_server.store import audit
from fhir_server.store.models import SEALED, UNSEALED
from tests.fhir_server.audit.conftest import Event, listed
from tests.fhir_server.node import Server

pytestmark = pytest.mark.anyio
PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": "Öztürk"}]}
# The server is one for the module: each test has patients of its own.


def subtype(event: Event) -> str:
    return str(event["subtype"][0]["code"])


def references(event: Event) -> list[str]:
    return [entity["what"]["reference"] for entity in event.get("entity", ()) if "what" in entity]


async def patient(http: httpx.AsyncClient, resource_id: str) -> None:
    family = f"Öztürk{resource_id[4:]}"
    document = PATIENT | {"id": resource_id, "name": [{"family": family}]}
    answer = await http.put(f"/Patient/{resource_id}", json=document)
    assert answer.status_code == 201, answer.text


async def test_a_read_names_who_what_and_whose(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla1")
    assert (await http.get("/Patient/ayla1")).status_code == 200
    (read,) = await listed(http, "subtype=read&patient=Patient/ayla1")
    assert read["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead"
    ]
    assert (read["action"], read["outcome"]) == ("R", "0")
    assert references(read) == ["Patient/ayla1", "Patient/ayla1"]
    client, server, person = read["agent"][:3]
    assert [client["type"]["coding"][0]["code"], server["type"]["coding"][0]["code"]] == ["110152", "110153"]
    assert client["who"]["identifier"]["value"] == "tests"
    assert client["network"] == {"address": "127.0.0.1", "type": "2"}
    assert person["requestor"] is True
    assert person["role"][0]["coding"][0]["code"] == "administrator"


async def test_writes_leave_one_event_each(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla2")
    await http.put("/Patient/ayla2", json=PATIENT | {"id": "ayla2", "gender": "female"})
    await http.delete("/Patient/ayla2")
    events = await listed(http, "entity=Patient/ayla2&_sort=date")
    assert [(subtype(event), event["action"]) for event in events] == [
        ("create", "C"),
        ("update", "U"),
        ("delete", "D"),
    ]


async def test_what_was_rolled_back_leaves_no_write(audited: Server, http: httpx.AsyncClient) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"request": {"method": "PUT", "url": "Patient/one3"}, "resource": PATIENT | {"id": "one3"}},
            {"request": {"method": "PATCH", "url": "Patient/nobody"}, "resource": {"resourceType": "Binary"}},
        ],
    }
    assert (await http.post("", json=bundle)).status_code >= 400
    assert await listed(http, "entity=Patient/one3") == []
    (failed,) = await listed(http, "subtype=transaction")
    assert failed["outcome"] == "4"


async def test_a_search_is_an_event_for_each_patient_that_it_showed(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla4")
    await patient(http, "berk4")
    await http.get("/Patient?family=%C3%B6zt%C3%BCrk4&_sort=_id")
    events = await listed(http, "subtype=search-type")
    events = [event for event in events if "Patient/ayla4" in references(event) or "Patient/berk4" in references(event)]
    assert sorted(references(event)[0] for event in events) == ["Patient/ayla4", "Patient/berk4"]
    for event in events:
        (query,) = [entity["query"] for entity in event["entity"] if "query" in entity]
        assert base64.b64decode(query).decode() == "Patient?family=%C3%B6zt%C3%BCrk4&_sort=_id"
        assert event["action"] == "E"


async def test_a_search_that_finds_nothing_still_names_the_patient_asked_for(
    audited: Server, http: httpx.AsyncClient
) -> None:
    await http.post("/Condition/_search", data={"code": "1"})
    await http.get("/Condition?patient=Patient/nobody-here5")
    (event,) = await listed(http, "patient=Patient/nobody-here5")
    assert subtype(event) == "search-type"


async def test_a_program_that_asks_what_is_new_leaves_an_event_only_when_something_is(
    audited: Server, http: httpx.AsyncClient
) -> None:
    program = Caller("poller", "poller", None, frozenset({"system"}), None, ("system/*.rs",))
    async with audited.client(program) as polling:
        assert (await polling.get("/Task/_history?_since=2099-01-01T00:00:00Z")).json().get("entry") is None
        await patient(http, "aylapolled")
        assert (await polling.get("/Patient/_history")).json()["entry"]
    events = await listed(http, "subtype=history-type&patient=Patient/aylapolled")
    assert len(events) == 1
    everything = await listed(http, "subtype=history-type")
    queries = [
        base64.b64decode(entity["query"]).decode() for e in everything for entity in e["entity"] if "query" in entity
    ]
    assert not [query for query in queries if "2099" in query]


async def test_refusals_are_written_down(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla6")
    stranger = Caller("stranger", "app", "Practitioner/refused", frozenset({"consultant"}), None, ("user/*.cruds",))
    async with audited.client(stranger) as other:
        assert (await other.get("/Patient/ayla6")).status_code == 404
        assert (await other.post("/Patient", json=PATIENT)).status_code == 403
    unknown = await http.get("/Patient/ayla6", headers={"Authorization": "Bearer nonsense"})
    assert unknown.status_code == 401
    read, without_token = await listed(http, "outcome=4&_sort=date&patient=Patient/ayla6")
    assert (subtype(read), read["outcomeDesc"].split()[0]) == ("read", "404")
    assert read["agent"][2]["who"]["reference"] == "Practitioner/refused"
    assert without_token["outcomeDesc"].split()[0] == "401"
    assert without_token["agent"][2]["who"] == {"identifier": {"value": "unknown"}}
    events = await listed(http, "outcome=4&agent=Practitioner/refused&subtype=create")
    assert [event["outcomeDesc"].split()[0] for event in events] == ["403"]


async def test_operations_history_and_bundles(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla7")
    await http.get("/Patient/ayla7/$everything")
    await http.get("/Patient/ayla7/_history")
    await http.get("/Patient/ayla7/_history/1")
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": "Patient/ayla7"}}],
    }
    await http.post("", json=batch)
    events = {subtype(event): event for event in await listed(http, "patient=Patient/ayla7")}
    assert events.keys() == {"create", "110106", "history-instance", "vread", "batch"}
    assert events["110106"]["type"]["code"] == "110106" and events["110106"]["action"] == "R"


@pytest.mark.spec("PS3.15 A.5.3.8")
async def test_what_leaves_as_a_file_is_an_export_before_it_is_answered(
    audited: Server, http: httpx.AsyncClient
) -> None:
    await patient(http, "ayla9e")
    node: Node = audited.app.state.node
    for path, headers in (("/Patient/ayla9e/$everything", {}), ("/Patient/ayla9e", {"X-Konsil-Export": "report"})):
        assert (await http.get(path, headers=headers)).status_code == 200
        rows = await node.database.fetch(text("SELECT content FROM audit ORDER BY position DESC LIMIT 1"))
        found = events_of(str(uuid4()), bytes(rows[0]["content"])).values()
        assert "Patient/ayla9e" in {name for event in found for name in references(event)}, "not there when answered"
    events = await listed(http, "type=110106&patient=Patient/ayla9e")
    assert len(events) == 2 and {event["action"] for event in events} == {"R"}


async def test_an_event_is_never_changed(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla8")
    (event,) = await listed(http, "subtype=create&patient=Patient/ayla8")
    assert (await http.put(f"/AuditEvent/{event['id']}", json=event | {"outcome": "8"})).status_code == 405
    assert (await http.delete(f"/AuditEvent/{event['id']}")).status_code == 405


async def test_patients_see_who_looked_at_them_and_at_nobody_else(audited: Server, http: httpx.AsyncClient) -> None:
    for name in ("ayla9", "berk9"):
        await patient(http, name)
    await http.get("/Patient?family=%C3%B6zt%C3%BCrk9")
    ayla9 = Caller("ayla9", "portal", "Patient/ayla9", frozenset({"patient"}), None, ("patient/*.rs",), "ayla9")
    async with audited.client(ayla9) as own:
        answer = await own.get("/AuditEvent")
    events = [entry["resource"] for entry in answer.json()["entry"]]
    assert sorted(map(subtype, events)) == ["create", "search-type"]
    assert all("Patient/berk9" not in references(event) for event in events)


async def test_privacy_officers_search_and_requesters_do_not(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla10")
    officer = Caller("officer", "app", "Practitioner/p", frozenset({"privacy-officer"}), None, ("user/*.rs",))
    requester = Caller("req", "app", "Practitioner/r", frozenset({"requester"}), "Organization/here", ("user/*.rs",))
    async with audited.client(officer) as one, audited.client(requester) as other:
        found = await one.get("/AuditEvent?patient=Patient/ayla10")
        assert found.json()["total"] == 1
        assert (await other.get("/AuditEvent")).status_code == 403


async def test_events_are_valid_resources(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla11")
    await http.get("/Patient/ayla11")
    await http.get("/Patient?_id=ayla11")
    await http.get("/Nothing/at-all")
    for event in await listed(http):
        event["meta"].pop("profile", None)
        answer = await http.post("/AuditEvent/$validate", json=event)
        problems = [issue for issue in answer.json()["issue"] if issue["severity"] in {"error", "fatal"}]
        assert problems == []


async def test_what_others_send_is_kept_as_it_is(audited: Server, http: httpx.AsyncClient) -> None:
    sent = {
        "resourceType": "AuditEvent",
        "type": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110104"},
        "recorded": "2026-01-02T03:04:05Z",
        "agent": [{"requestor": True, "who": {"display": "ORTHANC"}}],
        "source": {"observer": {"display": "dicom_gateway"}},
    }
    made = (await http.post("/AuditEvent", json=sent)).json()
    (found,) = await listed(http, "type=110104")
    assert found == made
    assert await listed(http, f"entity=AuditEvent/{made['id']}") == []


async def test_what_is_proved_is_what_was_put_down(audited: Server, http: httpx.AsyncClient) -> None:
    for query in ("?family=Łukasz%20%22O%27Neill%22", "/ayla12", "?_count=a%7F%0A"):
        await http.get(f"/Patient{query}")
    node: Node = audited.app.state.node
    await node.journal.flush()
    waiting = await audit.waiting(node.database, UNSEALED, 100) or await audit.waiting(node.database, SEALED, 100)
    before = {name: event for row in waiting for name, event in events_of(row["event_id"], row["content"]).items()}
    assert before
    resources = {event["id"]: event for event in await listed(http)}
    assert {name: put_down(wire.dumps(resources[name])) for name in before} == {
        name: wire.dumps(event) for name, event in before.items()
    }


async def test_what_is_seen_in_an_emergency_says_so(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla30")
    await patient(http, "ayla31")
    why = "reason=life-or-limb&comment=Unconscious%20in%20our%20emergency%20room."
    brandt = Caller("brandt", "app", "Practitioner/brandt", frozenset({"requester"}), "Organization/b", ("user/*.rs",))
    async with audited.client(brandt) as physician:
        assert (await physician.get("/Patient/ayla30")).status_code == 404
        task = (await physician.post(f"/Patient/ayla30/$break-glass?{why}")).json()
        for path in ("/Patient/ayla30", "/Patient?_id=ayla30"):
            assert (await physician.get(path)).status_code == 200
        assert (await physician.get("/Patient/ayla31")).status_code == 404
        assert (await physician.post(f"/Task/{task['id']}/$break-glass-end")).status_code == 200
        assert (await physician.get("/Patient/ayla30")).status_code == 404
    events = await listed(http, "patient=Patient/ayla30&agent=Practitioner/brandt&_sort=date")
    told = Counter((subtype(one), one["outcome"], _purpose(one)) for one in events if subtype(one) != "operation")
    assert told == {  # in no order: some are of the same millisecond
        ("read", "4", None): 2,
        ("create", "0", None): 1,
        ("110127", "0", "BTG"): 1,
        ("read", "0", "BTG"): 1,
        ("search-type", "0", "BTG"): 1,
        ("update", "0", "BTG"): 1,
        ("110138", "0", "BTG"): 1,
    }
    assert not any(_purpose(event) for event in await listed(http, "patient=Patient/ayla31"))


def _purpose(event: Event) -> str | None:
    coded: dict[str, str] = event.get("purposeOfEvent", [{"coding": [{}]}])[0]["coding"][0]
    return coded.get("code")


@pytest.mark.parametrize(
    "path",
    [
        "Patient?_id={0}&_revinclude=AuditEvent:patient",
        "Patient/{0}/AuditEvent",
        "Patient/{0}/*",
        "Patient/{0}/$everything?_type=AuditEvent",
        "?_type=AuditEvent&_lastUpdated=ge2020&_count=500",
    ],
)
async def test_every_way_to_events_meets_what_has_just_happened(
    audited: Server, http: httpx.AsyncClient, path: str
) -> None:
    await patient(http, "ayla40")
    assert (await http.get("/Patient/ayla40")).status_code == 200
    address = path.format("ayla40")
    answer = await http.get(address if address.startswith("?") else f"/{address}")
    found = [entry["resource"] for entry in answer.json()["entry"]]
    events = [one for one in found if one["resourceType"] == "AuditEvent" and "Patient/ayla40" in references(one)]
    assert "read" in set(map(subtype, events)), path
    await http.delete("/Patient/ayla40")


async def test_who_was_looked_at_is_found_by_has(audited: Server, http: httpx.AsyncClient) -> None:
    for name in ("ayla50", "ayla51"):
        await patient(http, name)
    asked = "/Patient?_has:AuditEvent:patient:subtype=vread"
    before = {entry["resource"]["id"] for entry in (await http.get(asked)).json().get("entry", [])}
    assert (await http.get("/Patient/ayla50/_history/1")).status_code == 200
    after = {entry["resource"]["id"] for entry in (await http.get(asked)).json()["entry"]}
    assert after - before == {"ayla50"}


async def test_who_looked_without_a_case(audited: Server, http: httpx.AsyncClient) -> None:
    """Who was on a case before counts as who is; an emergency access makes nobody part of a case; who looks after all
    cases is on each of them, and on none of a patient without one.
    """
    roles = {"former": "administrator", "holder": "administrator", "nosy": "administrator", "hurried": "consultant"}
    people = {name: clinician(name, role) for name, role in (roles | {"desk": "coordinator"}).items()}
    request: Event = {"resourceType": "ServiceRequest", "id": "sr90", "status": "active", "intent": "order"}
    request["subject"] = {"reference": "Patient/ayla90"}
    task: Event = {"resourceType": "Task", "status": "draft", "intent": "order", "for": request["subject"]}
    for name in ("ayla90", "ayla91"):
        await patient(http, name)
    for name in people:
        await http.put(f"/Practitioner/{name}", json={"resourceType": "Practitioner", "id": name})
    for name in ("former", "holder"):
        given = request | {"performer": [{"reference": f"Practitioner/{name}"}]}
        assert (await http.put("/ServiceRequest/sr90", json=given)).status_code < 300
    made = await http.post("/Task", json=task)
    assert made.status_code == 201, made.text
    said = {"reason": "life-or-limb", "comment": "the patient is unconscious"}
    opened = [{"name": key, "valueString": value} for key, value in said.items()]
    async with audited.client(people["hurried"]) as client:
        body = {"resourceType": "Parameters", "parameter": opened}
        assert (await client.post("/Patient/ayla90/$break-glass", json=body)).status_code < 300
    for name, looked in [(name, "ayla90") for name in people] + [("desk", "ayla91")]:
        async with audited.client(people[name]) as client:
            assert (await client.get(f"/Patient/{looked}")).status_code == 200
    events = await listed(http, "subtype=read&patient=Patient/ayla90,Patient/ayla91")
    asked = {"event": ",".join(each["id"] for each in events)}
    async with audited.client(clinician("officer", "privacy-officer")) as officer:
        answer = await officer.get("/AuditEvent/$without-case", params=asked)
        assert answer.status_code == 200, answer.text
    found = {each["valueId"] for each in answer.json()["parameter"]}
    who = {(each["agent"][2]["who"]["reference"], references(each)[-1]) for each in events if each["id"] in found}
    nosy, hurried, desk = (f"Practitioner/{name}" for name in ("nosy", "hurried", "desk"))
    assert who == {(nosy, "Patient/ayla90"), (hurried, "Patient/ayla90"), (desk, "Patient/ayla91")}
    async with audited.client(people["desk"]) as client:
        assert (await client.get("/AuditEvent/$without-case", params=asked)).status_code == 403


def clinician(name: str, role: str) -> Caller:
    return Caller(name, "konsil-app", f"Practitioner/{name}", frozenset({role}), "Organization/here", ("user/*.cruds",))
