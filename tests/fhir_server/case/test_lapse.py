"""A case rests while nothing releases it to its consultant, and goes on where it was."""

import asyncio

import pytest

from fhir_server.interactions.lapse import LAPSED, Lapses
from fhir_server.rules.pair import business_status
from tests.fhir_server.case.test_consent import agree, day, provision, reading
from tests.fhir_server.case.town import Town, state

pytestmark = pytest.mark.anyio


async def standing(town: Town, case: str) -> tuple[str, str | None]:
    task = await town.read("okafor", case)
    return task["status"], business_status(task)


async def test_it_rests_when_the_consent_ends_and_goes_on_when_it_is_renewed(town: Town) -> None:
    made = await reading(town)
    case, lapses = made["Task"][0], Lapses(town.world.node)
    assert await lapses.look() == 0
    for ended in (
        {"status": "inactive"},
        {"provision": provision("permit", period={"start": day(-30), "end": day(-1)})},
    ):
        await agree(town, made, **ended)
        assert (await lapses.look(), await lapses.look()) == (1, 0)
        assert await standing(town, case) == ("on-hold", LAPSED)
        assert (await town.ask("ito", "GET", f"/{case}")).json()["businessStatus"]["coding"][0]["code"] == LAPSED
        await agree(town, made, status="active", provision=provision("permit"))
        assert (await lapses.look(), await lapses.look()) == (1, 0)
        assert await standing(town, case) == ("in-progress", "in-review")


async def test_it_goes_on_where_it_was(town: Town) -> None:
    made = await town.submit()
    case, lapses = made["Task"][0], Lapses(town.world.node)
    assert (await town.offer(case)).status_code == 200
    await agree(town, made, status="inactive")
    assert await lapses.look() == 0, "what is offered only is not resting: it cannot be accepted"
    await agree(town, made, status="active")
    answer = await town.change("ito", case, status="accepted", businessStatus=state("assigned"))
    assert answer.status_code == 200, answer.text
    await agree(town, made, status="inactive")
    assert await lapses.look() == 1
    answer = await town.change("ito", case, status="in-progress", businessStatus=state("in-review"))
    assert answer.status_code == 422, "nobody but the server brings it back"
    await agree(town, made, status="active")
    assert await lapses.look() == 1
    assert await standing(town, case) == ("accepted", "assigned")


async def test_a_server_does_it_by_itself_within_seconds(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await reading(town)
    case, node = made["Task"][0], town.world.node
    monkeypatch.setattr("fhir_server.interactions.lapse.SETTLED_SECONDS", 0.0)
    object.__setattr__(node.settings, "case_watch_seconds", 3600.0)
    running = asyncio.create_task(Lapses(node).run())
    try:
        await agree(town, made, status="inactive")
        async with asyncio.timeout(20):
            while await standing(town, case) != ("on-hold", LAPSED):
                await asyncio.sleep(0.02)
    finally:
        running.cancel()
        object.__setattr__(node.settings, "case_watch_seconds", 0.0)
