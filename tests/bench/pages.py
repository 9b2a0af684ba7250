"""How quickly each page shows itself: `python -m tests.bench pages`.

The server's time to the first byte, Chromium's first contentful paint with an empty cache, and the script that the page
loads; the budget is 300 ms, 1,000 ms and 60 kB. Each load starts from an empty page that has come to rest: to end a
viewer with its images takes the browser up to a second, which is not the next page's.
"""

import re
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Frame

from deploy.sandbox.imaging.studies import CT_CHEST
from tests.end_to_end import people
from tests.end_to_end.people import Desk
from tests.end_to_end.platform import Platform, platform

REPEATS, REST_MS = 5, 1000
LINE, QUESTION = "Thoracic Oncology", "Is this the primary, or is it a metastasis of something else?"
NUMBERS = """() => {
  const page = performance.getEntriesByType('navigation')[0];
  const paint = performance.getEntriesByName('first-contentful-paint')[0];
  const scripts = performance.getEntriesByType('resource').filter(each => /[.]js([?]|$)/.test(each.name));
  return [page.responseStart - page.requestStart, paint ? paint.startTime : null,
          scripts.reduce((sum, each) => sum + each.decodedBodySize, 0)];
}"""


def measure() -> Iterator[str]:
    """Take a case to the reading room, and time each person's pages on the way."""
    with tempfile.TemporaryDirectory() as name, platform(Path(name)) as running:
        folder = Path(name)
        yield f"{'page':<34}{'server ms':>16}{'first paint ms':>18}{'script kB':>11}"
        yield from requester(running, folder)
        with people.at_desk(running, folder) as desk:
            people.enter(desk, "harper")
            people.reload_until(desk, desk.page.locator("#arrivals a[data-row]"), "nothing arrived")
            address = str(desk.page.locator("#arrivals a[data-row]").first.get_attribute("href"))
            yield from timed(desk, "HIM", ["inbox", "sources", address.split("/l/")[1].partition("/")[2]])
        with people.at_desk(running, folder) as desk:
            people.reconcile(desk)
        with people.at_desk(running, folder) as desk:
            people.offer(desk, "Dr. Maja Lindqvist")
            yield from timed(desk, "coordinator", ["triage", "triage?view=table"])
        with people.at_desk(running, folder) as desk:
            people.start_reading(desk, "lindqvist")
            case = re.sub(r".*/(cases/[^/]+).*", r"\1", desk.page.url)
            tabs = [f"{case}{tab}" for tab in ("", "/records", "/imaging", "/messages", "/activity", "/read")]
            yield from timed(desk, "consultant", ["worklist", *tabs])


def requester(running: Platform, folder: Path) -> Iterator[str]:
    """The pages inside the EHR's frame: the request, then the case that it becomes."""
    with people.at_desk(running, folder) as desk:
        people.ask(desk, "Lef", CT_CHEST.description, LINE, QUESTION)
        yield from timed(desk, "requester", ["requests", "new"])
        people.send(desk, LINE, QUESTION)  # the draft as it was left
        yield from timed(desk, "requester", [re.sub(r".*/(cases/[^/]+).*", r"\1", frame_of(desk).url)])


def frame_of(desk: Desk) -> Frame:
    """The app's own page: in the EHR's frame, or by itself."""
    return next(frame for frame in desk.page.frames if "/l/" in frame.url)


def timed(desk: Desk, who: str, paths: list[str]) -> Iterator[str]:
    """A line for each page: median and worst of the repeats, nothing cached."""
    session: Any = desk.context.new_cdp_session(desk.page)
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    start = re.sub(r"(/l/[^/]+/).*", r"\1", frame_of(desk).url)
    for path in paths:
        taken = [numbers(desk, start + path) for _ in range(REPEATS)]
        server, paint, script = zip(*taken, strict=True)
        name = f"{who}: {re.sub(r'[0-9a-f-]{36}', '…', path)}"
        shown = [f"{statistics.median(each):.0f} / {max(each):.0f}" for each in (server, paint)]
        yield f"{name:<34}{shown[0]:>16}{shown[1]:>18}{max(script) / 1000:>11.1f}"


def numbers(desk: Desk, address: str) -> tuple[float, float, float]:
    """Load a page and read what the browser measured; asked again until it has painted."""
    frame = frame_of(desk)
    frame.goto("about:blank")
    desk.page.wait_for_timeout(REST_MS)
    frame.goto(address, wait_until="load")
    for _ in range(50):
        server, paint, script = frame.evaluate(NUMBERS)
        if paint is not None:
            return server, paint, script
        desk.page.wait_for_timeout(50)
    raise AssertionError(f"{address} painted nothing")
