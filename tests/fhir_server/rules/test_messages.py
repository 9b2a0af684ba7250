"""Rule 9: messages on a case, and the steps that need one."""

from typing import Any

import pytest

from fhir_server.caller import Caller
from fhir_server.errors import Unprocessable
from tests.fhir_server.rules.story import (
    CONSULTANT,
    COORDINATOR,
    ENGINE,
    GATEWAY,
    REQUESTER,
    Memory,
    case,
    communication,
    request,
)

ITO, WEBER = "Practitioner/ito", "Practitioner/weber"
Resource = dict[str, Any]


def asking(**elements: Any) -> Resource:
    return case("info-requested", "on-hold", ITO) | {"statusReason": {"text": "How wide is the canal?"}} | elements


@pytest.fixture
def memory() -> Memory:
    return Memory(request(), case("in-review", "in-progress", ITO))


def refused(memory: Memory, caller: Caller, *written: Resource, deleted: tuple[str, ...] = ()) -> str:
    with pytest.raises(Unprocessable, match="Rule 9 of the case") as failure:
        memory.run(caller, *written, deleted=deleted)
    return failure.value.diagnostics


def test_a_question_and_its_answer_go_with_their_steps(memory: Memory) -> None:
    memory.run(CONSULTANT, asking(), communication(ITO, "question"))
    answer = communication(WEBER, "answer", id="m2", inResponseTo=[{"reference": "Communication/m1"}])
    memory.run(REQUESTER, case("in-review", "in-progress", ITO), answer)
    assert memory.resources["Task/t1"]["status"] == "in-progress"


@pytest.mark.parametrize("sent", [[], [communication(ITO, "message")], [communication(ITO, "answer")]])
def test_no_question_without_the_question(memory: Memory, sent: list[Resource]) -> None:
    assert "needs the question" in refused(memory, CONSULTANT, asking(), *sent)


def test_no_question_that_lists_could_not_show(memory: Memory) -> None:
    with pytest.raises(Unprocessable, match="statusReason"):
        memory.run(CONSULTANT, case("info-requested", "on-hold", ITO), communication(ITO, "question"))


def test_no_answer_without_the_answer(memory: Memory) -> None:
    memory.run(CONSULTANT, asking(), communication(ITO, "question"))
    assert "needs the answer" in refused(memory, REQUESTER, case("in-review", "in-progress", ITO))


@pytest.mark.parametrize(
    ("caller", "sender"), [(REQUESTER, WEBER), (CONSULTANT, ITO), (COORDINATOR, "Practitioner/okafor"), (ENGINE, WEBER)]
)
def test_everybody_writes_in_the_own_name(memory: Memory, caller: Caller, sender: str) -> None:
    memory.run(caller, communication(sender))


@pytest.mark.parametrize(("caller", "sender"), [(REQUESTER, ITO), (COORDINATOR, ITO), (ENGINE, ITO), (ENGINE, "")])
def test_nobody_writes_in_anothers(memory: Memory, caller: Caller, sender: str) -> None:
    assert "own name" in refused(memory, caller, communication(sender))


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": {"reference": "Patient/p2"}},
        {"payload": [{"contentString": "  "}]},
        {"payload": []},
        {"category": []},
        {"status": "preparation"},
        {"inResponseTo": [{"reference": "Communication/elsewhere"}]},
    ],
)
def test_what_a_message_is_not(memory: Memory, wrong: Resource) -> None:
    refused(memory, CONSULTANT, communication(ITO, **wrong))


def test_a_message_stays(memory: Memory) -> None:
    memory.run(CONSULTANT, communication(ITO))
    refused(memory, CONSULTANT, communication(ITO, payload=[{"contentString": "Another text."}]))
    refused(memory, CONSULTANT, communication(ITO, basedOn=[]))
    refused(memory, GATEWAY, deleted=("Communication/m1",))


def test_messages_elsewhere_are_none_of_the_rules_business(memory: Memory) -> None:
    memory.run(COORDINATOR, communication("Practitioner/somebody", basedOn=[{"reference": "ServiceRequest/s1"}]))
