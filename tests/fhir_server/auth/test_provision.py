import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from sqlalchemy import select

from fhir_server.audit.batch import events_of
from fhir_server.auth import accounts, records, tokens
from fhir_server.auth.provision import Document, provision
from fhir_server.cli import fhir
from fhir_server.store import auth_registry
from fhir_server.store.models import audit, resource
from tests.fhir_server.auth.world import DOCUMENT, EC_KEY, PASSWORD, World, public
from tests.fhir_server.auth.world import document as whole

pytestmark = pytest.mark.anyio
PRACTITIONER = {"resourceType": "Practitioner", "id": "lee", "name": [{"text": "Dr. Lee"}]}
ACCOUNT = {"username": "lee", "password": PASSWORD, "name": "Dr. Lee", "roles": ["consultant"]}


async def run(world: World, **document: Any) -> dict[str, int]:
    return await provision(world.node, Document.model_validate(document))


async def version(world: World, reference: str) -> str:
    resource_type, id_ = reference.split("/")
    [found] = await records.search(world.node, records.registrar(None), resource_type, {"_id": id_})
    return str(found["meta"]["versionId"])


async def test_running_again_changes_only_what_the_file_changed(world: World) -> None:
    account = ACCOUNT | {"practitioner": PRACTITIONER}
    await run(world, accounts=[account])
    first = await accounts.authenticate(world.node.database, "lee", PASSWORD, time.time())
    assert first is not None
    assert first.fhir_user == "Practitioner/lee"
    await run(world, accounts=[account])
    assert await version(world, "Practitioner/lee") == "1"
    changed = account | {"practitioner": PRACTITIONER | {"active": True}, "roles": ["him"], "password": None}
    await run(world, accounts=[changed])
    again = await accounts.authenticate(world.node.database, "lee", PASSWORD, time.time())
    assert again is not None
    assert (again.account_id, again.roles) == (first.account_id, {"him"})
    assert await version(world, "Practitioner/lee") == "2"


async def test_a_new_password_replaces_the_old_one(world: World) -> None:
    await run(world, accounts=[ACCOUNT])
    await run(world, accounts=[ACCOUNT | {"password": "another"}])
    now = time.time()
    assert await accounts.authenticate(world.node.database, "lee", PASSWORD, now) is None
    assert await accounts.authenticate(world.node.database, "lee", "another", now) is not None


async def test_fewer_roles_and_scopes_bite_at_once_here(world: World) -> None:
    await world.sign_in("ito")
    body = (await world.redeem(await world.code())).json()
    assert (await tokens.resolve(world.node.database, body["access_token"])).roles == {"consultant"}
    await run(world, accounts=[DOCUMENT["accounts"][0] | {"roles": []}])
    assert (await tokens.resolve(world.node.database, body["access_token"])).roles == set()


async def test_numbers_stay_as_they_are_written(world: World, tmp_path: Path) -> None:
    quantity = '{"value": 1.50, "unit": "mg"}'
    text = f"""{{"organization": "Organization/anna", "resources": [
        {{"resourceType": "Patient", "id": "p1"}},
        {{"resourceType": "Observation", "id": "o1", "status": "final", "code": {{"text": "x"}},
          "subject": {{"reference": "Patient/p1"}}, "valueQuantity": {quantity}}}]}}"""
    file = tmp_path / "provision.json"
    file.write_text(text)
    settings = world.node.settings
    environment = {
        "KONSIL_FHIR_DATABASE_URL": settings.database_url,
        "KONSIL_FHIR_BASE_URL": settings.base_url,
    }
    import anyio

    result = await anyio.to_thread.run_sync(lambda: CliRunner(env=environment).invoke(fhir, ["provision", str(file)]))
    assert result.exit_code == 0, result.output
    assert "2 resources" in result.output
    backend = (await world.signed("backend", grant_type="client_credentials", scope="system/*.cruds")).json()
    header = {"Authorization": f"Bearer {backend['access_token']}"}
    answer = await world.http.get("/fhir/Observation/o1", headers=header)
    assert '"value":1.50' in answer.text


@pytest.mark.parametrize(
    "document",
    [
        {"client": []},
        {"clients": [{"client_id": "x", "name": "X"}]},
        {"clients": [{"client_id": "x", "name": "X", "type": "public", "secret": "s"}]},
        {"clients": [{"client_id": "x", "name": "X", "secret": "s", "jwks": {"keys": []}}]},
        {"clients": [{"client_id": "x", "name": "X", "jwks": {"keys": [EC_KEY.as_dict(private=True)]}}]},
        {"clients": [{"client_id": "x", "name": "X", "secret": "s", "scopes": "user/*.everything"}]},
        {"clients": [{"client_id": "x", "name": "X", "secret": "s", "redirect_uri": "https://x.test"}]},
        {"accounts": [{"username": "x", "name": "X"}]},
        {"accounts": [{"username": "x", "name": "X", "roles": [], "organization": ""}]},
        {"organization": "St. Anna"},
        *(
            {"clients": [{"client_id": "x", "name": "X", "type": "public", "redirect_uris": [uri]}]}
            for uri in ("javascript:alert(1)", "http://x.test/cb", "https://x.test/cb#f", "https://a@x.test/", "/cb")
        ),
        {"tenants": [{"name": "x", "issuer": "https://x.test"}]},
    ],
)
def test_a_document_with_mistakes_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Document.model_validate(document)


async def test_keys_by_value_check_the_signatures_of_the_clients_people(world: World) -> None:
    assert await auth_registry.client_keys(world.node.database, "spa") == []
    assert await auth_registry.client_keys(world.node.database, "nobody") == []
    keys = await auth_registry.client_keys(world.node.database, "app")
    assert json.dumps(keys[0]) == json.dumps(public(EC_KEY)["keys"][0])


async def test_who_the_file_lacks_can_be_deactivated_and_comes_back_with_it(world: World) -> None:
    await world.sign_in("ito")
    body = (await world.redeem(await world.code())).json()
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    kept = {"clients": DOCUMENT["clients"][1:], "accounts": DOCUMENT["accounts"][1:]}
    document = Document.model_validate(json.loads(json.dumps(kept).replace("https://engine.test", world.address)))
    assert (await provision(world.node, document))["accounts"] == 2
    assert (await world.http.get("/fhir/Task", headers=bearer)).status_code == 200
    assert (await provision(world.node, document, deactivate_others=True))["deactivated"] == 3
    assert (await world.http.get("/fhir/Task", headers=bearer)).status_code == 401
    assert (
        await world.signed("app", grant_type="refresh_token", refresh_token=body["refresh_token"])
    ).status_code == 400
    assert (await world.authorize()).status_code == 400
    assert await auth_registry.find_tenant(world.node.database, "https://ehr.test/epic") is None
    assert (await world.sign_in("ito")).status_code == 401
    assert (await provision(world.node, document, deactivate_others=True))["deactivated"] == 0
    said = await changes(world)
    assert said.count("client app deactivated") == said.count("account ito deactivated") == 1
    await provision(world.node, whole(world.address))
    assert (await world.sign_in("ito")).status_code == 303


async def changes(world: World) -> list[str]:
    """What the audit says of clients, tenants and accounts."""
    return [event["outcomeDesc"] async for event in events(world) if event["type"]["code"] == "110113"]


async def events(world: World) -> AsyncIterator[dict[str, Any]]:
    """Everything put down, in order; an event that was listed lies among the resources."""
    both = select(audit.c.event_id, audit.c.content, resource.c.content.label("kept")).select_from(
        audit.outerjoin(resource, resource.c.resource_id == audit.c.event_id)
    )
    for row in await world.node.database.fetch(both.order_by(audit.c.position)):
        for event in events_of(row["event_id"], bytes(row["content"] or row["kept"])).values():
            yield event
