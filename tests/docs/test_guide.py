"""The guide shows a picture for what it tells, and every picture was taken by the tests that look at the screens."""

import re
from pathlib import Path

from tests.screens.guide import GUIDE, ROOT, wanted


def test_every_picture_is_there_and_none_is_left_over() -> None:
    there = {each.stem for each in (GUIDE / "pictures").glob("*.png")}
    assert wanted() == there


def test_every_page_of_the_guide_is_reached_from_its_first() -> None:
    first = (GUIDE / "README.md").read_text(encoding="utf-8")
    pages = {each.name for each in GUIDE.glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", first))
    assert "docs/guide" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(Path(GUIDE / each).read_text(encoding="utf-8").startswith("# ") for each in pages)
