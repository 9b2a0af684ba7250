"""What each interaction leaves in the audit journal, on both databases.  IHE BALP; R4 auditevent.html"""

import base64
from typing import Any

import httpx
import pytest

from fhir_server.caller import Caller
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
    (read,) = await listed(audited, http, "subtype=read&patient=Patient/ayla1")
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
    events = await listed(audited, http, "entity=Patient/ayla2&_sort=date")
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
    assert await listed(audited, http, "entity=Patient/one3") == []
    (failed,) = await listed(audited, http, "subtype=transaction")
    assert failed["outcome"] == "4"


async def test_a_search_is_an_event_for_each_patient_that_it_showed(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla4")
    await patient(http, "berk4")
    await http.get("/Patient?family=%C3%B6zt%C3%BCrk4&_sort=_id")
    events = await listed(audited, http, "subtype=search-type")
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
    (event,) = await listed(audited, http, "patient=Patient/nobody-here5")
    assert subtype(event) == "search-type"


async def test_a_program_that_asks_what_is_new_leaves_an_event_only_when_something_is(
    audited: Server, http: httpx.AsyncClient
) -> None:
    program = Caller("poller", "poller", None, frozenset({"system"}), None, ("system/*.rs",))
    async with audited.client(program) as polling:
        assert (await polling.get("/Task/_history?_since=2099-01-01T00:00:00Z")).json().get("entry") is None
        await patient(http, "aylapolled")
        assert (await polling.get("/Patient/_history")).json()["entry"]
    events = await listed(audited, http, "subtype=history-type&patient=Patient/aylapolled")
    assert len(events) == 1
    everything = await listed(audited, http, "subtype=history-type")
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
    read, without_token = await listed(audited, http, "outcome=4&_sort=date&patient=Patient/ayla6")
    assert (subtype(read), read["outcomeDesc"].split()[0]) == ("read", "404")
    assert read["agent"][2]["who"]["reference"] == "Practitioner/refused"
    assert without_token["outcomeDesc"].split()[0] == "401"
    assert without_token["agent"][2]["who"] == {"identifier": {"value": "unknown"}}
    events = await listed(audited, http, "outcome=4&agent=Practitioner/refused&subtype=create")
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
    events = await listed(audited, http, "patient=Patient/ayla7&_sort=date")
    assert [subtype(event) for event in events] == ["create", "operation", "history-instance", "vread", "batch"]


async def test_an_event_is_never_changed(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla8")
    (event,) = await listed(audited, http, "subtype=create&patient=Patient/ayla8")
    assert (await http.put(f"/AuditEvent/{event['id']}", json=event | {"outcome": "8"})).status_code == 405
    assert (await http.delete(f"/AuditEvent/{event['id']}")).status_code == 405


async def test_patients_see_who_looked_at_them_and_at_nobody_else(audited: Server, http: httpx.AsyncClient) -> None:
    for name in ("ayla9", "berk9"):
        await patient(http, name)
    await http.get("/Patient?family=%C3%B6zt%C3%BCrk9")
    await listed(audited, http)
    ayla9 = Caller("ayla9", "portal", "Patient/ayla9", frozenset({"patient"}), None, ("patient/*.rs",), "ayla9")
    async with audited.client(ayla9) as own:
        answer = await own.get("/AuditEvent")
    events = [entry["resource"] for entry in answer.json()["entry"]]
    assert sorted(map(subtype, events)) == ["create", "search-type"]
    assert all("Patient/berk9" not in references(event) for event in events)


async def test_privacy_officers_search_and_requesters_do_not(audited: Server, http: httpx.AsyncClient) -> None:
    await patient(http, "ayla10")
    await listed(audited, http)
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
    for event in await listed(audited, http):
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
    (found,) = await listed(audited, http, "type=110104")
    assert found == made
    assert await listed(audited, http, f"entity=AuditEvent/{made['id']}") == []
