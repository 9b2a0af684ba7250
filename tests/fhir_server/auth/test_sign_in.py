import re
import time

import pytest
from sqlalchemy import select

from fhir_server.audit.batch import events_of
from fhir_server.auth import accounts, sessions
from fhir_server.auth.provision import Document, provision
from fhir_server.store.models import audit, resource
from tests.fhir_server.auth.world import BASE, DOCUMENT, PASSWORD, World, allowing, fields, returned

pytestmark = pytest.mark.anyio


async def test_a_session_begins_and_ends(world: World) -> None:
    assert (await world.sign_in("  ITO ")).status_code == 303
    assert (await world.http.get("/login")).headers["location"] == f"{BASE}/account"
    page = await world.http.get("/account")
    assert "Dr. Aiko Ito" in page.text
    answer = await world.http.post("/logout", data=fields(page))
    assert (answer.status_code, answer.headers["location"]) == (303, f"{BASE}/login")
    assert "<h1>Sign in</h1>" in (await world.http.get("/login")).text


@pytest.mark.parametrize("username", ["ito", "nobody", ""])
async def test_a_wrong_password_and_an_unknown_name_look_the_same(world: World, username: str) -> None:
    answer = await world.sign_in(username, "wrong")
    assert answer.status_code == 401
    assert re.findall(r'role="alert">(.*?)<', answer.text) == ["User name or password is not right."]
    assert not any("-session=" in cookie for cookie in answer.headers.get_list("set-cookie"))


@pytest.mark.parametrize("username", ["ito", "nobody"])
async def test_after_five_failures_the_name_is_locked_whether_it_exists_or_not(world: World, username: str) -> None:
    db, now = world.node.database, time.time()
    for _ in range(5):
        assert await accounts.authenticate(db, username, "wrong", now) is None
    with pytest.raises(accounts.Locked):
        await accounts.authenticate(db, username, PASSWORD, now + 1)
    answer = await world.sign_in(username)
    assert answer.status_code == 429
    assert (await accounts.authenticate(db, username, "wrong", now + 16)) is None
    with pytest.raises(accounts.Locked):
        await accounts.authenticate(db, username, PASSWORD, now + 16 + 29)
    found = await accounts.authenticate(db, username, PASSWORD, now + 16 + 31)
    assert (found is not None) == (username == "ito")


async def test_the_lock_never_grows_over_five_minutes(world: World) -> None:
    db, now = world.node.database, time.time()
    for attempt in range(40):
        assert await accounts.authenticate(db, "ito", "wrong", now + attempt * 301) is None
    assert await accounts.authenticate(db, "ito", PASSWORD, now + 40 * 301) is not None


async def test_a_form_of_another_site_signs_nobody_in(world: World) -> None:
    page = await world.http.get("/login")
    good = fields(page) | {"username": "ito", "password": PASSWORD}
    for form, headers in (
        (good | {"form_token": ""}, {}),
        (good | {"form_token": "guessed"}, {}),
        (good, {"Origin": "https://evil.test"}),
        (good, {"Origin": "null"}),
    ):
        answer = await world.http.post("/login", data=form, headers=headers)
        assert answer.status_code == 403
    world.http.cookies.clear()
    assert (await world.http.post("/login", data=good)).status_code == 403
    world.http.cookies.clear()
    assert (await world.sign_in("ito")).status_code == 303


async def test_who_signs_in_and_out_and_who_fails_is_audited(world: World) -> None:
    assert (await world.sign_in("ito", "wrong")).status_code == 401
    assert (await world.sign_in("ito")).status_code == 303
    page = await world.http.get("/account")
    await world.http.post("/logout", data=fields(page))
    rows = await world.node.database.fetch(
        select(audit.c.event_id, audit.c.content, resource.c.content.label("kept"))
        .select_from(audit.outerjoin(resource, resource.c.resource_id == audit.c.event_id))
        .order_by(audit.c.position)
    )
    some = [events_of(row["event_id"], bytes(row["content"] or row["kept"])) for row in rows]
    events = [event for each in some for event in each.values()]
    found = [
        (e["subtype"][0]["code"], e["outcome"], e["agent"][2]["who"]) for e in events if e["type"]["code"] == "110114"
    ]
    person = found[-1][2]
    assert person["reference"].startswith("Practitioner/")
    assert found[-3:] == [
        ("110122", "4", {"identifier": {"value": "ito"}}),
        ("110122", "0", person),
        ("110123", "0", person),
    ]


async def test_sign_out_needs_our_own_form(world: World) -> None:
    await world.sign_in("ito")
    assert (await world.http.post("/logout", data={"form_token": "x"})).status_code == 400
    assert "Dr. Aiko Ito" in (await world.http.get("/account")).text


async def test_pages_have_strict_headers_and_no_script(world: World) -> None:
    for page in (await world.http.get("/login"), await world.http.get("/oauth/authorize")):
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'self'" in policy
        assert page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text
        assert "style=" not in page.text


async def test_what_comes_in_is_escaped(world: World) -> None:
    answer = await world.sign_in('"><script>alert(1)</script>')
    assert "<script" not in answer.text


async def test_the_shortest_idle_time_of_the_persons_roles_holds(world: World) -> None:
    await world.sign_in("ito")
    cookies, db, now = dict(world.http.cookies), world.node.database, time.time()
    by_role = {"consultant": 900, "requester": 60}
    settings = world.node.settings.model_copy(update={"session_idle_seconds_by_role": by_role})
    assert await sessions.lookup(db, settings, cookies, now + 890) is not None
    assert await sessions.lookup(db, settings, cookies, now + 890 + 890) is not None
    assert await sessions.lookup(db, settings, cookies, now + 890 + 890 + 910) is None


async def test_a_session_ends_when_idle_and_for_good_after_its_time(world: World) -> None:
    db, settings, now = world.node.database, world.node.settings, time.time()
    account = await accounts.authenticate(db, "ito", PASSWORD, now)
    assert account is not None
    cookies = {sessions.cookie_name(settings): await sessions.create(db, settings, account, now)}
    assert await sessions.lookup(db, settings, cookies, now + settings.session_idle_seconds - 1) is not None
    assert await sessions.lookup(db, settings, cookies, now + settings.session_idle_seconds + 5) is not None
    assert await sessions.lookup(db, settings, cookies, now + 2 * settings.session_idle_seconds + 10) is None
    later = {sessions.cookie_name(settings): await sessions.create(db, settings, account, now)}
    for hour in range(12):
        assert await sessions.lookup(db, settings, later, now + hour * 3600) is not None
    assert await sessions.lookup(db, settings, later, now + settings.session_seconds) is None


async def test_a_disabled_person_is_out(world: World) -> None:
    await world.sign_in("ito")
    body = (await world.redeem(await world.code())).json()
    await provision(world.node, Document.model_validate({"accounts": [DOCUMENT["accounts"][0] | {"disabled": True}]}))
    assert "<h1>Sign in</h1>" in (await world.http.get("/login")).text
    assert (await world.sign_in("ito")).status_code == 401
    renewed = await world.signed("app", grant_type="refresh_token", refresh_token=body["refresh_token"])
    assert renewed.json()["error"] == "invalid_grant"


async def test_consent_is_asked_once_for_a_client_that_is_not_trusted_and_binds_to_who_gave_it(world: World) -> None:
    await world.sign_in("ito")
    waiting = (await world.authorize(client_id="spa")).headers["location"]
    page = await world.http.get(waiting)
    assert "Allow Web App?" in page.text
    assert "form-action 'self' https://app.test" in page.headers["content-security-policy"]
    answer = await world.http.post("/oauth/continue", data=allowing(page))
    await world.sign_in_again("meyer")
    assert "Allow Web App?" in (await world.http.get(answer.headers["location"])).text
    page = await world.http.get(waiting)
    answer = await world.http.post("/oauth/continue", data=allowing(page))
    assert "code" in returned(await world.http.get(answer.headers["location"]))
    assert (await world.http.get(answer.headers["location"])).status_code == 400


async def test_consent_can_be_refused_and_not_forged(world: World) -> None:
    await world.sign_in("ito")
    page = await world.http.get((await world.authorize(client_id="spa")).headers["location"])
    forged = fields(page) | {"decision": "allow", "form_token": "guessed"}
    assert (await world.http.post("/oauth/continue", data=forged)).status_code == 400
    answer = await world.http.post("/oauth/continue", data=fields(page) | {"decision": "deny"})
    assert returned(answer)["error"] == "access_denied"


async def test_a_patient_gets_the_own_record_without_being_asked(world: World) -> None:
    await world.sign_in("noor")
    body = (await world.redeem(await world.code(scope="launch/patient patient/*.rs user/*.rs"))).json()
    assert (body["patient"], body["scope"]) == ("noor", "launch/patient patient/*.rs")


async def test_patient_scopes_without_a_patient_are_not_granted(world: World) -> None:
    await world.sign_in("ito")
    body = (await world.redeem(await world.code(scope="patient/*.rs user/Task.rs"))).json()
    assert body["scope"] == "user/Task.rs"
    assert "patient" not in body
