"""The stories of the demo, made on the whole platform by the people of the demo; and made once, however often begun."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from deploy.sandbox.cases.people import People
from deploy.sandbox.cases.people import Platform as Addresses
from deploy.sandbox.cases.progress import FILE, Progress
from deploy.sandbox.cases.run import make
from deploy.sandbox.cases.stories import STORIES
from deploy.sandbox.cases.story import Story
from smart_app.case.states import state_code
from smart_app.fhir import Resource
from tests.end_to_end.platform import Platform, platform

pytestmark = [pytest.mark.peer, pytest.mark.timeout(600)]
KEYS = ("nguyen-extent", "nguyen-fertility", "oneill-repair", "lefevre-immunotherapy")
CHOSEN = [each for each in STORIES if each.key in KEYS]
CASES = {each.number: each for each in CHOSEN if each.stage != "draft"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with platform(tmp_path_factory.mktemp("cases"), keep_every=15) as running:
        yield running


def begin(folder: Path, stories: list[Story]) -> bool:
    progress = Progress.read(folder / FILE, [each.key for each in stories])
    return asyncio.run(make(Addresses.read(folder), progress, 0, stories))


def cases(running: Platform) -> list[Resource]:
    async def read() -> list[Resource]:
        people = People(Addresses.read(running.plan.directory))
        caller = await people.of_ours("castillo")
        found = await caller.fhir.search("Task", {"code": "fulfill"})
        await people.http.aclose()
        return found.matches

    return asyncio.run(read())


def test_a_story_comes_to_its_stage_and_is_told_once(whole: Platform) -> None:
    folder = whole.plan.directory
    assert begin(folder, CHOSEN[:2])
    (folder / FILE).unlink()  # as if it had been stopped before it could note anything
    assert begin(folder, CHOSEN)
    found = {each["identifier"][0]["value"]: each for each in cases(whole)}
    assert set(found) == set(CASES)
    assert len(cases(whole)) == len(CASES)
    for number, task in found.items():
        assert state_code(task) == CASES[number].stage
    assert json.loads((folder / FILE).read_text())["done"] == len(CHOSEN)


def test_a_signed_report_is_signed_by_its_consultant_in_the_past(whole: Platform) -> None:
    (task,) = [each for each in cases(whole) if state_code(each) == "report-signed"]
    assert task["owner"]["reference"] == "Practitioner/okafor"
    told = [datetime.fromisoformat(task[name]) for name in ("authoredOn", "lastModified")]
    assert told[0] < told[1] < datetime.fromisoformat(task["meta"]["lastUpdated"])
    assert told[0] < datetime.fromisoformat(task["restriction"]["period"]["end"])
