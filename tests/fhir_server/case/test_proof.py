"""Who signs proves anew who they are, for this very report.  docs/signature.md"""

import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from sqlalchemy import update

from fhir_server.auth import discovery, pins
from fhir_server.auth.accounts import Unsuitable
from fhir_server.store.auth_models import signing as transactions
from smart_app.report import bundle
from smart_app.report.signature import Proof, Signer
from tests.fhir_server.auth.test_provision import events
from tests.fhir_server.auth.world import EC_KEY, PASSWORD, fields, proof
from tests.fhir_server.case.test_path import signing
from tests.fhir_server.case.town import PIN, Resource, Town

pytestmark = pytest.mark.anyio


async def unsigned(town: Town) -> Resource:
    """A report of Dr. Ito's, ready but for the signature."""
    made = await town.submit()
    await town.offer(made["Task"][0])
    await town.begin_reading(made["Task"][0])
    return await signing(town, made, made["Observation"][0])


def signed(report: Resource, given: Proof | None) -> Resource:
    signer = Signer("Practitioner/ito", datetime.now(UTC), ["2.25.1.1"], given)
    return bundle.signed(report, signer, EC_KEY)


def given(answer: Resource) -> Proof:
    return Proof(tuple(answer["amr"]), answer["auth_time"])


async def send(town: Town, whole: Resource) -> tuple[int, str]:
    answer = await town.ask("ito", "POST", "/", whole)
    return answer.status_code, answer.text


async def ask(town: Town, path: str = "", **form: str) -> httpx.Response:
    form = {"token": town.tokens["ito"]} | form
    return await town.world.http.post(f"/oauth/signing{path}", data=form | proof("app"))


async def began(town: Town, whole: Resource) -> Resource:
    """A transaction that waits for its person in a window."""
    report = bundle.the("DiagnosticReport", whole)
    return await town.proved("ito", report, title="Second opinion, case SO-1")


@pytest.mark.spec("RFC 8176 2")
async def test_a_report_is_signed_with_its_own_proof_once(town: Town) -> None:
    whole = await unsigned(town)
    report = bundle.the("DiagnosticReport", whole)
    status, said = await send(town, signed(whole, Proof(("pin",), 1)))
    assert status == 422
    assert "has not proved who they are for this very report" in said
    other = await town.proved("ito", report | {"conclusion": "Another."})
    assert (await send(town, signed(whole, given(other))))[0] == 422
    wrong_person = await town.proved("lopez", report)
    assert (await send(town, signed(whole, given(wrong_person))))[0] == 422
    own = await town.proved("ito", report)
    assert own["amr"] == ["pin"]
    status, said = await send(town, signed(whole, Proof(("otp",), own["auth_time"])))
    assert status == 422
    assert "amr and auth_time" in said
    assert (await send(town, signed(whole, None)))[0] == 422
    assert (await send(town, signed(whole, given(own))))[0] == 200
    assert (await ask(town, "/status", signing=own["signing"])).json() == {"status": "expired"}
    stored = await town.read("ito", f"Provenance/{bundle.the('Provenance', whole)['id']}")
    assert stored["signature"][0]["who"] == {"reference": "Practitioner/ito"}
    told = [one async for one in events(town.world) if one.get("outcomeDesc") == "proved for signing by pin"]
    assert [one["type"]["code"] for one in told] == ["110114"] * 3
    assert {one["entity"][0]["what"]["reference"] for one in told} == {f"DiagnosticReport/{report['id']}"}


async def test_a_proof_does_not_wait(town: Town) -> None:
    whole = await unsigned(town)
    own = await town.proved("ito", bundle.the("DiagnosticReport", whole))
    async with town.world.node.database.transaction() as transaction:
        await transaction.execute(update(transactions).values(expires_at=1.0))
    assert (await send(town, signed(whole, given(own))))[0] == 422


async def test_five_wrong_pins_lock_it_and_the_window_opens_it(town: Town) -> None:
    whole = await unsigned(town)
    report = bundle.the("DiagnosticReport", whole)
    answers = [await town.proved("ito", report, pin="000001") for _ in range(5)]
    assert [answer["left"] for answer in answers] == [4, 3, 2, 1, 0]
    assert answers[-1]["locked"]
    right = await town.proved("ito", report, pin=PIN)
    assert right["status"] == "wrong"
    assert (await ask(town, "/methods")).json() == {"methods": [], "pin_locked": True}
    assert (await send(town, signed(whole, Proof(("pin",), 1))))[0] == 422

    await town.world.sign_in_again("ito")
    waiting = await began(town, whole)
    handle = {"signing": waiting["signing"]}
    page = await town.world.http.get(waiting["window"])
    assert "Sign in again as Ito to sign: Second opinion, case SO-1." in page.text
    decide = fields(page) | {"request": parse_qs(urlsplit(waiting["window"]).query)["request"][0]}
    refused = await town.world.http.post("/oauth/continue", data=decide)
    assert refused.status_code == 400
    assert (await ask(town, "/status", **handle)).json() == {"status": "waiting"}
    await enter(town, page, "lopez")
    page = await town.world.http.get(waiting["window"])
    assert "Sign in again as Ito" in page.text
    assert (await town.world.http.post("/oauth/continue", data=decide | fields(page))).status_code == 400
    page = await enter(town, page, "ito")
    assert "Is this what you sign?" in page.text
    assert "You have signed" in (await town.world.http.post("/oauth/continue", data=fields(page))).text
    assert (await town.world.http.post("/oauth/continue", data=fields(page))).status_code == 400
    proved = (await ask(town, "/status", **handle)).json()
    assert (proved["status"], proved["amr"]) == ("proved", ["pwd"])
    assert (await send(town, signed(whole, given(proved))))[0] == 200
    assert (await ask(town, "/methods")).json() == {"methods": ["pin"], "pin_locked": False}


async def enter(town: Town, page: httpx.Response, username: str) -> httpx.Response:
    """Sign in on the page that the window shows, and go on."""
    answer = await town.world.http.post("/login", data=fields(page) | {"username": username, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return await town.world.http.get(answer.headers["location"])


async def test_the_code_of_an_authenticator_signs_too(town: Town) -> None:
    whole = await unsigned(town)
    await town.world.sign_in_again("ito")
    page = await town.world.http.get("/account")
    page = await town.world.http.post("/account", data=fields(page) | {"act": "begin"})
    secret = re.sub(r"\s", "", re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)[1])  # type: ignore[index]
    code = pyotp.TOTP(secret)
    now = datetime.now(UTC).timestamp()
    form = {"act": "confirm", "password": PASSWORD, "code": code.at(int(now) - 30)}
    assert (await town.world.http.post("/account", data=fields(page) | form)).status_code == 303
    report = bundle.the("DiagnosticReport", whole)
    assert (await ask(town, "/methods")).json()["methods"] == ["pin", "otp"]
    assert (await town.proved("ito", report, code="000000"))["status"] == "wrong"
    proved = await town.proved("ito", report, code=code.at(int(now) + 30))
    assert proved["amr"] == ["otp"]
    assert (await town.proved("ito", report, code=code.at(int(now) + 30)))["status"] == "wrong"
    assert (await send(town, signed(whole, given(proved))))[0] == 200


async def test_only_a_client_with_keys_asks_and_for_its_own_people(town: Town) -> None:
    content = {"resource": "DiagnosticReport/x", "sha256": "0" * 64, "pin": PIN}
    assert (await ask(town, **content | {"sha256": "short"})).status_code == 400
    assert (await ask(town, **content, token="made-up")).status_code == 401
    assert (await ask(town, **content, token=town.tokens["engine"])).status_code == 401
    unproved = await town.world.http.post("/oauth/signing", data=content | {"token": town.tokens["ito"]})
    assert unproved.status_code in {400, 401}
    other = await town.world.http.post("/oauth/signing", data=content | {"token": town.tokens["ito"]} | proof("engine"))
    assert other.status_code == 401
    await town.world.sign_in_again("ito")
    page = await town.world.http.get("/account")
    await town.world.http.post("/logout", data=fields(page) | {"everywhere": "yes"})
    assert (await ask(town, **content)).status_code == 401


async def test_a_pin_is_set_with_the_password(town: Town) -> None:
    await town.world.sign_in_again("okafor")
    page = await town.world.http.get("/account")
    form = fields(page) | {"act": "pin", "pin": "830416"}
    for problem, sent in (
        ("The password is not right", {"password": "wrong"}),
        ("A PIN has 6 to 12 digits", {"pin": "83041"}),
        ("others guess first", {"pin": "123456"}),
    ):
        answer = await town.world.http.post("/account", data=form | {"password": PASSWORD} | sent)
        assert answer.status_code == 400
        assert problem in answer.text
    assert (await town.world.http.post("/account", data=form | {"password": PASSWORD})).status_code == 303
    assert "A PIN is set" in (await town.world.http.get("/account")).text
    away = form | {"act": "no_pin", "password": PASSWORD}
    assert (await town.world.http.post("/account", data=away)).status_code == 303
    assert "A PIN is set" not in (await town.world.http.get("/account")).text


@pytest.mark.parametrize(
    "pin",
    ["", "12345", "1234567890123", "abcdef", "000000", "121212", "123123", "987654", "890123", "112233", "٣٤٥٦٧٨"],
)
def test_pins_that_others_guess_first(pin: str) -> None:
    with pytest.raises(Unsuitable):
        pins.check_suitable(pin)


async def test_a_site_may_do_without(town: Town) -> None:
    settings = town.world.node.settings
    assert discovery.smart_configuration(settings)["signing_endpoint"] == "https://fhir.test/oauth/signing"
    off = settings.model_copy(update={"signing_proof": False})
    assert "signing_endpoint" not in discovery.smart_configuration(off)
