"""Emergency access: one patient, for reading, for a while, with everybody told who has to know."""

from typing import Any

import httpx
import pytest

from tests.fhir_server.case.test_consent import ACT_CODE, agree, coding, provision, recipient
from tests.fhir_server.case.town import Resource, Town

pytestmark = pytest.mark.anyio
WHY = {"reason": "life-or-limb", "comment": "Unconscious in our emergency room, no relatives."}
SEEN = ("Patient", "Condition", "DiagnosticReport", "Consent", "ServiceRequest")


def body(**values: Any) -> Resource:
    named = {"minutes": "valueInteger", "reason": "valueCode", "verdict": "valueCode"}
    parameters = [{"name": name, named.get(name, "valueString"): value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": parameters}


async def open_record(town: Town, who: str, of: str, **values: Any) -> httpx.Response:
    return await town.ask(who, "POST", f"/{of}/$break-glass", body(**(WHY | values)))


async def opened(town: Town, who: str, of: str, **values: Any) -> Resource:
    answer = await open_record(town, who, of, **values)
    assert answer.status_code == 200, answer.text
    task: Resource = answer.json()
    return task


async def kinds(town: Town, who: str, made: dict[str, list[str]]) -> set[str]:
    """Types of which the person is shown something of the case, by search and by read alike."""
    shown = set()
    for resource_type in SEEN:
        found = await town.seen(who, resource_type) & set(made[resource_type])
        read = {one for one in made[resource_type] if (await town.ask(who, "GET", f"/{one}")).status_code == 200}
        assert found == read
        shown |= {resource_type} if found else set()
    return shown


async def test_it_opens_one_record_to_who_treats_until_it_ends(town: Town) -> None:
    made = await town.submit()
    (patient,) = made["Patient"]
    assert await kinds(town, "brandt", made) == set()
    task = await opened(town, "brandt", patient)
    assert await kinds(town, "brandt", made) == set(SEEN)
    assert made["Condition"][0] in await town.seen("brandt", f"{patient}/$everything")
    assert made["Condition"][0] in await town.seen("brandt", "Condition?patient.family=Lindqvist")
    assert (await town.ask("brandt", "GET", f"/{made['Condition'][0]}/_history")).json()["total"] == 1
    await nothing_is_written(town, made)
    assert await kinds(town, "lopez", made) == set(), "nobody else's"
    assert (await opened(town, "brandt", patient))["id"] == task["id"], "it is one access"
    answer = await town.ask("brandt", "POST", f"/Task/{task['id']}/$break-glass-end")
    assert answer.status_code == 200, answer.text
    assert await kinds(town, "brandt", made) == set()
    assert (await town.ask("brandt", "GET", f"/Task/{task['id']}")).status_code == 200, "he keeps knowing of it"


async def nothing_is_written(town: Town, made: dict[str, list[str]]) -> None:
    for reference in (made["Condition"][0], made["Patient"][0], made["Task"][0]):
        state = await town.read("silva", reference)
        answer = await town.write("brandt", state)
        assert answer.status_code in {403, 404}, answer.text
    new = {"resourceType": "Condition", "subject": {"reference": made["Patient"][0]}}
    assert (await town.ask("brandt", "POST", "/Condition", new)).status_code == 403


async def test_it_runs_out_by_itself(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await town.submit()
    await opened(town, "lopez", made["Task"][0], minutes=1)
    assert await kinds(town, "lopez", made) == set(SEEN)
    consents, minute = town.world.node.consents, 60_000_000
    found = type(consents)._found

    async def later(self: Any, source: Any, caller: Any, now: int) -> Any:
        return await found(self, source, caller, now + minute)

    monkeypatch.setattr(type(consents), "_found", later)
    consents.touch()
    assert await kinds(town, "lopez", made) == set()


async def test_who_does_not_treat_gets_none_and_a_reason_is_wanted(town: Town) -> None:
    made = await town.submit()
    (patient,) = made["Patient"]
    for who in ("okafor", "engine", "gateway", "sorensen"):
        assert (await open_record(town, who, patient)).status_code == 403, who
    for wrong in ({"reason": "curious"}, {"comment": "   "}, {"minutes": 241}, {"minutes": 0}):
        assert (await open_record(town, "brandt", patient, **wrong)).status_code == 400, wrong
    assert (await town.ask("brandt", "GET", f"/{patient}/$break-glass?reason=life-or-limb")).status_code == 405
    assert (await open_record(town, "brandt", "Patient/nobody")).status_code == 404
    assert await kinds(town, "brandt", made) == set()


async def test_a_patient_is_named_by_number_and_date_of_birth_together(town: Town) -> None:
    made = await town.submit()
    known = await town.read("silva", made["Patient"][0])
    number, born = known["identifier"][0]["value"], known["birthDate"]
    for wrong in ({"identifier": number, "birthdate": "1901-01-01"}, {"identifier": "0", "birthdate": born}):
        assert (await open_record(town, "brandt", "Patient", **wrong)).status_code == 404
    assert (await open_record(town, "brandt", "Patient", identifier=number)).status_code == 400
    await opened(town, "brandt", "Patient", identifier=number, birthdate=born)
    assert "Patient" in await kinds(town, "brandt", made)


async def test_labels_and_denials_by_name_are_held_to(town: Town) -> None:
    made = await town.submit()
    first, *_ = made["Condition"]
    await opened(town, "brandt", made["Patient"][0])
    for code, status in (("ETH", 200), ("HIV", 200), ("PSYTHPN", 404)):
        told = await town.read("silva", first)
        answer = await town.write("weber", told, meta={**told["meta"], "security": coding(ACT_CODE, code)})
        assert answer.status_code == 200, answer.text
        for path in (first, f"{first}/_history/1"):
            assert (await town.ask("brandt", "GET", f"/{path}")).status_code == status, (code, path)
    await agree(town, made, provision=provision("permit", provision("deny")))
    assert "Patient" in await kinds(town, "brandt", made), "a denial in general gives way"
    named = provision("deny", actor=recipient("Practitioner/brandt"))
    await agree(town, made, provision=provision("permit", named))
    assert await kinds(town, "brandt", made) == set(), "one by name does not"


async def test_privacy_officers_are_told_review_it_and_can_end_it(town: Town) -> None:
    made = await town.submit()
    task = await opened(town, "brandt", made["Patient"][0])
    reference, code = f"Task/{task['id']}", "https://konsil.example/fhir/CodeSystem/break-glass|break-glass"
    for who in ("sorensen", "brandt"):
        assert await town.seen(who, f"Task?code={code}&status=requested") == {reference}, who
    for who in ("silva", "okafor", "weber", "lopez"):
        assert reference not in await town.seen(who, "Task"), who
        assert (await town.ask(who, "GET", f"/{reference}")).status_code == 404, who
    judged = {"verdict": "not-justified", "comment": "The patient was at home that day."}
    for who, status in (("brandt", 403), ("silva", 404)):
        answer = await town.ask(who, "POST", f"/{reference}/$break-glass-review", body(**judged))
        assert answer.status_code == status, answer.text
    answer = await town.ask("sorensen", "POST", f"/{reference}/$break-glass-review", body(**judged))
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "completed"
    assert answer.json()["owner"] == {"reference": "Practitioner/sorensen"}
    assert await kinds(town, "brandt", made) == set(), "what was not justified is over"
    again = await town.ask("sorensen", "POST", f"/{reference}/$break-glass-review", body(**judged))
    assert again.status_code == 409


async def test_an_officer_withdraws_it_at_once(town: Town) -> None:
    made = await town.submit()
    task = await opened(town, "brandt", made["Patient"][0])
    assert (await town.ask("sorensen", "POST", f"/Task/{task['id']}/$break-glass-end")).status_code == 200
    assert await kinds(town, "brandt", made) == set()
    assert await town.seen("sorensen", "Task?status=requested") == {f"Task/{task['id']}"}, "it is still to be reviewed"


async def test_nobody_reviews_his_own(town: Town) -> None:
    made = await town.submit()
    task = await opened(town, "adler", made["Patient"][0])
    judged = body(verdict="justified", comment="It was I who needed it.")
    assert (await town.ask("adler", "POST", f"/Task/{task['id']}/$break-glass-review", judged)).status_code == 403
    answer = await town.ask("sorensen", "POST", f"/Task/{task['id']}/$break-glass-review", judged)
    assert answer.json()["output"][0]["valueCodeableConcept"]["text"] == "It was I who needed it."
    assert "Patient" in await kinds(town, "adler", made), "what was justified lasts as long as it was to last"


async def test_nobody_writes_such_a_task_by_hand(town: Town) -> None:
    made = await town.submit()
    task = await opened(town, "brandt", made["Patient"][0], minutes=5)
    longer = {**task, "executionPeriod": {"start": "2020-01-01", "end": "2090-01-01"}}
    for who in ("gateway", "cursor", "brandt", "weber", "silva", "sorensen"):
        answer = await town.write(who, longer)
        assert answer.status_code in {403, 404, 422}, (who, answer.text)
        forged = {name: value for name, value in longer.items() if name not in {"id", "meta"}}
        assert (await town.ask(who, "POST", "/Task", forged)).status_code in {403, 404, 422}, who
    assert (await town.ask("gateway", "DELETE", f"/Task/{task['id']}")).status_code in {403, 422}
