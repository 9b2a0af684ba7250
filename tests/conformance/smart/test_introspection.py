"""https://hl7.org/fhir/smart-app-launch/STU2.2/token-introspection.html and RFC 7009"""

from typing import Any

import httpx
import pytest

from fhir_server.auth import tokens
from fhir_server.errors import Unauthorized
from tests.fhir_server.auth.world import BASE, World, proof

pytestmark = pytest.mark.anyio


async def ask(world: World, path: str, token: str, client_id: str = "app") -> httpx.Response:
    return await world.http.post(f"/oauth/{path}", data={"token": token, **proof(client_id)})


async def begin(world: World) -> dict[str, Any]:
    await world.sign_in("ito")
    body: dict[str, Any] = (await world.redeem(await world.code())).json()
    return body


@pytest.mark.parametrize("client_id", ["app", "backend"])
async def test_an_active_token_is_described_to_its_client_and_to_a_resource_server(
    world: World, client_id: str
) -> None:
    body = await begin(world)
    described = (await ask(world, "introspect", body["access_token"], client_id)).json()
    assert described["active"] is True
    assert (described["client_id"], described["scope"], described["iss"]) == ("app", body["scope"], BASE)
    assert described["exp"] - described["iat"] == body["expires_in"]
    assert described["roles"] == ["consultant"]
    assert described["fhirUser"] == f"{BASE}/fhir/Practitioner/ito"


async def test_what_is_not_active_only_says_so(world: World) -> None:
    body = await begin(world)
    await ask(world, "revoke", body["access_token"])
    for token in (body["access_token"], "unknown", ""):
        assert (await ask(world, "introspect", token)).json() == {"active": False}


async def test_nobody_else_learns_anything(world: World) -> None:
    body = await begin(world)
    anonymous = await world.http.post("/oauth/introspect", data={"token": body["access_token"]})
    assert anonymous.status_code == 400
    public = await world.http.post("/oauth/introspect", data={"token": body["access_token"], "client_id": "spa"})
    assert public.status_code == 401
    backend = (await world.signed("backend", grant_type="client_credentials", scope="system/Task.r")).json()
    assert (await ask(world, "introspect", backend["access_token"])).json() == {"active": False}


@pytest.mark.spec("RFC 7009 2")
async def test_revocation_bites_at_once_here(world: World) -> None:
    body = await begin(world)
    await tokens.resolve(world.node.database, body["access_token"])
    assert (await ask(world, "revoke", body["access_token"])).status_code == 200
    with pytest.raises(Unauthorized):
        await tokens.resolve(world.node.database, body["access_token"])
    assert (
        await world.signed("app", grant_type="refresh_token", refresh_token=body["refresh_token"])
    ).status_code == 200


async def test_revoking_the_refresh_token_ends_the_grant(world: World) -> None:
    body = await begin(world)
    assert (await ask(world, "revoke", body["refresh_token"])).status_code == 200
    with pytest.raises(Unauthorized):
        await tokens.resolve(world.node.database, body["access_token"])


async def test_another_client_revokes_nothing(world: World) -> None:
    body = await begin(world)
    assert (await ask(world, "revoke", body["access_token"], "backend")).status_code == 200
    assert (await ask(world, "introspect", body["access_token"])).json()["active"] is True
