"""Restrictions as SQL: who sees which row, on both databases."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import and_, insert, literal, select

from fhir_server.access import Terms, restriction, written
from fhir_server.access.algebra import Everything
from fhir_server.access.relations import HL7_TASK_CODE, TASK_CODE
from fhir_server.access.terms import NO_TERMS, Agreement
from fhir_server.caller import Caller
from fhir_server.errors import Forbidden
from fhir_server.search.hashing import hash64
from fhir_server.store.database import Database, connect
from fhir_server.store.models import index_reference, index_token, metadata, resource
from fhir_server.store.visibility import condition, condition_of_patient
from konsil.database import sync_engine

PARAMETERS: dict[tuple[str, str], int] = {}
TREATED = {
    user: Terms((Agreement(Everything(), (f"Task/t{n}",), (f"ServiceRequest/s{n}",)),))
    for user, n in (("ito", 1), ("other", 3))
}

# type/id -> (patient, organization, quarantined); the hospital "anna" has patients p1 and p2, "bert" has p3; p4 is
# of the ward of a department of "anna", which a circle makes part of itself
ROWS: dict[str, tuple[str | None, str | None, bool]] = {
    "Patient/p1": ("p1", "anna", False),
    "Patient/p2": ("p2", "anna", False),
    "Patient/p3": ("p3", "bert", False),
    "Patient/outside": ("outside", None, True),
    "ServiceRequest/s1": ("p1", "anna", False),
    "ServiceRequest/s2": ("p2", "anna", False),
    "ServiceRequest/s3": ("p3", "bert", False),
    "Task/t1": ("p1", "anna", False),
    "Task/t2": ("p2", "anna", False),
    "Task/t3": ("p3", "bert", False),
    "Task/get1": ("p1", "anna", False),
    "Task/check1": ("p1", "anna", False),
    "Condition/c1": ("p1", "anna", False),
    "Condition/c1-not-named": ("p1", "anna", False),
    "Condition/c3": ("p3", "bert", False),
    "DiagnosticReport/first": ("p1", "anna", False),
    "Observation/lab": ("p1", "anna", False),
    "ImagingStudy/released": ("p1", None, False),
    "ImagingStudy/waiting": ("outside", None, True),
    "Endpoint/e1": (None, None, False),
    "DiagnosticReport/opinion": ("p1", "anna", False),
    "Observation/concordance": ("p1", "anna", False),
    "Communication/of-case": ("p1", "anna", False),
    "Communication/of-earlier-case": ("p1", "anna", False),
    "Binary/b1": (None, "anna", False),
    "Provenance/of-opinion": (None, None, False),
    "Provenance/of-waiting": (None, None, False),
    "Practitioner/ito": (None, None, False),
    "AuditEvent/a1": ("p1", "anna", False),
    "Patient/p4": ("p4", "ward", False),
    "Condition/c4": ("p4", "ward", False),
    "Organization/anna": (None, None, False),
    "Organization/department": (None, None, False),
    "Organization/ward": (None, None, False),
}
LINKS = [
    ("Task/t1", "focus", "ServiceRequest/s1"),
    ("Task/t2", "focus", "ServiceRequest/s2"),
    ("Task/t3", "focus", "ServiceRequest/s3"),
    ("Task/t1", "owner", "Practitioner/ito"),
    ("Task/t2", "owner", "Practitioner/ito"),
    ("Task/t3", "owner", "Practitioner/other"),
    ("Task/get1", "part-of", "Task/t1"),
    ("Task/check1", "part-of", "Task/t1"),
    ("ServiceRequest/s1", "subject", "Patient/p1"),
    ("ServiceRequest/s2", "subject", "Patient/p2"),
    ("ServiceRequest/s3", "subject", "Patient/p3"),
    ("ServiceRequest/s1", "supporting-info", "DiagnosticReport/first"),
    ("ServiceRequest/s1", "supporting-info", "ImagingStudy/waiting"),
    ("ServiceRequest/s1", "supporting-info", "Condition/c3"),
    ("ServiceRequest/s1", "reason-reference", "Condition/c1"),
    ("Task/t1", "task-input", "ImagingStudy/released"),
    ("ImagingStudy/released", "endpoint", "Endpoint/e1"),
    ("DiagnosticReport/first", "result", "Observation/lab"),
    ("DiagnosticReport/opinion", "based-on", "ServiceRequest/s1"),
    ("Communication/of-case", "based-on", "ServiceRequest/s1"),
    ("Communication/of-case", "based-on", "Task/t1"),
    ("Communication/of-earlier-case", "based-on", "ServiceRequest/s1"),
    ("DiagnosticReport/opinion", "result", "Observation/concordance"),
    ("Binary/b1", "security-context", "DiagnosticReport/first"),
    ("Provenance/of-opinion", "target", "DiagnosticReport/opinion"),
    ("Provenance/of-waiting", "target", "ImagingStudy/waiting"),
    ("Organization/department", "partof", "Organization/anna"),
    ("Organization/ward", "partof", "Organization/department"),
    ("Organization/department", "partof", "Organization/ward"),
]
TOKENS = [
    ("Task/t1", "code", HL7_TASK_CODE, "fulfill"),
    ("Task/t2", "code", HL7_TASK_CODE, "fulfill"),
    ("Task/t3", "code", HL7_TASK_CODE, "fulfill"),
    ("Task/get1", "code", TASK_CODE, "imaging-retrieval"),
    ("Task/check1", "code", TASK_CODE, "reconciliation"),
    ("Task/t1", "status", "http://hl7.org/fhir/task-status", "accepted"),
    ("Task/t2", "status", "http://hl7.org/fhir/task-status", "requested"),
    ("Task/t3", "status", "http://hl7.org/fhir/task-status", "accepted"),
    ("Condition/c1", "category", "http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item"),
]
QUARANTINED = {"Patient/outside", "ImagingStudy/waiting", "Provenance/of-waiting", "Task/check1"}
NUMBERS = {key: number for number, key in enumerate(ROWS, 1)}


def parameter(resource_type: str, code: str) -> int:
    return PARAMETERS.setdefault((resource_type, code), len(PARAMETERS) + 1)


async def fill(database: Database) -> None:
    async with database.transaction() as transaction:
        for key, (patient, organization, quarantined) in ROWS.items():
            resource_type, _, resource_id = key.partition("/")
            row = {"row_id": NUMBERS[key], "resource_type": resource_type, "resource_id": resource_id}
            state = {"patient": patient, "organization": organization, "quarantined": quarantined}
            times = {
                "version_id": 1,
                "last_updated": 1,
                "moment": 1,
                "identity_hash": hash64(resource_type, resource_id),
            }
            await transaction.execute(insert(resource).values(row | state | times))
        for key, code, target in LINKS:
            target_type, _, target_id = target.partition("/")
            values = {"target_type": target_type, "target_id": target_id, "target_hash": hash64(target_type, target_id)}
            await transaction.execute(insert(index_reference).values(_index(key, code) | values))
        for key, code, system, value in TOKENS:
            values = {"system": system, "code": value, "code_hash": hash64(value)}
            await transaction.execute(insert(index_token).values(_index(key, code) | values))


def _index(key: str, code: str) -> dict[str, object]:
    return {"row_id": NUMBERS[key], "parameter": parameter(key.partition("/")[0], code), "moment": 1}


class World:
    """A filled database and who sees what in it."""

    def __init__(self, url: str) -> None:
        engine = sync_engine(url)
        metadata.create_all(engine)
        engine.dispose()
        self.runner = asyncio.Runner()
        self.database = self.runner.run(connect(url))
        self.runner.run(fill(self.database))

    def seen(
        self, caller: Caller, interaction: str = "search", *, after: bool = False, patient: str | None = None
    ) -> set[str]:
        """Every row of every type that the caller may touch by the interaction; with a patient those about the patient,
        by the statement that looks at these alone.
        """
        found = set()
        for resource_type in {key.partition("/")[0] for key in ROWS}:
            try:
                allowed = (written if after else restriction)(
                    caller, interaction, resource_type, TREATED.get(caller.subject, NO_TERMS)
                )  # type: ignore[arg-type]
            except Forbidden:
                continue
            where = condition(allowed, resource, parameter)
            if patient is not None:
                of_patient = condition_of_patient(allowed, parameter, literal(patient, resource.c.patient.type))
                where = and_(resource.c.patient == patient, of_patient)
            rows = self._rows(where, resource_type)
            found |= {f"{row['resource_type']}/{row['resource_id']}" for row in rows}
        return found

    def _rows(self, where, resource_type: str):  # type: ignore[no-untyped-def]
        statement = select(resource.c.resource_type, resource.c.resource_id)
        return self.runner.run(self.database.fetch(statement.where(resource.c.resource_type == resource_type, where)))

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    opened = World(database_url)
    yield opened
    opened.close()


def caller(role: str, user: str = "x", organization: str | None = None, scopes: str = "user/*.cruds") -> Caller:
    return Caller(
        subject=user,
        client_id="client",
        fhir_user=f"Practitioner/{user}",
        roles=frozenset({role}),
        organization=organization,
        scopes=tuple(scopes.split()),
        patient="p1",
    )


WARD = {"Patient/p4", "Condition/c4"}
ANNA = {key for key, (_, organization, _) in ROWS.items() if organization == "anna"} | WARD
CASE_1 = {
    *("Task/t1", "Task/get1", "ServiceRequest/s1", "Patient/p1", "Condition/c1", "DiagnosticReport/first"),
    *("Observation/lab", "ImagingStudy/released", "Endpoint/e1", "DiagnosticReport/opinion"),
    *("Observation/concordance", "Binary/b1", "Provenance/of-opinion", "Communication/of-case"),
}
DIRECTORY = {"Practitioner/ito", "Organization/anna", "Organization/department", "Organization/ward"}


def test_a_consultant_sees_the_own_case_and_what_it_names(world: World) -> None:
    assert world.seen(caller("consultant", "ito")) == CASE_1 | DIRECTORY


def test_another_consultant_sees_another_case(world: World) -> None:
    assert world.seen(caller("consultant", "other")) == {"Task/t3", "ServiceRequest/s3", "Patient/p3"} | DIRECTORY


def test_of_one_patient_the_same_is_seen_by_its_own_statement(world: World) -> None:
    people = [caller("consultant", "ito"), caller("consultant", "other"), caller("radiologist", "ito")]
    people += [caller("requester", "weber", "Organization/anna"), caller("coordinator"), caller("patient")]
    for person in people:
        seen = world.seen(person)
        for patient in ("p1", "p2", "p3", "outside"):
            assert world.seen(person, patient=patient) == {key for key in seen if ROWS[key][0] == patient}


def test_a_requester_sees_the_own_organization_without_reconciliation_and_audit(world: World) -> None:
    expected = (ANNA - {"Task/check1", "AuditEvent/a1"}) | {"Provenance/of-opinion"} | DIRECTORY
    assert world.seen(caller("requester", organization="Organization/anna")) == expected


def test_a_department_sees_its_own_and_no_hospital_but_its_own_sees_it(world: World) -> None:
    for organization, expected in (("department", WARD), ("ward", WARD), ("bert", {"Patient/p3"})):
        seen = world.seen(caller("requester", organization=f"Organization/{organization}")) - DIRECTORY
        assert seen == expected if expected is WARD else "Patient/p3" in seen and not seen & WARD


def test_a_requester_without_organization_sees_the_directory_only(world: World) -> None:
    assert world.seen(caller("requester")) == DIRECTORY


def test_a_coordinator_sees_every_case_outside_quarantine(world: World) -> None:
    assert world.seen(caller("coordinator")) == set(ROWS) - QUARANTINED - {"AuditEvent/a1"}


def test_him_staff_see_quarantine_too(world: World) -> None:
    assert world.seen(caller("him")) == set(ROWS) - {"AuditEvent/a1"}


def test_an_administrator_sees_everything(world: World) -> None:
    assert world.seen(caller("administrator")) == set(ROWS)


def test_a_system_sees_quarantine_only_where_it_may_publish_studies(world: World) -> None:
    assert world.seen(caller("system", scopes="system/*.rs")) == set(ROWS) - QUARANTINED - {"AuditEvent/a1"}
    assert world.seen(caller("system", scopes="system/*.rs system/ImagingStudy.cu")) == set(ROWS) - {"AuditEvent/a1"}


def test_a_patient_launch_is_kept_to_the_compartment(world: World) -> None:
    token = caller("requester", organization="Organization/anna", scopes="patient/*.rs")
    expected = {key for key in ANNA if ROWS[key][0] == "p1"} - {"Task/check1", "AuditEvent/a1"}
    assert world.seen(token) == expected | DIRECTORY


def test_a_granular_scope_filters(world: World) -> None:
    scope = "user/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item"
    assert world.seen(caller("coordinator", scopes=scope)) == {"Condition/c1"} | DIRECTORY


def test_a_user_scope_is_nothing_to_a_machine_and_a_system_scope_nothing_to_a_person(world: World) -> None:
    assert world.seen(caller("system", scopes="user/*.rs")) == DIRECTORY
    assert world.seen(caller("coordinator", scopes="system/*.rs")) == DIRECTORY


def test_a_consultant_updates_the_own_case_only_and_may_let_it_go(world: World) -> None:
    ito = caller("consultant", "ito")
    assert world.seen(ito, "update") == {"Task/t1", "DiagnosticReport/opinion"}
    assert {"Task/t1", "Task/t2"} <= world.seen(ito, "update", after=True)


def test_messages_are_sent_and_never_changed(world: World) -> None:
    anna = caller("requester", organization="Organization/anna")
    assert "Communication/of-case" in world.seen(caller("consultant", "ito"), "create")
    assert "Communication/of-earlier-case" not in world.seen(caller("consultant", "ito"), "create")
    for each in (
        caller("consultant", "ito"),
        caller("consultant", "other"),
        anna,
        caller("coordinator"),
        caller("him"),
    ):
        assert not {one for one in world.seen(each, "update") if one.startswith("Communication/")}
    assert "Communication/of-case" in world.seen(anna, "create")
    assert "Communication/of-case" not in world.seen(caller("requester", organization="Organization/bert"), "create")
    assert "Communication/of-case" not in world.seen(caller("consultant", "other"), "create")


def test_nobody_but_systems_and_administrators_deletes(world: World) -> None:
    for role in ("requester", "consultant", "him", "coordinator", "patient", "interface-engine", "radiologist"):
        assert world.seen(caller(role, organization="Organization/anna"), "delete") == set()
