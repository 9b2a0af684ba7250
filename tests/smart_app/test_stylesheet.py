"""The style sheet that pages get: of Tabler what they can use, and all of that."""

import re
from pathlib import Path

import pytest

from smart_app.stylesheet import APP, CLASS, SOURCE, sheet, trimmed
from tests.smart_app.platform import Browser, Platform

MOST_BYTES = 150_000
ATTRIBUTE = re.compile(r'class="([^"]*)"')
PIECES = re.compile(r"(?<![\w-])(?!k-)[a-z][a-z-]*-(?=\{\{)")
WORDS = frozenset({"card", "btn"})


def classes(page: Path) -> list[str]:
    return ATTRIBUTE.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("css", "kept"),
    [
        (".card{a:b}.nav{a:b}", ".card{a:b}"),
        (".card,.nav .btn,.btn{a:b}", ".card,.btn{a:b}"),
        (".btn:not(.nav,:is(.tab)){a:b}", ".btn:not(.nav,:is(.tab)){a:b}"),
        ("a:hover{a:b}[dir=rtl] p{a:b}", "a:hover{a:b}[dir=rtl] p{a:b}"),
        ("@media print{.nav{a:b}}@media (width>1px){.nav{a:b}.btn{c:d}}", "@media (width>1px){.btn{c:d}}"),
        ("@layer a;@keyframes nav{from{a:b}to{c:d}}", "@layer a;@keyframes nav{from{a:b}to{c:d}}"),
        ('.btn{content:"}"}.nav{content:"{"}.card{a:b}', '.btn{content:"}"}.card{a:b}'),
        ("/*! licence */.nav{a:b}/* x */.btn{a:b}", "/*! licence */\n.btn{a:b}"),
    ],
)
def test_a_rule_stays_when_its_classes_are_used(css: str, kept: str) -> None:
    assert trimmed(css, WORDS) == kept


def test_every_class_of_a_template_that_tabler_styles_is_styled() -> None:
    used = {
        word for page in APP.glob("templates/*.html") for each in classes(page) for word in re.split(r"[^\w-]+", each)
    }
    styled = set(CLASS.findall(SOURCE.read_text(encoding="utf-8")))
    served, _ = sheet()
    assert used & styled
    assert used & styled <= set(CLASS.findall(served.decode()))
    assert len(served) < MOST_BYTES


def test_no_template_puts_a_class_of_tabler_together() -> None:
    found = {
        f"{page.name}: {each}" for page in APP.glob("templates/*.html") for each in classes(page) if PIECES.search(each)
    }
    assert not found


def test_the_sheet_is_kept_and_asked_about(hospital: Platform) -> None:
    browser = Browser(hospital)
    address = f"{hospital.app_settings.base_url}/static/tabler.css"
    first = browser.request("GET", address)
    assert first.headers["content-type"] == "text/css; charset=utf-8"
    again = browser.request("GET", address, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
