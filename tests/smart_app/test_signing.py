"""Signing: the consultant proves anew who they are, in the dialog or in a window of its own; no word is lost."""

import re
from dataclasses import dataclass
from html import unescape

import httpx
import pytest
from sqlalchemy import update

from deploy.sandbox import people
from fhir_server.auth import pins
from fhir_server.store import auth_registry
from fhir_server.store.auth_models import signing as transactions
from tests.smart_app.platform import Browser, Platform, form_action, hidden_fields, launch_id
from tests.smart_app.steps import ANSWER, new_request, offer, open_room, opinion, patient_of, submit

HTMX = {"HX-Request": "true"}
USERNAME = "haas"


@dataclass
class Desk:
    """A consultant at a report that is ready to be signed."""

    browser: Browser
    case: str
    form: dict[str, object]

    def post(self, path: str, **changed: object) -> httpx.Response:
        return self.browser.request("POST", f"{self.case}/{path}", data=self.form | changed, headers=HTMX)

    def get(self, path: str) -> httpx.Response:
        return self.browser.request("GET", f"{self.case}/{path}", headers=HTMX)


@pytest.fixture
def desk(hospital: Platform) -> Desk:
    requester = hospital.browser()
    home = f"/l/{launch_id(requester.launch('epic', patient_of('epic')))}"
    case = submit(requester, new_request(requester, home))
    offer(hospital, case, USERNAME)
    browser = hospital.browser()
    address = f"/l/{launch_id(browser.sign_in(USERNAME))}/cases/{case}"
    return Desk(browser, address, opinion(open_room(browser, address)))


def set_pin(hospital: Platform, pin: str | None) -> None:
    node = hospital.ours.state.node
    account = hospital.call(auth_registry.find_local_account(node.database, USERNAME))
    hospital.call(pins.remove(node.database, account) if pin is None else pins.set_pin(node.database, account, pin))


def window_of(page: httpx.Response) -> str:
    found = re.search(r'href="([^"]+/oauth/continue\?request=[^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def sign_in_anew(hospital: Platform, address: str) -> httpx.Response:
    """The window: nobody is signed in there, the frame's cookies do not reach it."""
    window = hospital.browser()
    page = window.get(address)
    form = hidden_fields(page.text) | {"username": USERNAME, "password": people.PASSWORD}
    page = window.post(form_action(page), data=form)
    return window.post(form_action(page), data=hidden_fields(page.text))


def test_a_wrong_pin_is_said_in_the_dialog_and_the_words_are_kept(hospital: Platform, desk: Desk) -> None:
    set_pin(hospital, people.PIN)
    asked = desk.get("sign/proof").text
    assert 'name="pin"' in asked
    assert 'name="code"' not in asked
    empty = desk.post("sign", pin="")
    assert empty.status_code == 422
    assert "Give your signing PIN" in empty.text
    for left in ("4 more attempts", "3 more attempts", "2 more attempts", "1 more attempt ", "0 more"):
        wrong = desk.post("sign", pin="000001")
        assert wrong.status_code == 422
        assert left in wrong.text or ("locked after five" in wrong.text and left == "0 more")
        assert "HX-Redirect" not in wrong.headers
    locked = desk.post("sign", pin=people.PIN)
    assert "locked after five" in locked.text
    assert "Sign in again" in locked.text
    assert ANSWER in desk.browser.get(f"{desk.case}/read").text
    set_pin(hospital, people.PIN)
    signed = desk.post("sign")
    assert signed.headers["HX-Redirect"].endswith("/report")
    assert ANSWER in desk.browser.get(f"{desk.case}/report").text


def test_without_pin_and_authenticator_a_window_signs(hospital: Platform, desk: Desk) -> None:
    set_pin(hospital, None)
    asked = desk.get("sign/proof").text
    assert "<input" not in asked
    assert "Sign in again to sign" in asked
    assert "Nothing is signed yet" in desk.post("sign", pin="").text
    way = desk.post("sign/window")
    assert desk.get("sign/wait").status_code == 204
    desk.post("opinion", answer="Not so fast.")
    assert sign_in_anew(hospital, window_of(way)).status_code == 200
    written_on = desk.get("sign/wait")
    assert written_on.status_code == 409
    assert "The report was changed since." in written_on.text

    way = desk.post("sign/window")
    node = hospital.ours.state.node

    async def expire() -> None:
        async with node.database.transaction() as transaction:
            await transaction.execute(update(transactions).values(expires_at=1.0))

    hospital.call(expire())
    anew = desk.get("sign/wait")
    assert window_of(anew) != window_of(way)
    assert "You have signed" in sign_in_anew(hospital, window_of(anew)).text
    signed = desk.get("sign/wait")
    assert signed.headers["HX-Redirect"].endswith("/report")
    assert ANSWER in desk.browser.get(f"{desk.case}/report").text
    assert desk.get("sign/wait").headers["HX-Redirect"].endswith("/report")

    amended = {"kind": "appended", "addendum": "The film of 2023 shows it.", "reason": "An older film."}
    way = desk.post("amend/window", **amended)
    assert sign_in_anew(hospital, window_of(way)).status_code == 200
    assert desk.get("amend/wait").headers["HX-Redirect"].endswith("/report")
    assert "The film of 2023 shows it." in desk.browser.get(f"{desk.case}/report").text
    set_pin(hospital, people.PIN)


def test_signing_out_everywhere_ends_the_app_too_and_says_the_way_back(hospital: Platform, desk: Desk) -> None:
    own = hospital.browser()
    account = own.get(f"{hospital.plan.fhir_url}/login")
    form = hidden_fields(account.text) | {"username": USERNAME, "password": people.PASSWORD}
    account = own.post(form_action(account), data=form)
    out = {"form_token": hidden_fields(account.text)["form_token"], "everywhere": "yes"}
    own.post(f"{hospital.plan.fhir_url}/logout", data=out)
    page = desk.browser.get(f"{desk.case}/read")
    assert page.status_code == 401
    assert "Sign in again" in page.text
    assert desk.post("sign").status_code == 401
    assert desk.browser.get(desk.case.partition("/cases")[0] + "/").status_code == 401
