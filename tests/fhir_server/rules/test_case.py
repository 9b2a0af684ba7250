"""Rule 1: the table, who may take which step, and the half that the server writes."""

from itertools import product
from typing import Any

import pytest

from fhir_server.caller import Caller
from fhir_server.errors import Unprocessable
from fhir_server.rules.states import State, table
from tests.fhir_server.rules.story import (
    CONSENT,
    CONSULTANT,
    COORDINATOR,
    ENGINE,
    GATEWAY,
    HIM,
    REQUESTER,
    TREATMENT,
    C,
    Memory,
    case,
    child,
    coded,
    communication,
    decision,
    person,
    request,
)

PEOPLE = {
    "requester": REQUESTER,
    "interface-engine": ENGINE,
    "coordinator": COORDINATOR,
    "consultant": CONSULTANT,
    "him": HIM,
    "system": GATEWAY,
    "patient": person("patient"),
    "administrator": person("administrator"),
}
STATES = table().states
WEBER = {
    "resourceType": "PractitionerRole",
    "id": "r1",
    "practitioner": {"reference": "Practitioner/weber"},
    "organization": {"reference": "Organization/anna"},
}


def standing(state: State) -> Memory:
    """A case that is in this state, the consultant its owner where it has one."""
    owner = "Practitioner/ito" if state.owner == "one" else None
    return Memory(request(state.request[0]), case(state.code, state.task[0], owner), WEBER)


def owner_after(state: State, step_owner: str, before: str | None) -> str | None:
    return {
        "set": "Practitioner/ito",
        "self": "Practitioner/ito",
        "clear": None,
        "change": "Practitioner/other",
    }.get(step_owner, before)


def refused(memory: Memory, caller: Caller, *written: Any, rule: int = 1, **more: Any) -> str:
    with pytest.raises(Unprocessable, match=f"Rule {rule} of the case") as failure:
        memory.run(caller, *written, **more)
    return failure.value.diagnostics


def moved(memory: Memory, state: State, owner: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Request and Task of the case, moved to a state and its first pair of statuses."""
    task = case(state.code, state.task[0], owner) | {"statusReason": {"text": "because"}}
    return request(state.request[0]), task


@pytest.mark.parametrize(("source", "target"), [*product(STATES.values(), STATES.values())], ids=lambda one: one.code)
def test_only_the_table_leads_from_state_to_state(source: State, target: State) -> None:
    signing = any("signed-report" in one.needs for one in table().leading(source.code, target.code))
    steps = [] if signing else table().leading(source.code, target.code)
    for role, caller in PEOPLE.items():
        if source.code == target.code:
            continue
        mine = [
            one
            for one in steps
            if role in one.by or (role == "consultant" and "owner" in one.by and source.owner == "one")
        ]
        memory = standing(source)
        before = "Practitioner/ito" if source.owner == "one" else None
        if mine:
            moving = moved(memory, target, owner_after(target, mine[0].owner, before))
            status = moving[1]["status"]
            if target.code == "cancel-requested":
                moving[1]["status"] = memory.resources["Task/t1"]["status"]
            memory.run(caller, *_changed(memory, moving), *_said(caller, mine[0].name))
            assert memory.resources["Task/t1"]["status"] in {status, moving[1]["status"]}
        else:
            moving = moved(memory, target, "Practitioner/ito" if target.owner == "one" else None)
            refused(memory, caller, *moving, rule=4 if signing and role == "consultant" else 1)


def _changed(memory: Memory, resources: Any) -> list[Any]:
    """What a well-behaved client would send: the request only if its status changes."""
    return [one for one in resources if one["resourceType"] == "Task" or _status(memory, one) != one["status"]]


def _said(caller: Caller, step: str) -> list[Any]:
    """The message that a step needs."""
    kind = {"ask": "question", "answer": "answer"}.get(step)
    return [communication(str(caller.fhir_user), kind)] if kind else []


def _status(memory: Memory, one: dict[str, Any]) -> str:
    return str(memory.resources[f"{one['resourceType']}/{one['id']}"]["status"])


def test_a_requester_submits_with_consent() -> None:
    Memory().run(REQUESTER, request(), case())


def test_a_requester_submits_with_a_treatment_basis_in_the_same_transaction() -> None:
    without = request() | {"supportingInfo": [{"reference": "Condition/c1"}]}
    Memory().run(REQUESTER, without, case(), TREATMENT)
    assert "treatment basis" in refused(Memory(), REQUESTER, without, case(), rule=3)


@pytest.mark.parametrize(
    "consent",
    [
        CONSENT | {"status": "inactive"},
        CONSENT | {"category": [coded("http://loinc.org", "59284-0")]},
        CONSENT | {"patient": {"reference": "Patient/p2"}},
        CONSENT | {"provision": {"period": {"end": "2020-01-01"}}},
    ],
)
def test_a_consent_that_does_not_cover_the_release_is_none(consent: dict[str, Any]) -> None:
    refused(Memory(consent), REQUESTER, request(), case(), rule=3)


def test_a_request_comes_with_its_case() -> None:
    refused(Memory(), REQUESTER, request())
    refused(Memory(), REQUESTER, case())
    refused(Memory(), REQUESTER, request("completed"), case("acknowledged", "completed", "Practitioner/ito"))
    refused(Memory(request(), case()), REQUESTER, case() | {"id": "t2"})


def test_a_declined_request_may_get_a_new_case_or_be_withdrawn() -> None:
    declined = (request(), case("declined", "rejected"))
    Memory(*declined).run(REQUESTER, case() | {"id": "t2"})
    Memory(*declined).run(REQUESTER, request("revoked"))
    refused(Memory(*declined), REQUESTER, request("completed"))


def test_an_interface_engine_acts_for_its_own_organization_only() -> None:
    Memory(WEBER).run(ENGINE, request(), case())
    refused(Memory(WEBER | {"organization": {"reference": "Organization/bert"}}), ENGINE, request(), case())
    refused(Memory(WEBER | {"active": False}), ENGINE, request(), case())
    refused(Memory(), ENGINE, request(), case())
    organization = {"requester": {"reference": "Organization/anna"}}
    Memory().run(ENGINE, request() | organization, case() | organization)


def test_withdrawing_before_acceptance_cancels_the_task_in_the_same_transaction() -> None:
    memory = Memory(request(), case("offered", "received", "Practitioner/ito"))
    (added,) = memory.run(REQUESTER, request("revoked"))
    assert added.new is not None
    assert added.new["status"] == "cancelled"
    assert added.new["businessStatus"]["coding"][0]["code"] == "withdrawn"
    assert added.new["owner"] == {"reference": "Practitioner/ito"}


def test_nothing_more_is_fetched_for_a_case_that_has_ended() -> None:
    children = (
        child("imaging-retrieval", "in-progress"),
        child("reconciliation"),
        child("record-request", "completed"),
    )
    memory = Memory(request(), case("awaiting-records"), *children)
    changed = {change.reference for change in memory.run(REQUESTER, request("revoked"))}
    assert changed == {"Task/t1", "Task/imaging-retrieval"}
    assert memory.resources["Task/imaging-retrieval"]["status"] == "cancelled"


def test_withdrawing_after_acceptance_is_asked_and_confirmed() -> None:
    memory = Memory(request(), case("assigned", "accepted", "Practitioner/ito"))
    refused(memory, REQUESTER, request("revoked"))
    memory.run(REQUESTER, case("cancel-requested", "accepted", "Practitioner/ito"))
    (added,) = memory.run(COORDINATOR, case("withdrawn", "cancelled", "Practitioner/ito"))
    assert added.reference == "ServiceRequest/s1"
    assert added.new is not None
    assert added.new["status"] == "revoked"


def test_wrong_patient_marks_both() -> None:
    memory = Memory(request(), case("in-review", "in-progress", "Practitioner/ito"))
    (added,) = memory.run(HIM, request("entered-in-error"))
    assert added.new is not None
    assert added.new["status"] == "entered-in-error"


def test_acknowledging_needs_both_halves() -> None:
    signed = (request(), case("report-signed", "completed", "Practitioner/ito"))
    both = (request("completed"), case("acknowledged", "completed", "Practitioner/ito"))
    refused(Memory(*signed), REQUESTER, both[0])
    refused(Memory(*signed), REQUESTER, both[1])
    refused(Memory(*signed), CONSULTANT, *both)
    refused(Memory(*signed), GATEWAY, *both)
    Memory(*signed).run(REQUESTER, *both)


@pytest.mark.parametrize("status", ["accepted", "in-progress", "completed", "received", "draft", "ready"])
def test_a_status_that_breaks_the_pair_is_refused(status: str) -> None:
    refused(Memory(request(), case()), COORDINATOR, case(status=status))


@pytest.mark.parametrize("status", ["on-hold", "completed", "draft", "unknown"])
def test_a_request_status_that_breaks_the_pair_is_refused(status: str) -> None:
    refused(Memory(request(), case()), REQUESTER, request(status))


def test_a_case_is_offered_to_a_practitioner_and_taken_by_that_one_only() -> None:
    memory = Memory(request(), case())
    refused(memory, COORDINATOR, case("offered", "received"))
    refused(memory, COORDINATOR, case("offered", "received", "Organization/anna"))
    memory.run(COORDINATOR, case("offered", "received", "Practitioner/ito"))
    refused(memory, person("consultant", "other"), case("assigned", "accepted", "Practitioner/ito"))
    refused(memory, person("consultant", "other"), case("assigned", "accepted", "Practitioner/other"))
    refused(
        memory, COORDINATOR, case("offered", "received", "Practitioner/other") | {"for": {"reference": "Patient/p2"}}
    )
    memory.run(CONSULTANT, case("assigned", "accepted", "Practitioner/ito"))
    refused(memory, CONSULTANT, case("assigned", "accepted", "Practitioner/other"))
    memory.run(COORDINATOR, case("offered", "received", "Practitioner/other"))


def test_a_refusal_needs_a_reason() -> None:
    refused(Memory(request(), case()), COORDINATOR, case("declined", "rejected"))


def test_inputs_grow_and_outputs_wait_for_the_signature() -> None:
    study = {
        "type": coded(f"{C}/CodeSystem/task-input", "imaging-study"),
        "valueReference": {"reference": "ImagingStudy/ct"},
    }
    memory = Memory(request(), case("in-review", "in-progress", "Practitioner/ito"))
    held = case("in-review", "in-progress", "Practitioner/ito")
    refused(memory, CONSULTANT, held | {"input": [study]})
    memory.run(GATEWAY, held | {"input": [study]})
    refused(memory, GATEWAY, held)
    refused(memory, GATEWAY, held | {"input": [study], "output": [study]})
    refused(memory, CONSULTANT, held | {"input": [study], "output": [study]})


def test_nothing_of_a_case_is_deleted() -> None:
    memory = Memory(request(), case())
    refused(memory, person("administrator"), deleted=["Task/t1"])
    refused(memory, person("administrator"), deleted=["ServiceRequest/s1"])


def test_the_content_of_a_request_is_for_the_requester() -> None:
    memory = Memory(request(), case())
    refused(memory, HIM, request() | {"note": [{"text": "changed"}]})
    memory.run(REQUESTER, request() | {"note": [{"text": "changed"}]})
    refused(memory, REQUESTER, request() | {"subject": {"reference": "Patient/p2"}})


def test_resources_outside_a_case_are_left_alone() -> None:
    order = {"resourceType": "ServiceRequest", "id": "lab", "status": "completed", "code": {"text": "Blood count"}}
    chore = {"resourceType": "Task", "id": "chore", "status": "completed", "code": {"text": "Call back"}}
    assert Memory().run(REQUESTER, order, chore) == []


def test_a_retrieval_is_opened_by_the_requester_and_driven_by_the_gateway() -> None:
    memory = Memory(request(), case())
    memory.run(REQUESTER, child("imaging-retrieval"))
    refused(memory, REQUESTER, child("imaging-retrieval", "completed"))
    refused(memory, CONSULTANT, child("imaging-retrieval", "in-progress"))
    memory.run(GATEWAY, child("imaging-retrieval", "in-progress"))
    memory.run(GATEWAY, child("imaging-retrieval", "in-progress", output=[]))
    memory.run(GATEWAY, child("imaging-retrieval", "completed"))
    refused(memory, GATEWAY, child("imaging-retrieval", "in-progress"))
    refused(memory, REQUESTER, child("imaging-retrieval", partOf=[], id="stray"))
    refused(memory, REQUESTER, child("imaging-retrieval", id="other", **{"for": {"reference": "Patient/p2"}}))
    refused(memory, REQUESTER, child("imaging-retrieval", "completed", id="done"))
    refused(memory, REQUESTER, child("nonsense"))


def test_a_person_decides_a_reconciliation_once_and_rejects_with_a_reason() -> None:
    memory = Memory(request(), case("reconciling"))
    refused(memory, REQUESTER, child("reconciliation"))
    memory.run(GATEWAY, child("reconciliation"))
    refused(memory, GATEWAY, child("reconciliation", "completed", output=decision("accept")))
    refused(memory, GATEWAY, child("reconciliation", output=decision("accept")), rule=5)
    refused(memory, HIM, child("reconciliation", "completed"), rule=5)
    refused(memory, HIM, child("reconciliation", "completed", output=decision("maybe")), rule=5)
    refused(memory, HIM, child("reconciliation", "completed", output=decision("reject")), rule=5)
    memory.run(HIM, child("reconciliation", "completed", output=decision("reject", "another person")))
    refused(memory, HIM, child("reconciliation", "completed", output=decision("accept")), rule=5)
