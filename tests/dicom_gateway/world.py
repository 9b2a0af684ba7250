"""A real fhir_server with a case in it, a gateway that knows it, and the people around them."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import ECKey

from dicom_gateway.gateway import Gateway, open_gateway
from dicom_gateway.jobs import GatewayRunner
from dicom_gateway.publish.exchange import AUDIT_SCOPE, DOCUMENT_SCOPE, SCOPE
from dicom_gateway.settings import Settings
from fhir_server.app import create_app, open_node
from fhir_server.auth import opaque, tokens
from fhir_server.auth.provision import Document, provision
from fhir_server.caller import Caller
from fhir_server.settings import Settings as FhirSettings
from fhir_server.store import auth_grants, auth_registry
from fhir_server.store.auth_values import Account, LaunchContext
from fhir_server.store.database import Database
from tests.dicom_gateway.web.serving import serving

C = "https://konsil.example/fhir"
CODES = f"{C}/CodeSystem"
TASK = "http://hl7.org/fhir/CodeSystem/task-code"
HOSPITAL, ELSEWHERE, PROGRAMME = "Organization/lakeside", "Organization/elsewhere", "Organization/programme"
MRN = "urn:oid:2.999.1"
Resource = dict[str, Any]


def person(role: str, user: str) -> Caller:
    """Somebody with a token; the token is the name."""
    organization = {"weber": HOSPITAL, "elsewhere": ELSEWHERE}.get(user, PROGRAMME)
    return Caller(user, "konsil-app", f"Practitioner/{user}", frozenset({role}), organization, ("user/*.cruds",))


PEOPLE = {
    caller.subject: caller
    for caller in (
        person("requester", "weber"),
        person("him", "silva"),
        person("coordinator", "okafor"),
        person("consultant", "ito"),
        person("consultant", "stranger"),
        person("requester", "elsewhere"),
        person("administrator", "ross"),
        replace(person("administrator", "vance"), scopes=("user/*.cruds", "administration")),
    )
}
ADMINISTRATOR = Caller("root", "tests", None, frozenset({"administrator"}), PROGRAMME, ("system/*.cruds",))


def coded(system: str, code: str) -> Resource:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code}]}


@dataclass
class World:
    """The server, the gateway, and who speaks."""

    fhir: str
    gateway: Gateway
    runner: GatewayRunner
    client: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=30))

    def call(self, who: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request as somebody."""
        sent = {"Authorization": f"Bearer {who}", "Content-Type": "application/fhir+json", **headers}
        content = None if body is None else json.dumps(body)
        return self.client.request(method, f"{self.fhir}/fhir/{path}", headers=sent, content=content)

    def read(self, reference: str, who: str = "root") -> Resource:
        """A resource, as the administrator if nobody else is named."""
        answer = self.call(who, "GET", reference)
        assert answer.status_code == 200, answer.text
        found: Resource = answer.json()
        return found

    def search(self, query: str, who: str = "root") -> list[Resource]:
        """The matches of a search."""
        answer = self.call(who, "GET", query)
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    def change(self, who: str, reference: str, **values: Any) -> Resource:
        """Read, change, write."""
        resource = {**self.read(reference, who), **values}
        answer = self.call(who, "PUT", reference, resource, **{"If-Match": f'W/"{resource["meta"]["versionId"]}"'})
        assert answer.status_code == 200, answer.text
        found: Resource = answer.json()
        return found

    def work(self, until: Callable[[], bool], rounds: int = 200) -> None:
        """Let the worker run until something is so."""
        for _ in range(rounds):
            self.runner.run_due()
            if until():
                return
            time.sleep(0.05)
        raise AssertionError("the worker did not get there")


def fhir_settings(folder: Path, base: str) -> FhirSettings:
    """The FHIR server of a test."""
    url = f"sqlite:///{folder}/fhir.db"
    return FhirSettings(database_url=url, data_dir=folder / "fhir", base_url=base)


async def authenticate(database: Database, token: str) -> Caller:
    """The administrator by name, everybody else by their token."""
    return ADMINISTRATOR if token == ADMINISTRATOR.subject else await tokens.resolve(database, token)


def document(key: ECKey) -> Document:
    """Organizations, people, the patient, and the gateway's client."""
    client = {
        "client_id": "konsil-gateway",
        "name": "gateway",
        "jwks": {"keys": [key.as_dict(private=False)]},
        "scopes": f"{SCOPE} {AUDIT_SCOPE} {DOCUMENT_SCOPE}",
        "role": "system",
    }
    practitioners = [
        {"resourceType": "Practitioner", "id": name, "name": [{"family": name.title()}]} for name in PEOPLE
    ]
    organizations = [
        {"resourceType": "Organization", "id": reference.split("/")[1], "name": reference.split("/")[1].title()}
        for reference in (HOSPITAL, ELSEWHERE, PROGRAMME)
    ]
    app = {"client_id": "konsil-app", "name": "app", "type": "public", "scopes": "user/*.cruds"}
    everything = {"resources": [*organizations, *practitioners], "clients": [client, app]}
    return Document.model_validate(everything | {"organization": PROGRAMME})


async def fill(settings: FhirSettings, key: ECKey) -> None:
    """Provision an empty server."""
    async with open_node(settings) as node:
        await provision(node, document(key))
        await sign_in(node.database, PEOPLE.values())


async def sign_in(database: Database, people: Iterable[Caller]) -> None:
    """A live token for each of these people: their name."""
    now = time.time()
    for caller in people:
        name, roles = caller.subject, caller.roles
        represents = caller.fhir_user if "proxy" in roles else None
        account = Account(name, name.title(), roles, caller.organization, caller.fhir_user, name)
        row = {
            "token_hash": opaque.digest(name),
            "kind": "access",
            "grant_id": name,
            "client_id": "konsil-app",
            "account_id": name,
            "scope": " ".join(caller.scopes),
            "context_json": LaunchContext(caller.patient, related_person=represents).to_json(),
            "signed_in_at": now,
            "issued_at": now,
            "expires_at": now + 3600,
        }
        async with database.transaction() as transaction:
            await auth_registry.put_local_account(transaction, account, None)
            await auth_grants.add_token(transaction, row)


PATIENT: Resource = {
    "resourceType": "Patient",
    "identifier": [
        {"type": coded("http://terminology.hl7.org/CodeSystem/v2-0203", "MR"), "system": MRN, "value": "L-1"}
    ],
    "name": [{"family": "Muster", "given": ["Anna", "Maria"]}],
    "birthDate": "1971-02-03",
    "gender": "female",
}


def submission(patient: str, study: str, peer: str = "outside") -> Resource:
    """A case with one study to fetch, as the app submits it."""
    requester = {"reference": "Practitioner/weber"}
    subject = {"reference": patient}
    request = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": coded(f"{CODES}/product", "written-opinion"),
        "subject": subject,
        "requester": requester,
    }
    case = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": coded(TASK, "fulfill"),
        "businessStatus": coded(f"{CODES}/business-status", "submitted"),
        "focus": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"},
        "for": subject,
        "requester": requester,
    }
    basis = {
        "resourceType": "Provenance",
        "target": [{"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}],
        "recorded": "2026-01-01T10:00:00Z",
        "reason": [coded("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT")],
        "policy": ["https://www.ecfr.gov/current/title-45/part-164/section-164.506"],
        "agent": [{"who": requester}],
    }
    fetch = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": coded(f"{CODES}/task-code", "imaging-retrieval"),
        "partOf": [{"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"}],
        "focus": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"},
        "for": subject,
        "requester": requester,
        "input": [
            {"type": coded(f"{CODES}/task-input", "peer"), "valueString": peer},
            {"type": coded(f"{CODES}/task-input", "study-instance-uid"), "valueString": study},
            {"type": coded(f"{CODES}/task-input", "description"), "valueString": "CT chest"},
        ],
    }
    entries = [
        {
            "fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000000{number}",
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for number, resource in enumerate((request, case, basis, fetch), 1)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@contextmanager
def world(folder: Path, **settings: Any) -> Iterator[World]:
    """Everything up, until the block ends."""
    key = ECKey.generate_key("P-384", {"kid": "gateway", "use": "sig"})
    (folder / "key.json").write_text(json.dumps(key.as_dict(private=True)))

    def make(base: str) -> Any:
        asyncio.run(fill(fhir_settings(folder, base), key))
        return create_app(fhir_settings(folder, base), authenticate)

    with serving(make) as base:
        values = {
            "data_dir": folder / "dicom",
            "database_url": f"sqlite:///{folder}/dicom.db",
            "dimse_port": 0,
            "fhir_base_url": f"{base}/fhir",
            "fhir_token_url": f"{base}/oauth/token",
            "fhir_key_file": folder / "key.json",
            "poll_seconds": 0.1,
            "settle_seconds": 1,
            "id_domains": {MRN: "LAKESIDE"},
            **settings,
        }
        gateway = open_gateway(Settings(**values))
        found = World(base, gateway, GatewayRunner(gateway))
        try:
            yield found
        finally:
            found.client.close()
            found.runner.close()
            gateway.ingest.close()
            gateway.engine.dispose()


def open_case(world: World, study: str) -> dict[str, str]:
    """Patient and case in the server: references by name."""
    made = world.call("weber", "POST", "Patient", PATIENT)
    assert made.status_code == 201, made.text
    patient = f"Patient/{made.json()['id']}"
    answer = world.call("weber", "POST", "", submission(patient, study))
    assert answer.status_code == 200, answer.text
    references = [place_of(entry) for entry in answer.json()["entry"]]
    return {"patient": patient, "request": references[0], "case": references[1], "retrieval": references[3]}


def place_of(entry: Resource) -> str:
    """`Type/id` of an entry of a transaction's answer."""
    place: str = entry["response"]["location"].split("/_history/")[0]
    return "/".join(place.split("/")[-2:])


def business_status(case: Resource) -> str:
    """Where a case is."""
    return str(case["businessStatus"]["coding"][0]["code"])
