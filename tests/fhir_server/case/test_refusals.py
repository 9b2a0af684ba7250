"""What is refused over HTTP: steps off the table with 422 and the rule, and every way to somebody else's case."""

from typing import Any

import pytest

from tests.fhir_server.case import quarantine
from tests.fhir_server.case.test_path import signing
from tests.fhir_server.case.town import SUBMIT, Resource, Town, state

pytestmark = pytest.mark.anyio


def outcome(answer: Any, rule: int) -> None:
    """A 422 OperationOutcome that names the rule."""
    assert answer.status_code == 422, answer.text
    (issue,) = answer.json()["issue"]
    assert issue["code"] == "business-rule"
    assert issue["diagnostics"].startswith(f"Rule {rule} of the case")


async def test_illegal_steps_name_the_rule_and_change_nothing(town: Town) -> None:
    made = await town.submit()
    case = made["Task"][0]
    before = await town.read("okafor", case)
    owner = {"reference": "Practitioner/ito"}
    refused: list[tuple[str, dict[str, Any]]] = [
        ("okafor", {"status": "accepted", "owner": owner, "businessStatus": state("assigned")}),
        ("okafor", {"status": "completed", "owner": owner, "businessStatus": state("report-signed")}),
        ("okafor", {"status": "accepted"}),
        ("okafor", {"status": "received", "businessStatus": state("offered")}),
        ("okafor", {"status": "rejected", "businessStatus": state("declined")}),
        ("weber", {"status": "received", "owner": owner, "businessStatus": state("offered")}),
        ("weber", {"businessStatus": state("ready-for-triage")}),
        ("gateway", {"status": "received", "owner": owner, "businessStatus": state("offered")}),
    ]
    for who, elements in refused:
        outcome(await town.change(who, case, **elements), 1)
    for elements, code in (({"businessStatus": state("nonsense")}, "code-invalid"), ({"focus": None}, "required")):
        answer = await town.change("okafor", case, **elements)
        assert answer.status_code == 422, answer.text
        assert [issue["code"] for issue in answer.json()["issue"]] == [code]  # the profile's, before the case's rules
    assert await town.read("okafor", case) == before
    request = await town.read("weber", made["ServiceRequest"][0])
    for status in ("completed", "on-hold", "draft"):
        outcome(await town.write("weber", request, status=status), 1)


async def test_a_case_is_not_for_those_whose_role_has_nothing_to_do_with_it(town: Town) -> None:
    made = await town.submit()
    task = await town.read("okafor", made["Task"][0])
    for who in ("ito", "brandt", "cursor"):
        answer = await town.write(who, task, businessStatus=state("ready-for-triage"))
        assert answer.status_code in {403, 404}, answer.text
    assert (await town.ask("okafor", "DELETE", f"/{made['Task'][0]}")).status_code == 403


async def test_submission_without_basis_or_for_another_hospital(town: Town) -> None:
    without: Resource = {**SUBMIT, "entry": [e for e in SUBMIT["entry"] if e["resource"]["resourceType"] != "Consent"]}
    consent = next(e["fullUrl"] for e in SUBMIT["entry"] if e["resource"]["resourceType"] == "Consent")
    without = replaced(without, "supportingInfo", lambda named: [one for one in named if one["reference"] != consent])
    outcome(await town.ask("engine", "POST", "/", without), 3)
    foreign = replaced(SUBMIT, "requester", lambda _: {"reference": "Organization/bert"})
    outcome(await town.ask("engine", "POST", "/", foreign), 1)
    assert await town.seen("okafor", "Task") == set()
    assert await town.seen("okafor", "Patient") == set()


def replaced(bundle: Resource, element: str, change: Any) -> Resource:
    """A Bundle in which an element of every resource that has it is changed."""
    entries = []
    for entry in bundle["entry"]:
        resource = entry["resource"]
        changed = {element: change(resource[element])} if element in resource else {}
        entries.append(entry | {"resource": resource | changed})
    return bundle | {"entry": entries}


async def test_signing_without_what_rule_4_needs(town: Town) -> None:
    made = await town.submit()
    await town.offer(made["Task"][0])
    await town.begin_reading(made["Task"][0])
    whole = await town.signed("ito", await signing(town, made, made["Observation"][0]))
    for missing in ("Provenance", "Observation", "Task"):
        entries = [entry for entry in whole["entry"] if entry["resource"]["resourceType"] != missing]
        outcome(await town.ask("ito", "POST", "/", whole | {"entry": entries}), 4)
    altered = replaced(whole, "conclusion", lambda text: text + "!")
    outcome(await town.ask("ito", "POST", "/", altered), 4)
    outcome(await town.ask("ito", "POST", "/", await town.signed("ito", await signing(town, made))), 4)
    assert (await town.ask("lopez", "POST", "/", whole)).status_code in {403, 404, 422}
    assert (await town.ask("ito", "POST", "/", whole)).status_code == 200
    report = next(e["resource"] for e in whole["entry"] if e["resource"]["resourceType"] == "DiagnosticReport")
    stored = await town.read("ito", f"DiagnosticReport/{report['id']}")
    outcome(await town.write("ito", stored, conclusion="Something else."), 4)
    assert (await town.write("weber", stored, conclusion="Something else.")).status_code == 422


async def test_a_consultant_finds_no_other_case_by_any_way(town: Town) -> None:
    mine, others = await town.submit(), await town.submit()
    await town.offer(mine["Task"][0], "ito")
    await town.offer(others["Task"][0], "lopez")
    secret = {reference for found in others.values() for reference in found} - {
        reference for found in mine.values() for reference in found
    }
    assert len(secret) == 4
    for reference in secret:
        assert (await town.ask("ito", "GET", f"/{reference}")).status_code in {403, 404}
        assert (await town.ask("ito", "GET", f"/{reference}/_history")).status_code in {403, 404}
        assert (await town.ask("ito", "GET", f"/{reference}/_history/1")).status_code in {403, 404}
    case, request, patient = others["Task"][0], others["ServiceRequest"][0], others["Patient"][0]
    queries = [
        "Task",
        "ServiceRequest",
        "Consent",
        "Task/_history",
        "ServiceRequest/_history",
        "_history",
        f"Task?focus={request}",
        "Task?owner=Practitioner/lopez",
        "Task?owner:Practitioner.family=lopez",
        f"Task?part-of={case}",
        f"ServiceRequest?_id={request.partition('/')[2]}",
        f"Patient?_id={patient.partition('/')[2]}&_revinclude=Task:patient&_revinclude=ServiceRequest:subject",
        "Task?_include=Task:focus&_include=Task:part-of&_include:iterate=ServiceRequest:supporting-info",
        "Patient?_has:Task:patient:owner=Practitioner/lopez&_revinclude=Task:patient",
        f"ServiceRequest?supporting-info={others['Consent'][0]}",
    ]
    for query in queries:
        assert not await town.seen("ito", query) & secret, query
    counted = await town.ask("ito", "GET", "/Task?_total=accurate&_summary=count")
    assert counted.json()["total"] == 2
    assert await town.seen("ito", "Task?owner:Practitioner.family=lopez") == set()
    assert await town.seen("ito", "Patient?_has:Task:patient:owner=Practitioner/lopez") == set()


async def test_a_consultant_sees_what_the_case_names_and_not_the_rest_of_the_chart(town: Town) -> None:
    made = await town.submit()
    rest = {"resourceType": "Condition", "id": "unrelated", "subject": {"reference": made["Patient"][0]}}
    assert (await town.ask("weber", "PUT", "/Condition/unrelated", rest)).status_code == 201
    await town.offer(made["Task"][0])
    assert await town.seen("ito", "Condition") == set(made["Condition"])
    assert await town.seen("ito", "Observation") == set(made["Observation"])
    assert await town.seen("ito", "Patient") == set(made["Patient"])
    assert await town.seen("ito", "Task") == set(made["Task"])
    assert await town.seen("ito", f"Condition?subject={made['Patient'][0]}") == set(made["Condition"])
    answer = await town.change(
        "ito", made["Task"][0], status="requested", owner=None, businessStatus=state("ready-for-triage")
    )
    assert answer.status_code == 200, answer.text
    for resource_type in made:
        assert await town.seen("ito", resource_type) == set()


async def test_a_transferred_case_is_gone(town: Town) -> None:
    made = await town.submit()
    await town.offer(made["Task"][0], "ito")
    await town.begin_reading(made["Task"][0])
    assert (await town.offer(made["Task"][0], "lopez")).status_code == 200
    assert await town.seen("ito", "Task") == set()
    assert (await town.ask("ito", "GET", f"/{made['Task'][0]}/_history")).status_code in {403, 404}
    assert await town.seen("lopez", "Task") == set(made["Task"])


async def test_another_hospital_sees_nothing(town: Town) -> None:
    made = await town.submit()
    await town.offer(made["Task"][0])
    for found in made.values():
        for reference in found:
            assert (await town.ask("brandt", "GET", f"/{reference}")).status_code in {403, 404}
            assert await town.seen("brandt", reference.partition("/")[0]) == set()
    assert await town.seen("brandt", "Practitioner?_revinclude=Task:owner") == {f"Practitioner/{one}" for one in STAFF}
    stolen = {"resourceType": "Condition", "id": "mine", "subject": {"reference": made["Patient"][0]}}
    assert (await town.ask("brandt", "PUT", "/Condition/mine", stolen)).status_code in {403, 404, 422}


STAFF = ("weber", "brandt", "okafor", "ito", "lopez", "silva", "sorensen", "adler")


async def test_quarantined_material_is_found_by_no_door_but_those_of_him_staff_and_gateway(town: Town) -> None:
    made = await town.submit()
    await quarantine.publish(town, made)
    await town.offer(made["Task"][0])
    case = made["Task"][0]
    queries = [
        "ImagingStudy",
        "Task",
        "Patient",
        "Provenance",
        "_history",
        "ImagingStudy/_history",
        f"Task?part-of={case}&_include=Task:focus&_include=Task:task-input",
        "ImagingStudy?subject=Patient/outside-1&_include=ImagingStudy:subject&_revinclude=Provenance:target",
        "Patient?family=Lindquist",
        "ImagingStudy?patient.family=Lindquist",
        "Task?code=reconciliation",
        "Patient?_has:ImagingStudy:patient:identifier=urn:dicom:uid|urn:oid:2.25.1",
        "ImagingStudy?_security=quarantined",
    ]
    for who in ("ito", "okafor", "weber", "cursor", "engine", "brandt"):
        for query in queries:
            assert not await town.seen(who, query) & quarantine.HIDDEN, (who, query)
        for reference in quarantine.HIDDEN:
            for path in (reference, f"{reference}/_history", f"{reference}/_history/1"):
                assert (await town.ask(who, "GET", f"/{path}")).status_code in {403, 404}, (who, path)
    assert await town.seen("silva", "Task?code=reconciliation&_include=Task:focus") >= {
        "Task/check-1",
        "ImagingStudy/study-1",
    }
    assert await town.seen("gateway", "ImagingStudy") == {"ImagingStudy/study-1"}


async def test_what_was_in_quarantine_stays_hidden_as_it_was(town: Town) -> None:
    made = await town.submit()
    await quarantine.publish(town, made)
    study = await town.read("gateway", "ImagingStudy/study-1")
    outcome(await town.write("gateway", study, meta=None, subject={"reference": made["Patient"][0]}), 5)
    await quarantine.decide(town, "accept")
    await quarantine.release(town, made)
    await town.offer(made["Task"][0])
    for who in ("ito", "okafor"):
        assert (await town.ask(who, "GET", "/ImagingStudy/study-1")).status_code == 200
        assert (await town.ask(who, "GET", "/ImagingStudy/study-1/_history/1")).status_code in {403, 404}
        assert (await town.ask(who, "GET", "/Patient/outside-1")).status_code in {403, 404}


async def test_only_him_staff_decide(town: Town) -> None:
    made = await town.submit()
    await quarantine.publish(town, made)
    task = await town.read("silva", "Task/check-1")
    output = [
        {"type": {"coding": [{"system": "https://konsil.example/fhir/CodeSystem/task-output", "code": "decision"}]}}
    ]
    decided = [one | {"valueCode": "accept"} for one in output]
    outcome(await town.write("gateway", task, status="completed", output=decided), 1)
    outcome(await town.write("gateway", task, output=decided), 5)
    outcome(await town.write("silva", task, status="completed", output=[output[0] | {"valueCode": "reject"}]), 5)
    for who in ("okafor", "weber", "ito"):
        assert (await town.write(who, task, status="completed", output=decided)).status_code in {403, 404}
