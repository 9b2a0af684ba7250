"""`python -m deploy.sandbox cases`: make all cases in the background of a running demo, then end."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from deploy.sandbox.cases.engine import Engine
from deploy.sandbox.cases.people import People, Platform
from deploy.sandbox.cases.progress import FILE, Progress
from deploy.sandbox.cases.stories import STORIES
from deploy.sandbox.cases.story import Story


def run(directory: Path, pause_seconds: float = 0.0, only: Sequence[str] = ()) -> int:
    """Make the stories, all or those named; 0 also when one could not be made, which the progress file then says."""
    wanted = [each for each in STORIES if not only or each.key in only]
    progress = Progress.read(directory / FILE, [each.key for each in wanted])
    progress.tell(state="starting", problem="")
    whole = asyncio.run(make(Platform.read(directory), progress, pause_seconds, wanted))
    progress.tell(state="done" if whole else "stuck", now="")
    click.echo("all cases are made" if whole else f"not all cases could be made: {progress.problem}")
    return 0


async def make(platform: Platform, progress: Progress, pause_seconds: float, wanted: Sequence[Story]) -> bool:
    """Make them with one set of people."""
    people = People(platform)
    try:
        return await Engine(people, progress, pause_seconds).make(wanted)
    finally:
        await people.http.aclose()
