"""docs/access.md shows the labels of the policy."""

from deploy.access_page import PAGE, section


def test_the_table_of_labels_is_that_of_the_policy() -> None:
    assert section() in PAGE.read_text(encoding="utf-8"), "run `make docs`"
