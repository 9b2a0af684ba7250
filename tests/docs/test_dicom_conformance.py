"""docs/conformance/dicom.md says what the gateway's tables say."""

from deploy.dicom_conformance_page import PAGE, page


def test_the_statement_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"
