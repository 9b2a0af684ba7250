"""What people see and change of their own account: access they gave, their password, where they are signed in."""

import httpx
import pytest

from tests.fhir_server.auth.world import CALLBACK, PASSWORD, VERIFIER, World, allowing, fields, returned, ticked

pytestmark = pytest.mark.anyio
SCOPE = "openid fhirUser user/Task.rs user/Observation.rs?category=laboratory offline_access"


async def access(world: World, *scopes: str) -> dict[str, str]:
    """Give an app that is not trusted these scopes of those that it asked for; its tokens."""
    waiting = (await world.authorize(client_id="spa", scope=SCOPE)).headers["location"]
    page = await world.http.get(waiting)
    answer = await world.http.post("/oauth/continue", data=allowing(page, *scopes))
    back = returned(await world.http.get(answer.headers["location"]))
    if "code" not in back:
        return back
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "client_id": "spa", "code": back["code"]}
    body: dict[str, str] = (await world.token(**form, code_verifier=VERIFIER)).json()
    return body


async def reads(world: World, body: dict[str, str]) -> httpx.Response:
    return await world.http.get("/fhir/Task", headers={"Authorization": f"Bearer {body['access_token']}"})


@pytest.mark.spec("SMART scopes-and-launch-context.html#user-and-patient-privacy")
async def test_scopes_are_granted_one_by_one(world: World) -> None:
    await world.sign_in("ito")
    page = await world.http.get((await world.authorize(client_id="spa", scope=SCOPE)).headers["location"])
    assert ticked(page) == [
        "user/Task.rs",
        "user/Observation.rs?category=laboratory",
        "openid fhirUser",
        "offline_access",
    ]
    body = await access(world, "user/Task.rs")
    assert body["scope"] == "user/Task.rs"
    assert "refresh_token" not in body
    assert "id_token" not in body
    assert (await access(world, "user/Patient.cruds", "user/*.cruds"))["error"] == "access_denied"


async def test_access_is_seen_and_withdrawn_by_who_gave_it_alone(world: World) -> None:
    await world.sign_in("ito")
    body = await access(world)
    page = await world.http.get("/account")
    assert "<h3>Web App</h3>" in page.text
    assert "limited to category laboratory" in page.text
    form = fields(page) | {"act": "withdraw"}
    assert form["grant"]
    await world.sign_in_again("meyer")
    page = await world.http.get("/account")
    assert "None at present" in page.text
    await world.http.post("/account", data=fields(page) | {"act": "withdraw", "grant": form["grant"]})
    assert (await reads(world, body)).status_code == 200
    await world.sign_in_again("ito")
    page = await world.http.get("/account")
    assert (await world.http.post("/account", data=fields(page) | {"act": "withdraw"})).status_code == 303
    assert (await reads(world, body)).status_code == 401
    assert "None at present" in (await world.http.get("/account")).text


async def test_signing_out_everywhere_ends_other_browsers_and_every_access(world: World) -> None:
    await world.sign_in("ito")
    body = await access(world)
    elsewhere = dict(world.http.cookies)
    world.http.cookies.clear()
    await world.sign_in("ito")
    page = await world.http.get("/account")
    await world.http.post("/logout", data=fields(page) | {"everywhere": "yes"})
    world.http.cookies.update(elsewhere)
    assert (await world.http.get("/account")).headers["location"].endswith("/login")
    assert (await reads(world, body)).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": "spa"}
    assert (await world.token(**form)).json()["error"] == "invalid_grant"


async def test_a_new_password_needs_the_old_one_and_ends_what_was_open(world: World) -> None:
    await world.sign_in("ito")
    body = await access(world)
    form = fields(await world.http.get("/account")) | {"act": "password"}
    for given, problem in (
        ({"password": "guess", "new_password": "twelve characters"}, "not right"),
        ({"password": PASSWORD, "new_password": "short"}, "12 characters"),
        ({"password": PASSWORD, "new_password": "ITO twelve characters"}, "user name"),
    ):
        assert problem in (await world.http.post("/account", data=form | given)).text
    good = {"password": PASSWORD, "new_password": "twelve characters"}
    assert (await world.http.post("/account", data=form | good)).status_code == 303
    assert (await reads(world, body)).status_code == 401
    assert (await world.sign_in("ito", "twelve characters")).status_code == 303


async def test_nothing_is_changed_by_a_form_of_another_site(world: World) -> None:
    await world.sign_in("ito")
    form = fields(await world.http.get("/account"))
    for act in ("withdraw", "begin", "confirm", "remove", "password", "unknown"):
        forged = await world.http.post("/account", data=form | {"act": act, "form_token": "guessed"})
        assert forged.status_code == 400
