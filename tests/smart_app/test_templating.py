"""Templates are ready before anybody asks for a page, and what they post is posted once."""

import re

import pytest

from smart_app.settings import Settings
from smart_app.templating import TEMPLATES, compile_all, environment


def test_every_template_is_compiled_once() -> None:
    made = environment(Settings())
    compile_all(made)
    assert made.cache is not None
    assert len(made.cache) == len(made.list_templates()) > 50


@pytest.mark.parametrize("name", sorted(each.name for each in TEMPLATES.glob("*.html")))
def test_a_button_that_htmx_sends_waits_for_its_answer(name: str) -> None:
    """Forms that the browser sends are guarded for all pages (elements.js); autosaves may be sent again."""
    tags = re.findall(
        r"<(?:\{\{.*?\}\}|'[^']*'|[^>'])*hx-post=(?:\{\{.*?\}\}|'[^']*'|[^>'])*>", (TEMPLATES / name).read_text()
    )
    assert [tag for tag in tags if "hx-disable" not in tag and "hx-trigger" not in tag] == []
