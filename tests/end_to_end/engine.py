"""A case as an interface engine submits it: one transaction Bundle made from the example that the profiles ship."""

import json
from typing import Any
from uuid import uuid4

from deploy.sandbox.hospitals import LAKESIDE
from deploy.sandbox.imaging.studies import CT_CHEST
from profiles import load

CANONICAL = "https://konsil.example/fhir"


def submission(patient: dict[str, Any], study_instance_uid: str = CT_CHEST.study_instance_uid) -> dict[str, Any]:
    """The Bundle for a patient of Lakeside, asking for one study at the outside PACS.  Its order number is new."""
    text = json.dumps(load("examples/submit.json"))
    bundle: dict[str, Any] = json.loads(text.replace("Organization/st-anna", LAKESIDE.organization))
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Patient":
            number = patient["identifier"][0]
            entry["request"]["ifNoneExist"] = f"identifier={number['system']}|{number['value']}"
            kept = ("resourceType", "identifier", "name", "gender", "birthDate")
            entry["resource"] = {name: patient[name] for name in kept}
        if resource["resourceType"] == "ServiceRequest":
            resource["identifier"][0]["value"] = str(uuid4())
        if any(coding["code"] == "imaging-retrieval" for coding in resource.get("code", {}).get("coding", [])):
            resource["input"] = [
                input_of("peer", "st-anna"),
                input_of("study-instance-uid", study_instance_uid),
                input_of("description", "CT chest"),
            ]
    return bundle


def input_of(code: str, value: str) -> dict[str, Any]:
    """One input of a retrieval Task."""
    coding = {"system": f"{CANONICAL}/CodeSystem/task-input", "code": code}
    return {"type": {"coding": [coding]}, "valueString": value}


def task_id(response: dict[str, Any], code: str, bundle: dict[str, Any]) -> str:
    """The id of the Task with that code, from the transaction's answer."""
    for sent, got in zip(bundle["entry"], response["entry"], strict=True):
        codings = sent["resource"].get("code", {}).get("coding", [])
        if sent["resource"]["resourceType"] == "Task" and any(each["code"] == code for each in codings):
            return str(got["response"]["location"].split("Task/")[1].split("/")[0])
    raise AssertionError(f"no Task {code} in the answer")
