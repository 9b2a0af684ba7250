"""A page may load 60 kB of script at most, the image viewer apart."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent.parent / "smart_app"
STATIC, TEMPLATES = APP / "static", APP / "templates"
BUDGET_BYTES = 60_000
SCRIPT = re.compile(r'src="/static/([^"]+\.js)"')
PARENT = re.compile(r'{% extends "([^"]+)" %}')
GUIDED = "tour.js"  # on first pages only, and only at a first visit
FIRST_PAGES = {"request.html", "requests.html", "triage.html", "worklist.html", "inbox.html"}


def scripts(template: str) -> Iterator[str]:
    """The scripts that a page and its parents name."""
    text = (TEMPLATES / template).read_text()
    yield from SCRIPT.findall(text)
    for parent in PARENT.findall(text):
        yield from scripts(parent)


@pytest.mark.parametrize("template", sorted(each.name for each in TEMPLATES.glob("[!_]*.html")))
def test_the_scripts_of_a_page_stay_within_the_budget(template: str) -> None:
    named = {name for name in scripts(template) if name != GUIDED or template in FIRST_PAGES}
    sizes = {name: (STATIC / name).stat().st_size for name in named}
    assert sum(sizes.values()) <= BUDGET_BYTES, sizes


def test_the_budget_counts_what_every_page_has() -> None:
    assert {"theme.js", "elements.js", "vendor/htmx.min.js"} <= set(scripts("help.html"))
