"""https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#refresh-access-token"""

import asyncio
from typing import Any

import httpx
import pytest

from fhir_server.auth import tokens
from fhir_server.errors import Unauthorized
from tests.fhir_server.auth.world import World

pytestmark = pytest.mark.anyio
SCOPE = "openid offline_access user/Patient.rs user/Task.cruds"


async def begin(world: World, scope: str = SCOPE) -> dict[str, Any]:
    await world.sign_in("ito")
    body: dict[str, Any] = (await world.redeem(await world.code(scope=scope))).json()
    return body


async def refresh(world: World, token: str, client_id: str = "app", **form: str) -> httpx.Response:
    return await world.signed(client_id, grant_type="refresh_token", refresh_token=token, **form)


async def test_without_scope_the_grant_stays_as_it_is_and_the_token_rotates(world: World) -> None:
    first = await begin(world)
    answer = await refresh(world, first["refresh_token"])
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert body["scope"] == SCOPE
    assert body["refresh_token"] != first["refresh_token"]
    assert body["access_token"] != first["access_token"]
    assert body["id_token"]
    assert (await refresh(world, body["refresh_token"])).status_code == 200


async def test_with_scope_it_narrows_and_the_next_refresh_has_all_again(world: World) -> None:
    first = await begin(world)
    narrowed = (await refresh(world, first["refresh_token"], scope="user/Patient.r")).json()
    assert narrowed["scope"] == "user/Patient.r"
    assert "id_token" not in narrowed
    caller = await tokens.resolve(world.node.database, narrowed["access_token"])
    assert caller.scopes == ("user/Patient.r",)
    assert (await refresh(world, narrowed["refresh_token"])).json()["scope"] == SCOPE


@pytest.mark.parametrize(
    "scope", ["user/Patient.cruds", "user/*.rs", "user/Patient.rs launch/patient", "system/Task.r"]
)
async def test_it_never_widens(world: World, scope: str) -> None:
    first = await begin(world)
    answer = await refresh(world, first["refresh_token"], scope=scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert (await refresh(world, first["refresh_token"])).status_code == 200


@pytest.mark.spec("RFC 9700 4.14.2")
async def test_a_token_that_was_replaced_ends_the_grant_when_it_comes_again(world: World) -> None:
    first = await begin(world)
    second = (await refresh(world, first["refresh_token"])).json()
    assert (await refresh(world, first["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await refresh(world, second["refresh_token"])).json()["error"] == "invalid_grant"
    with pytest.raises(Unauthorized):
        await tokens.resolve(world.node.database, second["access_token"])


async def test_two_at_once_give_one_token(world: World) -> None:
    first = await begin(world)
    answers = await asyncio.gather(*(refresh(world, first["refresh_token"]) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400]


async def test_it_is_for_its_client_alone(world: World) -> None:
    first = await begin(world)
    assert (await refresh(world, first["refresh_token"], "backend")).json()["error"] == "invalid_grant"
    assert (await refresh(world, first["access_token"])).json()["error"] == "invalid_grant"
    assert (await refresh(world, "")).json()["error"] == "invalid_grant"


async def test_without_offline_access_there_is_none(world: World) -> None:
    assert "refresh_token" not in await begin(world, "openid user/Patient.rs")
    assert "refresh_token" in await begin(world, "openid online_access user/Patient.rs")
