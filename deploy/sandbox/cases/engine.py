"""Brings the stories about: sends what was not sent, takes the steps that are still to be taken, waits for imaging.

Whatever was done stays done: a case is found by its number, the steps it has taken by its history.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from deploy.sandbox.cases import drafts, steps
from deploy.sandbox.cases.asking import NotOffered, ask
from deploy.sandbox.cases.browser import PageError
from deploy.sandbox.cases.calendar import Fixed, clocks
from deploy.sandbox.cases.opinions import NotCitable
from deploy.sandbox.cases.people import People
from deploy.sandbox.cases.progress import Progress
from deploy.sandbox.cases.steps import Step
from deploy.sandbox.cases.story import Story
from deploy.sandbox.hospitals import HOSPITALS
from smart_app.case.codes import CASE_IDENTIFIER
from smart_app.case.states import state_code
from smart_app.errors import AppError

LONGEST_SECONDS = 900.0
LOOK_SECONDS = 2.0
FAULTS = (AppError, PageError, NotOffered, NotCitable, httpx.HTTPError)
MOST_TRIES = 4


@dataclass
class Engine:
    """Makes stories.  `pause_seconds` of rest after each piece of work leave the machine to whoever looks."""

    people: People
    progress: Progress
    pause_seconds: float = 0.0
    longest_seconds: float = LONGEST_SECONDS

    async def make(self, stories: Sequence[Story]) -> bool:
        """Go round until every story is where it belongs; False when one could not be brought there."""
        left, tries = [each for each in stories if each.key not in self.progress.made], dict[str, int]()
        ends = time.monotonic() + self.longest_seconds
        while left and time.monotonic() < ends:
            waiting = []
            for story in left:
                if not await self._attempt(story, tries):
                    waiting.append(story)
                await asyncio.sleep(self.pause_seconds)
            left = [each for each in waiting if tries.get(each.key, 0) < MOST_TRIES]
            if left:
                await asyncio.sleep(LOOK_SECONDS)
        return all(each.key in self.progress.made for each in stories)

    async def _attempt(self, story: Story, tries: dict[str, int]) -> bool:
        self.progress.tell(state="making", now=f"{story.patient}: {story.stage}")
        try:
            done = await self._advance(story)
        except FAULTS as fault:
            tries[story.key] = tries.get(story.key, 0) + 1
            self.progress.tell(problem=f"{story.key}: {fault}")
            return False
        if done:
            self.progress.add(story.key)
        return done

    async def _advance(self, story: Story) -> bool:
        """Take all steps that can be taken now; True when the story is where it belongs."""
        if story.stage == "draft":
            await drafts.request(self.people, story)
            return True
        moments = clocks_of(story)
        visitor = await self.people.at_chart(story.requester, story.patient)
        case_id = await self._sent(story)
        if case_id is None:
            await ask(visitor, story, moments[0])
            case_id = await self._sent(story)
        if case_id is None:
            return False
        gathering = Step(story, case_id, moments[0], self.people, self.people.platform.provision.client)
        if not await steps.gathered(gathering):
            return False
        await self._walk(story, case_id, moments)
        if story.stage in ("in-review", "info-requested"):
            await drafts.report(self.people, story, case_id)
        return await self._arrived(story, case_id)

    async def _walk(self, story: Story, case_id: str, moments: Sequence[Fixed]) -> None:
        taken = await self._taken(story, case_id)
        for at, state in list(enumerate(story.road))[taken:]:
            asked = story.road[:at].count("info-requested")
            key = self.people.platform.provision.client
            await steps.TO[state](Step(story, case_id, moments[at + 1], self.people, key, asked))

    async def _sent(self, story: Story) -> str | None:
        """The id of the case that bears the story's number."""
        caller = await self.people.of_ours(steps.COORDINATOR)
        found = await caller.fhir.search("Task", {"identifier": f"{CASE_IDENTIFIER}|{story.number}"}, most=1)
        return str(found.matches[0]["id"]) if found.matches else None

    async def _states(self, case_id: str) -> list[str]:
        """The states that a case went through, oldest first."""
        caller = await self.people.of_ours(steps.COORDINATOR)
        versions = await caller.fhir.history(f"Task/{case_id}")
        states = [state_code(each) for each in reversed(versions)]
        return [state for at, state in enumerate(states) if at == 0 or state != states[at - 1]]

    async def _taken(self, story: Story, case_id: str) -> int:
        """How many steps of the story's road the case has taken."""
        taken = 0
        for state in await self._states(case_id):
            taken += taken < len(story.road) and state == story.road[taken]
        return taken

    async def _arrived(self, story: Story, case_id: str) -> bool:
        """Whether the case has come to its stage; one that people have moved on since counts as well."""
        return story.stage in await self._states(case_id)


def clocks_of(story: Story) -> list[Fixed]:
    """The story's moments, in the requesting hospital's zone."""
    zone = next(each.time_zone for each in HOSPITALS)
    return clocks(story.days, story.since, len(story.road), zone, sum(map(ord, story.key)))
