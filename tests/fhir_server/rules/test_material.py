"""Rules 3 and 5: records of the own patient, and nothing out of quarantine."""

from typing import Any

import pytest

from fhir_server.errors import Unprocessable
from tests.fhir_server.rules.story import (
    COORDINATOR,
    GATEWAY,
    HIM,
    LABEL,
    REQUESTER,
    C,
    Memory,
    case,
    child,
    coded,
    decision,
    request,
)

STUDY: dict[str, Any] = {"resourceType": "ImagingStudy", "id": "waiting", "subject": {"reference": "Patient/p1"}}
RECONCILIATION = {"focus": {"reference": "ImagingStudy/waiting"}}


def study_input(study: str) -> dict[str, Any]:
    kind = coded(f"{C}/CodeSystem/task-input", "imaging-study")
    return {"input": [{"type": kind, "valueReference": {"reference": study}}]}


@pytest.mark.parametrize(
    ("cited", "rule"), [("Condition/c2", 3), ("Condition/missing", 3), ("ImagingStudy/waiting", 5)]
)
@pytest.mark.parametrize("element", ["supportingInfo", "reasonReference"])
def test_a_request_names_released_records_of_its_patient(cited: str, rule: int, element: str) -> None:
    named = request()
    named[element] = [*named.get(element, []), {"reference": cited}]
    with pytest.raises(Unprocessable, match=f"Rule {rule} of the case"):
        Memory().run(REQUESTER, named, case())


def test_a_case_takes_no_quarantined_study() -> None:
    memory = Memory(request(), case())
    with pytest.raises(Unprocessable, match="Rule 5"):
        memory.run(GATEWAY, case() | study_input("ImagingStudy/waiting"))
    memory.run(GATEWAY, case() | study_input("ImagingStudy/ct"))


def test_the_gateway_lifts_quarantine_once_him_staff_have_accepted() -> None:
    memory = Memory(request(), case("reconciling"), child("reconciliation", **RECONCILIATION))
    release = (STUDY, case("ready-for-triage") | study_input("ImagingStudy/waiting"))
    with pytest.raises(Unprocessable, match="Rule 5"):
        memory.run(GATEWAY, *release)
    memory.run(HIM, child("reconciliation", "completed", output=decision("accept"), **RECONCILIATION))
    memory.run(GATEWAY, *release)


def test_a_rejection_lifts_nothing() -> None:
    done = child("reconciliation", "completed", output=decision("reject", "no"), **RECONCILIATION)
    with pytest.raises(Unprocessable, match="Rule 5"):
        Memory(request(), case("reconciling"), done).run(GATEWAY, STUDY)


@pytest.mark.parametrize("caller", [REQUESTER, COORDINATOR], ids=["requester", "coordinator"])
def test_nobody_else_touches_the_label(caller: Any) -> None:
    with pytest.raises(Unprocessable, match="Rule 5"):
        Memory().run(caller, STUDY)
    with pytest.raises(Unprocessable, match="Rule 5"):
        Memory().run(caller, STUDY | {"id": "new", "meta": LABEL})


def test_him_staff_may_lift_it() -> None:
    Memory().run(HIM, STUDY)
