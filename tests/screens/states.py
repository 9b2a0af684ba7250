"""What pages look like while an answer is awaited: steps for the tests that look at them."""

import re

from playwright.sync_api import Page, Route


def hold(page: Page, pattern: str) -> list[Route]:
    """Let requests that fit wait until they are let go."""
    held: list[Route] = []
    page.route(re.compile(pattern), lambda route: held.append(route))
    return held


def let_go(page: Page, held: list[Route]) -> None:
    """Send what waits, and whatever comes after it."""
    for each in held:
        each.continue_()
    page.unroute_all(behavior="wait")
