"""Rule 4: what a final report needs, checked against the very transaction that the app sends."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import from_regex, text
from joserfc.jwk import ECKey

from fhir_server.caller import Caller
from fhir_server.errors import Unprocessable
from fhir_server.rules import signature
from smart_app.report import signature as app_signature
from tests.fhir_server.rules.story import (
    CONSULTANT,
    COORDINATOR,
    KEY,
    REQUESTER,
    Memory,
    case,
    person,
    request,
    signature_data,
    signed,
)

ITO = "Practitioner/ito"


@pytest.fixture
def memory() -> Memory:
    return Memory(request(), case("in-review", "in-progress", ITO))


def refused(memory: Memory, written: list[Any], caller: Caller = CONSULTANT, rule: int = 4) -> str:
    with pytest.raises(Unprocessable, match=f"Rule {rule} of the case") as failure:
        memory.run(caller, *written)
    return failure.value.diagnostics


def parts(written: list[Any]) -> dict[str, Any]:
    return {one["resourceType"]: one for one in written}


def resign(written: list[Any], key: ECKey = KEY, signer: str = ITO) -> list[Any]:
    """Sign the report again after a test has changed it."""
    found = parts(written)
    by = app_signature.Signer(signer, datetime.fromtimestamp(1, UTC), ["1.2"])
    compact = app_signature.sign(found["DiagnosticReport"], by, key)
    found["Provenance"]["signature"][0]["data"] = signature_data(compact)
    return written


def test_the_transaction_of_the_app_passes(memory: Memory) -> None:
    assert memory.run(CONSULTANT, *signed(memory)) == []


@pytest.mark.parametrize("missing", ["Observation", "Provenance", "Task"])
def test_one_part_missing(memory: Memory, missing: str) -> None:
    refused(memory, [one for one in signed(memory) if one["resourceType"] != missing])


def test_no_report(memory: Memory) -> None:
    written = parts(signed(memory))
    refused(memory, [written["Task"]])


@pytest.mark.parametrize("element", ["conclusion", "result"])
def test_an_element_missing_although_signed(memory: Memory, element: str) -> None:
    written = signed(memory)
    del parts(written)["DiagnosticReport"][element]
    refused(memory, resign(written))


def test_nothing_reviewed(memory: Memory) -> None:
    written = signed(memory)
    report = parts(written)["DiagnosticReport"]
    del report["imagingStudy"], report["extension"]
    assert "reviewed" in refused(memory, resign(written))


def test_a_quarantined_study_cannot_be_reviewed(memory: Memory) -> None:
    written = signed(memory)
    parts(written)["DiagnosticReport"]["imagingStudy"] = [{"reference": "ImagingStudy/waiting"}]
    refused(memory, resign(written), rule=5)


def test_a_changed_report_breaks_the_signature(memory: Memory) -> None:
    written = signed(memory)
    parts(written)["DiagnosticReport"]["conclusion"] += " Or do not."
    assert "sha256" in refused(memory, written)


def test_a_key_that_the_client_never_registered(memory: Memory) -> None:
    other = ECKey.generate_key("P-384", {"kid": "other"})
    assert "key" in refused(memory, signed(memory, key=other))


def test_another_key_under_a_known_name(memory: Memory) -> None:
    imposter = ECKey.generate_key("P-384", {"kid": "signing-key"})
    assert "verify" in refused(memory, signed(memory, key=imposter))


def test_an_unsigned_token_is_no_signature(memory: Memory) -> None:
    written = signed(memory)
    parts(written)["Provenance"]["signature"][0]["data"] = signature_data("eyJhbGciOiJub25lIn0.e30.")
    refused(memory, written)


def test_the_signer_is_the_caller_and_the_owner(memory: Memory) -> None:
    refused(memory, signed(memory, signer="Practitioner/other"))
    refused(memory, signed(memory, signer="Practitioner/other"), person("consultant", "other"), rule=1)
    refused(memory, signed(memory), COORDINATOR, rule=1)


def test_only_a_case_in_review_can_be_signed() -> None:
    waiting = Memory(request(), case("assigned", "accepted", ITO))
    refused(waiting, signed(waiting), rule=1)


@pytest.mark.parametrize("change", ["missing", "wrong value", "two values"])
def test_the_comparison_answers_in_the_words_of_the_table(memory: Memory, change: str) -> None:
    written = signed(memory)
    components = parts(written)["Observation"]["component"]
    coding = components[0]["valueCodeableConcept"]["coding"]
    if change == "missing":
        components.pop(0)
    elif change == "wrong value":
        coding[0]["code"] = "modified"
    else:
        coding.append(coding[0] | {"code": "agree"})
    refused(memory, written)


def test_a_draft_is_the_consultants_own(memory: Memory) -> None:
    draft = parts(signed(memory))["DiagnosticReport"] | {"status": "preliminary"}
    refused(memory, [draft], REQUESTER)
    memory.run(CONSULTANT, draft)


def test_a_final_report_is_never_overwritten_and_its_signature_stays(memory: Memory) -> None:
    written = signed(memory)
    memory.run(CONSULTANT, *written)
    found = parts(copy.deepcopy(written))
    refused(memory, [found["DiagnosticReport"] | {"conclusion": "Wait"}])
    refused(memory, [found["DiagnosticReport"] | {"status": "preliminary"}])
    refused(memory, [found["DiagnosticReport"] | {"status": "amended"}])
    refused(memory, [found["Observation"] | {"status": "amended"}])
    refused(memory, [found["Provenance"] | {"signature": []}])
    with pytest.raises(Unprocessable, match="Rule 4"):
        memory.run(CONSULTANT, deleted=[f"DiagnosticReport/{found['DiagnosticReport']['id']}"])


def test_a_signed_amendment_opens_a_new_acknowledgement(memory: Memory) -> None:
    written = signed(memory)
    memory.run(CONSULTANT, *written)
    found = parts(copy.deepcopy(written))
    found["DiagnosticReport"] |= {"status": "amended", "conclusion": "Repair, do not replace."}
    found["Provenance"]["id"] = "second-signature"
    found["Task"]["businessStatus"]["coding"][0]["code"] = "report-amended"
    (added,) = memory.run(CONSULTANT, *resign(list(found.values())))
    assert added.new is not None
    assert added.new["partOf"] == [{"reference": "Task/t1"}]


def test_nobody_signs_for_another(memory: Memory) -> None:
    provenance = parts(signed(memory))["Provenance"]
    refused(memory, [provenance], REQUESTER)


@settings(max_examples=200, deadline=None)
@given(text() | from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True))
def test_no_text_is_worse_than_a_bad_signature(compact: str) -> None:
    with pytest.raises(signature.BadSignature):
        signature.verify(compact, {"resourceType": "DiagnosticReport", "id": "x"}, ITO, [KEY.as_dict(private=False)])
