"""docs/conformance/dicomweb.md has a line for each test of the suite, and ours passes all."""

import pytest

from tests.conformance.dicomweb.compare import FOLDER, PAGE, lines, page


def test_every_test_has_its_line_and_ours_passes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for line in lines():
        assert f"| {line.name.replace('_', ' ')} | {line.clause} | yes |" in text, line.name


def test_no_test_is_without_its_clause() -> None:
    written = sum(path.read_text(encoding="utf-8").count("\ndef test_") for path in FOLDER.glob("test_*.py"))
    assert written == len(lines())


@pytest.mark.full
@pytest.mark.peer
def test_the_comparison_is_what_a_run_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(lines()), "run python -m tests.conformance.dicomweb.compare"
