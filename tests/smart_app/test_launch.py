"""Launch and sign-in against real servers.  https://hl7.org/fhir/smart-app-launch/app-launch.html"""

import sqlite3

import pytest

from tests.smart_app.platform import Browser, Platform, launch_id, query_of
from tests.smart_app.steps import patient_of

KOWALCZYK = 4  # for whom no test sends a request


def authorization(hospital: Platform, browser: Browser) -> tuple[str, dict[str, str]]:
    """A launch as far as the redirect to the EHR; its address and parameters."""
    answer = browser.request("GET", hospital.launch_url("epic", patient_of("epic", KOWALCZYK), browser))
    assert answer.status_code == 302
    return answer.headers["location"], query_of(answer.headers["location"])


@pytest.mark.spec("SMART App Launch 2.2 app-launch.html#launch-app-ehr-launch")
def test_ehr_launch_opens_the_patient(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic", KOWALCZYK))
    assert page.status_code == 200, page.text
    assert page.url.path.endswith("/new")
    assert "New request for a second opinion" in page.text
    ancestors = page.headers["content-security-policy"].rpartition("frame-ancestors ")[2]
    assert ancestors == f"'self' {hospital.plan.ehr_url}"


def test_the_cookie_is_partitioned_and_host_only(hospital: Platform) -> None:
    browser = hospital.browser()
    answer = browser.request("GET", hospital.launch_url("epic", patient_of("epic", KOWALCZYK), browser))
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-konsil-app=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"} <= set(cookie.split("; "))


@pytest.mark.spec("SMART App Launch 2.2 app-launch.html#obtain-authorization-code")
def test_the_authorization_request(hospital: Platform) -> None:
    _, asked = authorization(hospital, hospital.browser())
    assert asked["aud"] == f"{hospital.plan.ehr_url}/epic/fhir"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 22  # 128 bits and more
    assert asked["redirect_uri"] == f"{hospital.plan.app_url}/callback"


def test_an_unknown_iss_is_refused_before_anything_is_asked(hospital: Platform) -> None:
    browser = hospital.browser()
    for iss in ("http://127.0.0.1:1/fhir", "", f"{hospital.plan.ehr_url}/epic/fhir/../x"):
        answer = browser.request("GET", f"/launch?iss={iss}&launch=x")
        assert answer.status_code == 400
        assert "set-cookie" not in answer.headers
        assert "No hospital that works with this service" in answer.text


def test_a_launch_without_handle_is_refused(hospital: Platform) -> None:
    answer = hospital.browser().request("GET", f"/launch?iss={hospital.plan.ehr_url}/epic/fhir")
    assert answer.status_code == 400


def test_a_forged_state_is_refused(hospital: Platform) -> None:
    browser = hospital.browser()
    location, asked = authorization(hospital, browser)
    back = browser.request("GET", location)
    forged = back.headers["location"].replace(asked["state"], "A" * 32)
    answer = browser.request("GET", forged)
    assert answer.status_code == 400
    assert "not begun in this browser" in answer.text


def test_a_state_belongs_to_its_browser_and_works_once(hospital: Platform) -> None:
    browser, stranger = hospital.browser(), hospital.browser()
    location, _ = authorization(hospital, browser)
    authorization(hospital, stranger)
    back = browser.request("GET", location).headers["location"]
    assert stranger.request("GET", back).status_code == 400
    assert browser.request("GET", back).status_code == 303
    assert browser.request("GET", back).status_code == 400


def test_an_expired_state_is_refused(hospital: Platform) -> None:
    browser = hospital.browser()
    location, _ = authorization(hospital, browser)
    back = browser.request("GET", location).headers["location"]
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        database.execute("UPDATE authorization_request SET expires_at = 0")
    assert browser.request("GET", back).status_code == 400


@pytest.mark.spec("RFC 9207 2.4")
def test_an_answer_of_another_issuer_is_refused(hospital: Platform) -> None:
    browser = hospital.browser()
    location, _ = authorization(hospital, browser)
    back = browser.request("GET", location).headers["location"]
    mixed = back.replace("iss=http%3A%2F%2Flocalhost", "iss=http%3A%2F%2Felsewhere")
    assert mixed != back
    assert browser.request("GET", mixed).status_code == 400


def test_a_launch_cannot_be_read_from_another_browser(hospital: Platform) -> None:
    page = hospital.browser().launch("epic", patient_of("epic", KOWALCZYK))
    stranger = hospital.browser()
    stranger.launch("oracle", patient_of("oracle"))
    for browser in (stranger, hospital.browser()):
        answer = browser.request("GET", page.url.path)
        assert answer.status_code == 401
        assert "This sign-in has ended" in answer.text


def test_two_launches_in_one_browser_do_not_mix(hospital: Platform) -> None:
    browser = hospital.browser()
    first_back, _ = authorization(hospital, browser)
    second = browser.launch("epic", patient_of("epic", KOWALCZYK))
    first = browser.follow(browser.request("GET", first_back))
    assert launch_id(first) != launch_id(second)
    assert browser.request("GET", second.url.path).status_code == 200


def test_another_person_in_the_same_browser_ends_the_former_session(hospital: Platform) -> None:
    browser = hospital.browser()
    physician = browser.launch("epic", patient_of("epic", KOWALCZYK))
    coordinator = browser.sign_in("castillo")
    assert coordinator.status_code == 200, coordinator.text
    assert coordinator.url.path.endswith("/triage")
    assert browser.request("GET", physician.url.path).status_code == 401
    with sqlite3.connect(hospital.app_settings.data_dir / "app.db") as database:
        row = database.execute("SELECT tokens FROM launch WHERE id = ?", (launch_id(physician),)).fetchone()
    assert row == (b"",)


def test_roles_land_on_their_page(hospital: Platform) -> None:
    assert hospital.browser().sign_in("lindqvist").url.path.endswith("/worklist")
    assert hospital.browser().sign_in("harper").url.path.endswith("/inbox")


@pytest.mark.spec("OpenID Connect Core 1.0 3.1.2.1")
def test_who_is_about_to_sign_in_is_handed_on(hospital: Platform) -> None:
    asked = query_of(hospital.browser().request("GET", "/sign-in?login_hint=ito").headers["location"])
    assert asked["login_hint"] == "ito"
    assert "login_hint" not in query_of(hospital.browser().request("GET", "/sign-in").headers["location"])
    assert hospital.browser().get("/sign-in?login_hint=ito").url.path == "/oauth/continue"  # not a demo: the form


def test_a_write_from_elsewhere_is_refused(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.launch("epic", patient_of("epic", KOWALCZYK))
    path = f"/l/{launch_id(page)}/drafts/x/discard"
    for origin in ("http://evil.example", "null", hospital.plan.ehr_url):
        assert browser.request("POST", path, headers={"Origin": origin}).status_code == 403
    assert browser.request("POST", path).status_code == 404


def test_signing_out_ends_everything(hospital: Platform) -> None:
    browser = hospital.browser()
    page = browser.sign_in("castillo")
    gone = browser.request("POST", "/sign-out")
    assert "Max-Age=0" in gone.headers["set-cookie"]
    assert browser.request("GET", page.url.path).status_code == 401


def test_tokens_and_verifiers_are_sealed(hospital: Platform) -> None:
    hospital.browser().launch("epic", patient_of("epic", KOWALCZYK))
    stored = (hospital.app_settings.data_dir / "app.db").read_bytes()
    for word in (b"access_token", b"code_verifier", b'"roles"', b"Kowalczyk"):
        assert word not in stored


def test_the_jwks_publishes_public_halves_only(hospital: Platform) -> None:
    answer = hospital.browser().request("GET", "/.well-known/jwks.json")
    found = answer.json()["keys"]
    assert {"app-1", "app-system-1", "epic-backend-1", "oracle-backend-1"} <= {key["kid"] for key in found}
    assert not any({"d", "p", "q"} & set(key) for key in found)
    assert "max-age" in answer.headers["cache-control"]
