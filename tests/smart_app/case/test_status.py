"""Where a case stands, in words: pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smart_app.case.board import records_state
from smart_app.case.codes import own_code
from smart_app.case.retrieval import retrieval_of
from smart_app.case.states import road, state_title, steps_from, table
from smart_app.case.status import promise_of, status_of
from smart_app.case.view import Case
from smart_app.words import Clock, age, counted, human_name, sentence_list

CLOCK = Clock("UTC")


def case(state: str, children: list[dict[str, Any]] | None = None, **task: Any) -> Case:
    now = datetime.now(UTC).isoformat()
    made = {"id": "t", "businessStatus": own_code("business-status", state), "lastModified": now, **task}
    return Case(made, {}, {}, children or [], {"Practitioner/ito": {"name": [{"text": "Dr. Ito"}]}})


def fetching(received: int, expected: int, **changes: Any) -> dict[str, Any]:
    begun = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
    outputs = {"instances-expected": expected, "instances-received": received}
    return {
        "id": "r",
        "status": "in-progress",
        "code": own_code("task-code", "imaging-retrieval"),
        "executionPeriod": {"start": begun},
        "input": [{"type": own_code("task-input", "description"), "valueString": "CT chest"}],
        "output": [{"type": own_code("task-output", name), "valueInteger": value} for name, value in outputs.items()],
        **changes,
    }


def test_every_state_has_a_sentence_and_a_road() -> None:
    for state in table()["states"]:
        assert status_of(case(state), CLOCK).sentence.endswith(".")
        assert road(state)
        assert state_title(state) != state


def test_progress_is_told_in_numbers_and_time() -> None:
    status = status_of(case("awaiting-records", [fetching(100, 300)]), CLOCK)
    assert status.sentence == "Waiting for CT chest (100 of 300 images, about 4 minutes)."


@pytest.mark.parametrize(
    ("state", "words"),
    [("awaiting-records", "More records were asked for"), ("ready-for-triage", "Records complete")],
)
def test_the_board_calls_complete_only_what_waits_for_nothing(state: str, words: str) -> None:
    assert records_state(case(state)).words == words


def test_a_failed_retrieval_says_why() -> None:
    output = [{"type": own_code("task-output", "cause"), "valueString": "The archive does not know us."}]
    failed = retrieval_of(fetching(0, 10, status="failed", output=output))
    assert failed.sentence(CLOCK.now()) == "The archive does not know us."


def test_the_offer_names_the_consultant() -> None:
    offered = case("offered", owner={"reference": "Practitioner/ito"})
    assert status_of(offered, CLOCK).sentence.startswith("Offered to Dr. Ito today")


@pytest.mark.parametrize(("days", "words", "tone"), [(5, "in 5 days", "neutral"), (1, "tomorrow", "attention")])
def test_the_promise(days: int, words: str, tone: str) -> None:
    end = (CLOCK.now() + timedelta(days=days)).isoformat()
    promise = promise_of(case("offered", restriction={"period": {"end": end}}), CLOCK)
    assert promise is not None
    assert (promise.words, promise.tone) == (words, tone)


def test_a_broken_promise_is_said() -> None:
    end = (CLOCK.now() - timedelta(days=2)).isoformat()
    promise = promise_of(case("in-review", restriction={"period": {"end": end}}), CLOCK)
    assert promise is not None
    assert (promise.words, promise.tone) == ("2 days late", "danger")


def test_steps_follow_role_and_ownership() -> None:
    assert "accept" not in {step.name for step in steps_from("offered", ("consultant",), owns=False)}
    assert "accept" in {step.name for step in steps_from("offered", ("consultant",), owns=True)}
    assert "offer" in {step.name for step in steps_from("ready-for-triage", ("coordinator",), owns=False)}
    assert {step.name for step in steps_from("report-signed", ("requester",), owns=False)} == {"acknowledge"}


def test_words() -> None:
    assert counted(1, "image") == "1 image"
    assert counted(1200, "image") == "1,200 images"
    assert sentence_list(["a", "b", "c"]) == "a, b and c"
    assert human_name({"prefix": ["Dr."], "given": ["Ana"], "family": "Núñez"}) == "Dr. Ana Núñez"
    assert age("1964-03-11", datetime(2026, 11, 22, tzinfo=UTC).date()) == "62 y"
    assert CLOCK.day("2026-11") == "Nov 2026"
    assert CLOCK.day("2026-11-03T23:30:00-06:00") == "4 Nov 2026"
