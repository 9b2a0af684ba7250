import time

import pytest
from sqlalchemy import func, select

from fhir_server.auth.server import CLEANING_SECONDS, Cleaning
from fhir_server.store import auth_grants, auth_models
from tests.fhir_server.auth.world import World, proof

pytestmark = pytest.mark.anyio


async def rows(world: World, name: str) -> int:
    table = auth_models.metadata.tables[f"auth_{name}"]
    return int((await world.node.database.fetch(select(func.count().label("n")).select_from(table)))[0]["n"])


async def test_what_ended_long_ago_goes_and_the_rest_stays(world: World) -> None:
    await world.sign_in("ito")
    assert (await world.redeem(await world.code())).status_code == 200
    now = time.time()
    await auth_grants.clear_away(world.node.database, now)
    assert [await rows(world, name) for name in ("code", "token", "session", "assertion")] == [1, 2, 1, 1]
    a_day_later = now + 1.3 * auth_grants.KEPT_SECONDS
    await auth_grants.clear_away(world.node.database, a_day_later)
    assert [await rows(world, name) for name in ("code", "token", "session", "assertion")] == [0, 1, 1, 0]
    await auth_grants.clear_away(world.node.database, now + 100 * auth_grants.KEPT_SECONDS)
    assert [await rows(world, name) for name in ("token", "session")] == [0, 0]
    assert await rows(world, "account") == 3


async def test_an_assertion_is_kept_as_long_as_it_would_be_accepted(world: World) -> None:
    used = proof("backend")
    form = {"grant_type": "client_credentials", "scope": "system/Task.rs", **used}
    assert (await world.token(**form)).status_code == 200
    await auth_grants.clear_away(world.node.database, time.time() + 330)
    assert (await world.token(**form)).json()["error"] == "invalid_client"


async def test_it_runs_once_a_minute(world: World) -> None:
    cleaning, now = Cleaning(), time.time()
    await cleaning.run(world.node.database, now)
    await cleaning.run(world.node.database, now + CLEANING_SECONDS / 2)
    assert cleaning.cleared_at == now
    await cleaning.run(world.node.database, now + CLEANING_SECONDS)
    assert cleaning.cleared_at == now + CLEANING_SECONDS
