"""`$without-case`: of these AuditEvents, those of people who are on no case of the patient.  docs/audit.md

No operation of HL7's. Privacy officers read no cases; the server says of an event that they may read whether who asked
is or was on a case of that patient, and nothing more of it.
"""

from typing import Any

from fhir_server import wire
from fhir_server.access.policy import REVIEWERS
from fhir_server.errors import Forbidden, Invalid
from fhir_server.interactions.operations import Document, Invocation, OperationDefinition
from fhir_server.interactions.operations.parameters import parameter, parameters_resource
from fhir_server.store.case_people import CasePeople, on_cases_of

DEFINITION = "https://konsil.example/fhir/OperationDefinition/without-case"
MOST = 200
OF_ALL_CASES = frozenset({"coordinator", "him", "programme-manager"})
"""Who looks after all cases, and so is on each: not on those of a patient who has none."""


async def run(call: Invocation) -> Document:
    """Give the ids, of those asked for (`event`, separated by commas, 200 at most), that a Practitioner caused who is
    on no case of the patient. Events of others, and about nobody, are not among them.

    Raises Forbidden for anybody but privacy officers and administrators, Invalid.
    """
    ctx = call.ctx
    if not ctx.caller.roles & (REVIEWERS | {"administrator"}):
        raise Forbidden("Who looked without a case is for privacy officers.")
    ids = [each for each in call.parameters.needed("event").split(",") if each]
    if len(ids) > MOST:
        raise Invalid(f"At most {MOST} events are looked at together.")
    own = ctx.store_in(ctx.node.database, ctx.grants)  # what may be read; that it was shown is in the audit already
    events = [wire.loads(version.content or b"{}") for version in await own.many(("AuditEvent", each) for each in ids)]
    people: dict[str, CasePeople] = {}
    found = []
    for event in events:
        person, patient = _person(event), _patient(event)
        if not person or not patient:
            continue
        if patient not in people:
            people[patient] = await on_cases_of(ctx.node.database, patient)
        if not _is_on(people[patient], person, event):
            found.append(event["id"])
    return parameters_resource(*(parameter("event", "Id", each) for each in found))


def _is_on(people: CasePeople, person: str, event: dict[str, Any]) -> bool:
    roles = {
        code.get("code")
        for agent in event["agent"]
        for role in agent.get("role", ())
        for code in role.get("coding", ())
    }
    return person in people.references or (people.any_case and bool(roles & OF_ALL_CASES))


def _person(event: dict[str, Any]) -> str:
    asked = (each["who"].get("reference", "") for each in event.get("agent", ()) if each.get("requestor"))
    return next((each for each in asked if each.startswith("Practitioner/")), "")


def _patient(event: dict[str, Any]) -> str:
    named = (each.get("what", {}).get("reference", "") for each in event.get("entity", ()))
    return next((each.partition("/")[2] for each in named if each.startswith("Patient/")), "")


OPERATIONS = (OperationDefinition("without-case", run, ("AuditEvent",), parameters=("event",), definition=DEFINITION),)
