"""The reader of pages sees what it is to see."""

import html

import pytest

from tests.markup import SCRIPT, checked, mark, short


def test_the_reader_of_pages_sees_what_it_is_to_see() -> None:
    wrong = ("<p><xss a>", '<p title="x" onmouseover=x>', mark("A.b"), short("A.b"), f'<a href=" {SCRIPT}">')
    for text in wrong:
        with pytest.raises(AssertionError):
            checked(text)
    assert checked(f"<p>{html.escape(mark('Patient.name'))}") == {"Patient.name"}
