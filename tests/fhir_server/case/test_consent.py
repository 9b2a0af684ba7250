"""A Consent decides at each request: who gets the records of a case, which of them, until when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhir_server.auth import records
from fhir_server.auth.provision import Document
from fhir_server.auth.provision import provision as provision_server
from tests.fhir_server.auth.world import PASSWORD
from tests.fhir_server.case import quarantine
from tests.fhir_server.case.town import Resource, Town, state

pytestmark = pytest.mark.anyio
Made = dict[str, list[str]]
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ITO = "Practitioner/ito"


async def reading(town: Town) -> Made:
    """A case with its study that Dr. Ito reads."""
    made = await town.submit()
    await quarantine.publish(town, made)
    await quarantine.decide(town, "accept")
    await quarantine.release(town, made)
    assert (await town.offer(made["Task"][0])).status_code == 200
    await town.begin_reading(made["Task"][0])
    return made


async def agree(town: Town, made: Made, **elements: Any) -> None:
    """The requester changes the Consent of the case."""
    (consent,) = made["Consent"]
    answer = await town.write("weber", await town.read("weber", consent), **elements)
    assert answer.status_code == 200, answer.text


def provision(kind: str, *parts: Resource, **elements: Any) -> Resource:
    return {"type": kind, **elements, **({"provision": list(parts)} if parts else {})}


def recipient(reference: str) -> list[Resource]:
    role = {"coding": [{"system": PARTICIPATION, "code": "IRCP"}]}
    return [{"role": role, "reference": {"reference": reference}}]


def coding(system: str, *codes: str) -> list[Resource]:
    return [{"system": system, "code": code} for code in codes]


def day(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


async def sees(town: Town, made: Made, who: str = "ito") -> set[str]:
    """Types of what the person sees of the case by search, each of which a read gives too, or neither does."""
    seen = set()
    for resource_type in ("Patient", "ServiceRequest", "Condition", "DiagnosticReport", "Consent", "ImagingStudy"):
        named = {*made.get(resource_type, []), *(["ImagingStudy/study-1"] if resource_type == "ImagingStudy" else [])}
        found = await town.seen(who, resource_type) & named
        read = {one for one in named if (await town.ask(who, "GET", f"/{one}")).status_code == 200}
        assert found == read, resource_type
        seen |= {resource_type} if found else set()
    return seen


EVERYTHING = {"Patient", "ServiceRequest", "Condition", "DiagnosticReport", "Consent", "ImagingStudy"}


OTHER_PURPOSE = coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HRESCH")
ENDS: tuple[Resource, ...] = (
    {"status": "inactive"},
    {"provision": provision("permit", period={"start": day(-30), "end": day(-1)})},
    {"provision": provision("permit", period={"start": day(1)})},
    {"provision": provision("deny")},
    {"provision": provision("permit", purpose=OTHER_PURPOSE)},
    {"provision": provision("permit", actor=recipient("Practitioner/lopez"))},
    {"provision": provision("permit", provision("deny", actor=recipient(ITO)))},
    {"status": "entered-in-error"},
)


async def test_what_is_withdrawn_is_gone_at_once_with_its_imaging(town: Town) -> None:
    """The images are what the gateway finds by this very search with the caller's token."""
    made = await reading(town)
    before = await town.read("weber", made["Consent"][0])
    study = "ImagingStudy?identifier=urn:dicom:uid|urn:oid:2.25.1"
    for end in ENDS:
        assert await sees(town, made) == EVERYTHING
        assert await said(town, study) == []
        await agree(town, made, **end)
        assert await sees(town, made) == set(), end
        assert await town.seen("ito", study) == set(), end
        assert await said(town, study), end
        if end != ENDS[-1]:
            await agree(town, made, status="active", provision=before["provision"])
    await no_door_is_open(town, made)
    for query in ("ImagingStudy", "Condition?code=x", "Task?_summary=count"):
        assert await said(town, query) == [
            "Cases of yours whose records no Consent or treatment basis releases now: 1."
        ], query
    assert await sees(town, made, "weber") == EVERYTHING
    assert await sees(town, made, "silva") == EVERYTHING


async def said(town: Town, query: str) -> list[str]:
    """What a searchset says about what is withheld from Dr. Ito."""
    entries = (await town.ask("ito", "GET", f"/{query}")).json().get("entry", [])
    outcomes = [one["resource"] for one in entries if one["resource"]["resourceType"] == "OperationOutcome"]
    return [one["issue"][0]["diagnostics"] for one in outcomes if one["issue"][0]["code"] == "suppressed"]


async def no_door_is_open(town: Town, made: Made) -> None:
    """Dr. Ito knows of the case, and of nothing in it."""
    case = made["Task"][0]
    for query in ("_history", "Task?code=fulfill&_include=Task:focus&_include=Task:patient", "Condition/_history"):
        seen = await town.seen("ito", query)
        assert {one for one in seen if one.split("/")[0] not in {"Practitioner", "Organization"}} <= {case}, query
    assert (await town.ask("ito", "GET", f"/{case}")).status_code == 200
    for path in (f"{made['Patient'][0]}/$everything", f"{made['Condition'][0]}/_history/1"):
        assert (await town.ask("ito", "GET", f"/{path}")).status_code in {403, 404}
    for query in ("Task?patient.family=Lindqvist", "Practitioner?_has:Task:owner:patient.family=Lindqvist"):
        answer = await town.ask("ito", "GET", f"/{query}&_summary=count")
        assert answer.json().get("total") == 0, answer.text


async def test_a_consent_that_the_case_names_later_renews_it(town: Town) -> None:
    made = await reading(town)
    await agree(town, made, status="inactive")
    old = await town.read("silva", made["Consent"][0])
    new = {name: value for name, value in old.items() if name not in {"meta", "identifier"}} | {
        "id": "renewed",
        "status": "active",
    }
    assert (await town.ask("weber", "PUT", "/Consent/renewed", new)).status_code == 201
    assert await sees(town, made) == set(), "it is not what this case rests on"
    case = await town.read("silva", made["Task"][0])
    named = {"type": {"text": "Renewed consent"}, "valueReference": {"reference": "Consent/renewed"}}
    assert (await town.write("silva", case, input=[*case["input"], named])).status_code == 200
    assert "Condition" in await sees(town, made)


async def test_exceptions_by_class_data_and_recipient(town: Town) -> None:
    made = await reading(town)
    study = {"meaning": "instance", "reference": {"reference": "ImagingStudy/study-1"}}
    for parts, hidden in (
        ([provision("deny", **{"class": coding(RESOURCE_TYPES, "ImagingStudy")})], {"ImagingStudy"}),
        ([provision("deny", data=[study])], {"ImagingStudy"}),
        ([provision("deny", data=[study], actor=recipient("Practitioner/lopez"))], set()),
        ([provision("deny", provision("permit", actor=recipient(ITO)))], set()),
        (
            [provision("deny", **{"class": coding(RESOURCE_TYPES, "Condition", "DiagnosticReport")})],
            {"Condition", "DiagnosticReport"},
        ),
    ):
        await agree(town, made, provision=provision("permit", *parts))
        assert await sees(town, made) == EVERYTHING - hidden, parts
        assert await said(town, "Patient") or not hidden
    only = provision("permit", **{"class": coding(RESOURCE_TYPES, "ImagingStudy")})
    await agree(town, made, provision=only)
    assert await sees(town, made) == {"Patient", "ServiceRequest", "ImagingStudy"}


async def test_whoever_the_patient_names_is_kept_out_of_the_own_hospital_too(town: Town) -> None:
    """A deny that names nobody binds recipients; one that names a person, role or team binds that person anywhere."""
    made = await reading(town)
    role = {
        "resourceType": "PractitionerRole",
        "id": "weber-at-st-anna",
        "practitioner": {"reference": "Practitioner/weber"},
    }
    await agree(
        town, made, provision=provision("permit", provision("deny", actor=recipient(f"PractitionerRole/{role['id']}")))
    )
    assert await sees(town, made, "weber") == EVERYTHING
    await records.put(town.world.node, records.registrar(None), [role])
    assert await sees(town, made, "weber") == set()
    assert await sees(town, made, "silva") == EVERYTHING
    assert await sees(town, made, "ito") == EVERYTHING


async def test_a_label_is_shown_where_the_consent_names_it(town: Town) -> None:
    made = await reading(town)
    (condition, *_) = made["Condition"]
    told = await town.read("silva", condition)
    label = coding(ACT_CODE, "PSY")
    answer = await town.write("weber", told, meta={**told["meta"], "security": label})
    assert answer.status_code == 200, answer.text
    everybody = ("weber", "silva", "engine")
    for who in everybody:
        assert (await town.ask(who, "GET", f"/{condition}")).status_code == 200, who
    for who in ("okafor", "ito"):
        for path in (condition, f"{condition}/_history/2"):
            assert (await town.ask(who, "GET", f"/{path}")).status_code == 404, who
        for query in (f"Condition?_id={condition.partition('/')[2]}", "Condition?_security=PSY", "Condition/_history"):
            assert condition not in await town.seen(who, query), (who, query)
    await agree(town, made, provision=provision("permit", provision("permit", securityLabel=label)))
    assert (await town.ask("ito", "GET", f"/{condition}")).status_code == 200
    assert (await town.ask("okafor", "GET", f"/{condition}")).status_code == 404
    await agree(town, made, provision=provision("permit", provision("permit", securityLabel=coding(ACT_CODE, "HIV"))))
    assert (await town.ask("ito", "GET", f"/{condition}")).status_code == 404


async def test_a_treatment_basis_is_never_enough_for_a_label(town: Town) -> None:
    made = await reading(town)
    (request,) = made["ServiceRequest"]
    await agree(town, made, status="inactive")
    attested = {
        "resourceType": "Provenance",
        "target": [{"reference": request}],
        "recorded": "2026-11-21T10:00:00Z",
        "policy": ["https://www.ecfr.gov/current/title-45/section-164.506#p-164.506(c)"],
        "reason": [{"coding": coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT")}],
        "agent": [{"who": {"reference": "Practitioner/weber"}}],
    }
    assert (await town.ask("weber", "POST", "/Provenance", attested)).status_code == 201
    assert await sees(town, made) == EVERYTHING
    for condition in made["Condition"]:
        told = await town.read("silva", condition)
        security = coding(ACT_CODE, "SUD")
        assert (await town.write("weber", told, meta={**told["meta"], "security": security})).status_code == 200
    assert await sees(town, made) == EVERYTHING - {"Condition"}


async def test_without_a_basis_a_case_is_not_given_on(town: Town) -> None:
    made = await town.submit()
    await agree(town, made, status="inactive")
    answer = await town.offer(made["Task"][0])
    assert answer.status_code == 422
    assert "Rule 3" in answer.text
    await agree(town, made, status="active")
    assert (await town.offer(made["Task"][0])).status_code == 200
    await agree(town, made, status="inactive")
    answer = await town.change("ito", made["Task"][0], status="accepted", businessStatus=state("assigned"))
    assert answer.status_code == 422


async def test_an_organization_stands_for_its_departments(town: Town) -> None:
    """A Consent that names a hospital names who works in a department of a department of it, and nobody else's."""
    made = await reading(town)
    departments = [
        {"resourceType": "Organization", "id": "surgery", "name": "S", "partOf": {"reference": "Organization/bert"}},
        {"resourceType": "Organization", "id": "neuro", "name": "N", "partOf": {"reference": "Organization/surgery"}},
        {
            "resourceType": "PractitionerRole",
            "id": "ito-at-neuro",
            "practitioner": {"reference": ITO},
            "organization": {"reference": "Organization/neuro"},
        },
    ]
    to_bert = provision("permit", actor=recipient("Organization/bert"))
    await agree(town, made, provision=to_bert)
    assert await sees(town, made) == set()
    await records.put(town.world.node, records.registrar(None), departments)
    assert await sees(town, made) == EVERYTHING
    await agree(town, made, provision=provision("permit", provision("deny", actor=recipient("Organization/surgery"))))
    assert await sees(town, made) == set()
    await agree(town, made, provision=provision("permit", actor=recipient("Organization/st-anna")))
    assert await sees(town, made) == set()
    circle = {"resourceType": "Organization", "id": "bert", "name": "bert", "active": True}
    around = circle | {"partOf": {"reference": "Organization/neuro"}}
    await records.put(town.world.node, records.registrar(None), [around])
    await agree(town, made, provision=to_bert)
    assert await sees(town, made) == EVERYTHING, "and a circle ends"


async def comes(town: Town, name: str, patient: str) -> None:
    """A patient gets an account and a token."""
    account = {"username": name, "password": PASSWORD, "name": name.title(), "roles": ["patient"], "fhir_user": patient}
    await provision_server(town.world.node, Document.model_validate({"accounts": [account]}))
    await town.world.sign_in_again(name)
    code = await town.world.code(scope="launch/patient openid fhirUser patient/*.cruds")
    town.tokens[name] = (await town.world.redeem(code)).json()["access_token"]


async def test_a_patient_withdraws_a_release_and_can_change_nothing_else(town: Town) -> None:
    made = await reading(town)
    (consent,), own = made["Consent"], made["Patient"][0]
    await records.put(town.world.node, records.registrar(None), [{"resourceType": "Patient", "id": "stranger"}])
    await comes(town, "mei", own)
    await comes(town, "stranger", "Patient/stranger")
    before = await town.read("mei", consent)
    labelled = before["meta"] | {"security": coding(ACT_CODE, "PSY")}
    for more in (
        {"provision": provision("permit")},
        {"status": "inactive", "provision": provision("permit")},
        {"status": "inactive", "meta": labelled},
        {"status": "entered-in-error"},
    ):
        answer = await town.write("mei", before, **more)
        assert answer.status_code == 422 and "Rule 3 of the case" in answer.text, (more, answer.text)
    away = await town.write("mei", before, status="inactive", patient={"reference": "Patient/stranger"})
    assert away.status_code == 403
    made_up = {name: value for name, value in before.items() if name != "id"}
    assert (await town.ask("mei", "POST", "/Consent", made_up)).status_code == 403
    assert (await town.ask("mei", "DELETE", f"/{consent}")).status_code == 403
    assert (await town.write("stranger", before, status="inactive")).status_code in {403, 404}
    assert await sees(town, made) == EVERYTHING
    withdrawn = await town.write("mei", before, status="inactive")
    assert withdrawn.status_code == 200, withdrawn.text
    assert await sees(town, made) == set()
    assert await sees(town, made, "weber") == EVERYTHING
    assert (await town.write("mei", withdrawn.json(), status="active")).status_code == 422
    version = f"{consent}/_history/{withdrawn.json()['meta']['versionId']}"
    vouched = (await town.ask("silva", "GET", f"/Provenance?target={consent}")).json()["entry"]
    agents = [one["resource"]["agent"] for one in vouched if one["resource"]["target"][0]["reference"] == version]
    assert [agent[0]["who"]["reference"] for agent in agents] == [own]
    seen = (await town.ask("sorensen", "GET", f"/AuditEvent?entity={consent}&action=U")).json()["entry"]
    assert any(each["who"].get("reference") == own for one in seen for each in one["resource"]["agent"])


async def test_a_patient_lifts_no_denial(town: Town) -> None:
    made = await reading(town)
    await comes(town, "mei", made["Patient"][0])
    await agree(town, made, provision=provision("deny", actor=recipient(ITO)))
    denial = await town.read("mei", made["Consent"][0])
    assert (await town.write("mei", denial, status="inactive")).status_code == 422
