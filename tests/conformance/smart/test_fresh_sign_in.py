"""OpenID Connect Core 1.0 3.1.2.1: a client may ask how fresh the sign-in is, and learns it from `auth_time`."""

from typing import Any

import pytest
from sqlalchemy import update

from fhir_server.auth.jose import peek
from fhir_server.store.auth_models import session
from tests.fhir_server.auth.world import PASSWORD, World, fields, returned

pytestmark = [pytest.mark.anyio, pytest.mark.spec("OpenID Connect Core 1.0 3.1.2.1")]


async def signed_in_long_ago(world: World, username: str, seconds: float) -> None:
    await world.sign_in(username)
    async with world.node.database.transaction() as transaction:
        await transaction.execute(update(session).values(signed_in_at=session.c.signed_in_at - seconds))


async def claims(world: World, code: str) -> dict[str, Any]:
    return peek((await world.redeem(code)).json()["id_token"])[1]


@pytest.mark.parametrize("asked", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "599"}])
async def test_an_old_sign_in_is_asked_anew_and_auth_time_is_that_of_the_new_one(
    world: World, asked: dict[str, str]
) -> None:
    await signed_in_long_ago(world, "ito", 600)
    old = (await claims(world, await world.code(max_age="700")))["auth_time"]
    waiting = (await world.authorize(**asked)).headers["location"]
    page = await world.http.get(waiting)
    assert "<h1>Sign in</h1>" in page.text
    await world.http.post("/login", data=fields(page) | {"username": "ito", "password": PASSWORD})
    new = await claims(world, returned(await world.http.get(waiting))["code"])
    assert 595 <= new["auth_time"] - old <= 660


@pytest.mark.parametrize("asked", [{"prompt": "none login"}, {"max_age": "soon"}, {"max_age": "-1"}])
async def test_a_question_that_makes_no_sense_is_refused(world: World, asked: dict[str, str]) -> None:
    assert returned(await world.authorize(**asked))["error"] == "invalid_request"


async def test_prompt_none_with_an_old_sign_in_says_so(world: World) -> None:
    await signed_in_long_ago(world, "ito", 600)
    assert returned(await world.authorize(prompt="none", max_age="60"))["error"] == "login_required"


async def test_a_trusted_client_can_ask_for_consent(world: World) -> None:
    await world.sign_in("ito")
    waiting = (await world.authorize(prompt="consent")).headers["location"]
    assert "Allow The App?" in (await world.http.get(waiting)).text
