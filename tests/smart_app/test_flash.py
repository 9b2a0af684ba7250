"""A sentence after a deed: shown once, by the next whole page of the same launch."""

from smart_app.flash import Flash
from tests.smart_app.platform import Platform, launch_id


def test_a_sentence_is_shown_once_and_only_in_its_launch(hospital: Platform) -> None:
    browser, other = hospital.browser(), hospital.browser()
    page, elsewhere = browser.sign_in("castillo"), other.sign_in("castillo")
    store = hospital.app.state.services.flashes
    store.leave(launch_id(page), Flash(said="Case given back.", undo="cases/1/undo"))
    assert "Case given back." not in other.get(elsewhere.url.path).text
    fragment = browser.request("GET", page.url.path, headers={"HX-Request": "true"})
    assert "<konsil-toast" not in fragment.text
    shown = browser.get(page.url.path).text
    assert "Case given back." in shown
    assert f'action="/l/{launch_id(page)}/cases/1/undo"' in shown
    assert "Case given back." not in browser.get(page.url.path).text


def test_a_later_sentence_takes_the_place_of_an_earlier_one(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.sign_in("castillo")
    store = hospital.app.state.services.flashes
    store.leave(launch_id(page), Flash(said="First."))
    store.leave(launch_id(page), Flash(said="Second <b>bold</b>."))
    shown = browser.get(page.url.path).text
    assert "Second &lt;b&gt;bold&lt;/b&gt;." in shown
    assert "First." not in shown
    assert "Undo" not in shown
