"""docs/conformance/fhir.md says what the tests show."""

from deploy.conformance_page import PAGE, page, shown


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_main_pages_of_r4_are_shown() -> None:
    pages = {row.clause.partition("#")[0] for row in shown()}
    assert {"http.html", "search.html", "json.html", "xml.html", "binary.html", "fhirpatch.html"} <= pages
