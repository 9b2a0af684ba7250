"""Two hospitals, a consultant's practice and the machines between them, at a real server with real tokens."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

import profiles
from fhir_server.auth.provision import Document, provision
from smart_app.report import bundle, signature
from tests.fhir_server.auth.world import (
    BASE,
    CALLBACK,
    EC_KEY,
    PASSWORD,
    PERSON_SCOPES,
    World,
    empty,
    proof,
    public,
)

PIN = "592746"
C = "https://konsil.example/fhir"
SUBMIT = json.loads((Path(profiles.__file__).parent / "examples" / "submit.json").read_text(encoding="utf-8"))
Resource = dict[str, Any]
PEOPLE = {
    "weber": ("requester", "Organization/st-anna"),
    "brandt": ("requester", "Organization/bert"),
    "okafor": ("coordinator", None),
    "ito": ("consultant", None),
    "lopez": ("consultant", None),
    "silva": ("him", None),
    "sorensen": ("privacy-officer", None),
    "adler": ("requester privacy-officer", "Organization/bert"),
}
MACHINES = {
    "engine": ("interface-engine", "system/*.cruds"),
    "gateway": ("system", "system/Task.cruds system/ImagingStudy.cruds system/Patient.cruds system/Provenance.cruds"),
    "cursor": ("system", "system/*.rs"),
}


def _person(username: str, role: str, organization: str | None) -> Resource:
    practitioner = {"resourceType": "Practitioner", "id": username, "name": [{"family": username.title()}]}
    account = {"username": username, "password": PASSWORD, "name": username.title(), "roles": role.split()}
    account |= {"pin": PIN} if "consultant" in role else {}
    return account | {"practitioner": practitioner} | ({"organization": organization} if organization else {})


def _machine(client_id: str, role: str, scopes: str) -> Resource:
    organization = {"organization": "Organization/st-anna"} if role == "interface-engine" else {}
    client = {"client_id": client_id, "name": client_id, "jwks": public(EC_KEY), "scopes": scopes, "role": role}
    return client | organization


APP = {
    "client_id": "app",
    "name": "The App",
    "redirect_uris": [CALLBACK],
    "jwks": public(EC_KEY),
    "scopes": PERSON_SCOPES,
    "trusted": True,
}
DOCUMENT = {
    "clients": [APP, *(_machine(name, *words) for name, words in MACHINES.items())],
    "accounts": [_person(name, *words) for name, words in PEOPLE.items()],
    "resources": [
        {"resourceType": "Organization", "id": name, "name": name, "active": True} for name in ("st-anna", "bert")
    ],
}


@dataclass
class Town:
    """Everybody's way to the server."""

    world: World
    tokens: dict[str, str] = field(default_factory=dict)

    async def arrive(self) -> None:
        """Get a token for each, the persons by signing in and a code, the machines by their key."""
        for username in PEOPLE:
            await self.world.sign_in_again(username)
            answer = await self.world.redeem(await self.world.code(scope="openid fhirUser user/*.cruds"))
            self.tokens[username] = answer.json()["access_token"]
        for client_id, (_, scopes) in MACHINES.items():
            answer = await self.world.signed(client_id, grant_type="client_credentials", scope=scopes)
            self.tokens[client_id] = answer.json()["access_token"]

    async def ask(
        self, who: str, method: str, path: str, body: Resource | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one request of the FHIR API."""
        authorization = {"Authorization": f"Bearer {self.tokens[who]}"}
        return await self.world.http.request(
            method, f"{BASE}/fhir{path}", json=body, headers={**authorization, **(headers or {})}
        )

    async def read(self, who: str, reference: str) -> Resource:
        """Read what must be there."""
        answer = await self.ask(who, "GET", f"/{reference}")
        assert answer.status_code == 200, answer.text
        resource: Resource = answer.json()
        return resource

    async def seen(self, who: str, query: str) -> set[str]:
        """References of everything in the Bundle that a search or a history gives; nothing if it is forbidden."""
        answer = await self.ask(who, "GET", f"/{query}")
        if answer.status_code in {403, 404}:
            return set()
        assert answer.status_code == 200, answer.text
        found = (entry["resource"] for entry in answer.json().get("entry", []) if "resource" in entry)
        return {f"{one['resourceType']}/{one['id']}" for one in found if one["resourceType"] != "OperationOutcome"}

    async def change(self, who: str, reference: str, **elements: Any) -> httpx.Response:
        """Read, change and write back with If-Match; an element given as None is left out."""
        state = await self.read(who if who in {"silva", "gateway"} else "okafor", reference)
        return await self.write(who, state, **elements)

    async def write(self, who: str, state: Resource, **elements: Any) -> httpx.Response:
        """Write a state as read, changed."""
        new = {name: value for name, value in (state | elements).items() if value is not None}
        match = {"If-Match": f'W/"{state["meta"]["versionId"]}"'}
        return await self.ask(who, "PUT", f"/{state['resourceType']}/{state['id']}", new, match)

    async def transaction(self, who: str, *resources: Resource) -> httpx.Response:
        """PUT several resources in one transaction."""
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in resources
        ]
        return await self.ask(who, "POST", "/", {"resourceType": "Bundle", "type": "transaction", "entry": entries})

    async def proved(self, who: str, report: Resource, **given: str) -> Resource:
        """What the server answers when a person proves who they are for a report, by PIN or as given."""
        form = {"resource": f"DiagnosticReport/{report['id']}", "sha256": signature.digest(report)}
        form |= {"token": self.tokens[who], **(given or {"pin": PIN})}
        answer = await self.world.http.post("/oauth/signing", data=form | proof("app"))
        assert answer.status_code == 200, answer.text
        found: Resource = answer.json()
        return found

    async def signed(self, who: str, unsigned: Resource) -> Resource:
        """A transaction with the signature of a person who proved by PIN who they are."""
        answer = await self.proved(who, bundle.the("DiagnosticReport", unsigned))
        given = signature.Proof(tuple(answer["amr"]), answer["auth_time"])
        signer = signature.Signer(f"Practitioner/{who}", datetime.now(UTC), ["2.25.1.1"], given)
        return bundle.signed(unsigned, signer, EC_KEY)

    async def submit(self, who: str = "engine") -> dict[str, list[str]]:
        """Send the example Bundle; the references of what it made, by type, in its order."""
        answer = await self.ask(who, "POST", "/", SUBMIT)
        assert answer.status_code == 200, answer.text
        made: dict[str, list[str]] = {}
        for entry in answer.json()["entry"]:
            resource_type, resource_id = entry["response"]["location"].split("/")[:2]
            made.setdefault(resource_type, []).append(f"{resource_type}/{resource_id}")
        return made

    async def offer(self, case: str, to: str = "ito") -> httpx.Response:
        """The coordinator offers the case."""
        owner = {"reference": f"Practitioner/{to}"}
        return await self.change("okafor", case, status="received", owner=owner, businessStatus=state("offered"))

    async def begin_reading(self, case: str) -> None:
        """The consultant accepts and opens the case."""
        for status, business in (("accepted", "assigned"), ("in-progress", "in-review")):
            answer = await self.change("ito", case, status=status, businessStatus=state(business))
            assert answer.status_code == 200, answer.text


def state(code: str) -> Resource:
    """A businessStatus."""
    return coded("business-status", code)


def coded(system: str, code: str) -> Resource:
    """A CodeableConcept of ours."""
    return {"coding": [{"system": f"{C}/CodeSystem/{system}", "code": code}]}


@pytest.fixture
async def town(app: Starlette) -> AsyncIterator[Town]:
    """The server, emptied; everybody with a token."""
    await empty(app.state.node.database)
    await provision(app.state.node, Document.model_validate_json(json.dumps(DOCUMENT)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as http:
        town = Town(World(http, app.state.node, "", "", {}))
        await town.arrive()
        yield town
