"""A case over plain HTTP, without a screen: a machine submits, people and machines take it to the end."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from smart_app.report import bundle
from smart_app.report.opinion import Opinion, Reviewed
from tests.fhir_server.case import quarantine
from tests.fhir_server.case.town import Resource, Town, coded, state
from tests.fhir_server.rules.story import OPINION

pytestmark = pytest.mark.anyio


def opinion(*reviewed: str) -> Opinion:
    """The opinion of the story, on these records."""
    return Opinion(
        answer=OPINION.answer,
        concordance=OPINION.concordance,
        findings=OPINION.findings,
        recommendations=OPINION.recommendations,
        patient_version=OPINION.patient_version,
        reviewed=tuple(Reviewed(one, one) for one in reviewed),
    )


async def signing(town: Town, made: dict[str, list[str]], *reviewed: str) -> Resource:
    """The transaction that the app sends when Dr. Ito signs, but for the signature."""
    what = bundle.Signing(
        task=await town.read("ito", made["Task"][0]),
        service_request=await town.read("ito", made["ServiceRequest"][0]),
        signer="Practitioner/ito",
        when=datetime.now(UTC),
        instances=["2.25.1.1"],
        first_report=made["DiagnosticReport"][0],
    )
    return bundle.unsigned(opinion(*reviewed), b"%PDF-1.7 the report", what)


async def test_from_the_request_of_a_machine_to_the_acknowledgement(town: Town) -> None:
    made = await town.submit()
    case, retrieval = made["Task"]
    for status in ("in-progress", "completed"):
        answer = await town.change("gateway", retrieval, status=status)
        assert answer.status_code == 200, answer.text
    assert (await town.change("gateway", case, businessStatus=state("awaiting-records"))).status_code == 200
    await quarantine.publish(town, made)
    assert (await town.change("gateway", case, businessStatus=state("reconciling"))).status_code == 200
    await quarantine.decide(town, "accept")
    await quarantine.release(town, made)

    assert (await town.offer(case)).status_code == 200
    await town.begin_reading(case)
    study = await town.read("ito", "ImagingStudy/study-1")
    assert study["subject"] == {"reference": made["Patient"][0]}

    unsigned = await signing(town, made, "ImagingStudy/study-1", made["Observation"][0])
    answer = await town.ask("ito", "POST", "/", await town.signed("ito", unsigned))
    assert answer.status_code == 200, answer.text
    signed = await town.read("cursor", case)
    assert (signed["status"], signed["businessStatus"]["coding"][0]["code"]) == ("completed", "report-signed")

    report = signed["output"][0]["valueReference"]["reference"]
    for reader in ("weber", "engine", "ito", "okafor"):
        form = (await town.read(reader, report))["presentedForm"][0]
        assert base64.b64decode(form["data"]).startswith(b"%PDF")
    assert await town.seen("weber", f"Provenance?target={report}")
    assert await town.seen("lopez", f"DiagnosticReport?_id={report.partition('/')[2]}") == set()

    request = await town.read("weber", made["ServiceRequest"][0])
    acknowledged = signed | {"businessStatus": state("acknowledged")}
    answer = await town.transaction("weber", request | {"status": "completed"}, acknowledged)
    assert answer.status_code == 200, answer.text


async def test_a_second_submission_of_the_same_chart_makes_no_copies_of_it(town: Town) -> None:
    first, second = await town.submit(), await town.submit()
    for resource_type in ("Patient", "Condition", "Observation", "DiagnosticReport", "MedicationRequest"):
        assert first[resource_type] == second[resource_type]
    assert first["Task"] != second["Task"]


async def test_withdrawing_cancels_the_task_in_the_same_transaction(town: Town) -> None:
    made = await town.submit()
    await town.offer(made["Task"][0])
    request = await town.read("weber", made["ServiceRequest"][0])
    assert (await town.write("weber", request, status="revoked")).status_code == 200
    task = await town.read("okafor", made["Task"][0])
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("cancelled", "withdrawn")
    assert (await town.read("okafor", made["Task"][1]))["status"] == "cancelled"
    assert await town.seen("ito", "Task") == set()
    assert len(await town.seen("cursor", f"{made['Task'][0]}/_history")) == 1


async def test_a_late_withdrawal_is_confirmed_by_the_coordinator(town: Town) -> None:
    made = await town.submit()
    await town.offer(made["Task"][0])
    await town.begin_reading(made["Task"][0])
    asked = await town.change("weber", made["Task"][0], businessStatus=state("cancel-requested"))
    assert asked.status_code == 200, asked.text
    done = await town.change("okafor", made["Task"][0], status="cancelled", businessStatus=state("withdrawn"))
    assert done.status_code == 200, done.text
    assert (await town.read("weber", made["ServiceRequest"][0]))["status"] == "revoked"


async def test_a_draft_is_the_consultants_own_until_it_is_signed(town: Town) -> None:
    made = await town.submit()
    await town.offer(made["Task"][0])
    await town.begin_reading(made["Task"][0])
    whole = await signing(town, made, made["Observation"][0])
    parts = {entry["resource"]["resourceType"]: entry["resource"] for entry in whole["entry"]}
    drafted = [parts[one] | {"status": "preliminary"} for one in ("DiagnosticReport", "Observation")]
    assert (await town.transaction("ito", *drafted)).status_code == 200
    report = f"DiagnosticReport/{parts['DiagnosticReport']['id']}"
    assert (await town.read("ito", report))["status"] == "preliminary"
    for who in ("weber", "engine", "lopez"):
        assert (await town.ask(who, "GET", f"/{report}")).status_code in {403, 404}
        assert report not in await town.seen(who, "DiagnosticReport")
    assert set(made["DiagnosticReport"]) <= await town.seen("weber", "DiagnosticReport")
    signed = await town.ask("ito", "POST", "/", await town.signed("ito", whole))
    assert signed.status_code == 200, signed.text
    assert (await town.read("weber", report))["status"] == "final"


async def test_an_amended_report_opens_a_new_acknowledgement(town: Town) -> None:
    made = await town.submit()
    await town.offer(made["Task"][0])
    await town.begin_reading(made["Task"][0])
    first = await signing(town, made, made["Observation"][0])
    assert (await town.ask("ito", "POST", "/", await town.signed("ito", first))).status_code == 200
    amended = await signing(town, made, made["Observation"][0])
    answer = await town.ask("ito", "POST", "/", await town.signed("ito", amend(first, amended)))
    assert answer.status_code == 200, answer.text
    open_tasks = await town.seen("weber", f"Task?part-of={made['Task'][0]}&code=acknowledgement&status=requested")
    assert len(open_tasks) == 1


def amend(first: Resource, second: Resource) -> Resource:
    """Make of a second signing the amendment of the first report: same id, new version, signed anew."""
    old = {entry["resource"]["resourceType"]: entry["resource"] for entry in first["entry"]}
    entries = {entry["resource"]["resourceType"]: entry for entry in second["entry"]}
    report = entries["DiagnosticReport"]["resource"]
    report |= {"id": old["DiagnosticReport"]["id"], "status": "amended", "conclusion": "Repair within a month."}
    entries["DiagnosticReport"]["request"]["url"] = f"DiagnosticReport/{report['id']}"
    provenance: dict[str, Any] = entries["Provenance"]["resource"]
    provenance["target"] = [{"reference": f"DiagnosticReport/{report['id']}"}]
    task = entries["Task"]["resource"]
    task["businessStatus"] = state("report-amended")
    task["output"][-1]["valueReference"] = {"reference": f"DiagnosticReport/{report['id']}"}
    task["output"][-1]["type"] = coded("task-output", "report")
    return second
