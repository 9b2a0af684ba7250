"""https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch"""

import time

import httpx
import pytest

from fhir_server.auth import accounts, launch, sessions
from fhir_server.auth.launch import LaunchContext
from fhir_server.store.auth_values import Account
from tests.fhir_server.auth.world import PASSWORD, World, fields, returned

pytestmark = pytest.mark.anyio
SCOPE = "launch openid fhirUser patient/*.rs user/*.rs"
CONTEXT = LaunchContext(
    patient="p1",
    encounter="e1",
    intent="second-opinion",
    need_patient_banner=False,
    fhir_context=({"reference": "ServiceRequest/s1"},),
)


async def at_the_ehr(world: World, username: str = "meyer") -> Account:
    """Sign in as the EHR's own frame does it, in process."""
    account = await accounts.authenticate(world.node.database, username, PASSWORD, time.time())
    assert account is not None
    token = await sessions.create(world.node.database, world.node.settings, account, time.time())
    world.http.cookies.set(sessions.cookie_name(world.node.settings), token, domain="fhir.test")
    return account


async def handle(world: World, account: Account, client_id: str = "app") -> str:
    return await launch.create(world.node.database, account.account_id, client_id, CONTEXT)


async def test_the_context_arrives_with_the_token_and_no_page_is_shown(world: World) -> None:
    account = await at_the_ehr(world)
    answer = await world.authorize(scope=SCOPE, launch=await handle(world, account))
    body = (await world.redeem(returned(answer)["code"])).json()
    assert body["scope"] == SCOPE
    assert (body["patient"], body["encounter"], body["intent"]) == ("p1", "e1", "second-opinion")
    assert body["need_patient_banner"] is False
    assert body["fhirContext"] == [{"reference": "ServiceRequest/s1"}]
    assert body["organization"] == "Organization/anna"
    style = await world.http.get(body["smart_style_url"])
    assert style.headers["access-control-allow-origin"] == "*" and style.json()["color_highlight"].startswith("#")


async def test_a_handle_works_once(world: World) -> None:
    account = await at_the_ehr(world)
    used = await handle(world, account)
    assert "code" in returned(await world.authorize(scope=SCOPE, launch=used))
    assert returned(await world.authorize(scope=SCOPE, launch=used))["error"] == "invalid_request"


async def test_a_handle_is_for_one_client(world: World) -> None:
    account = await at_the_ehr(world)
    used = await handle(world, account, "spa")
    assert returned(await world.authorize(scope=SCOPE, launch=used))["error"] == "invalid_request"


async def test_somebody_else_in_this_browser_has_to_sign_in(world: World) -> None:
    account = await at_the_ehr(world)
    used = await handle(world, account)
    await at_the_ehr(world, "ito")
    page = await world.http.get((await world.authorize(scope=SCOPE, launch=used)).headers["location"])
    assert "<h1>Sign in</h1>" in page.text
    as_other = await sign_in(world, page, "ito")
    assert "<h1>Sign in</h1>" in as_other.text
    as_owner = await sign_in(world, as_other, "meyer")
    assert (await world.redeem(returned(as_owner)["code"])).json()["patient"] == "p1"


async def test_without_session_the_sign_in_page_goes_on_with_the_launch(world: World) -> None:
    account = await at_the_ehr(world)
    used = await handle(world, account)
    world.http.cookies.clear()
    page = await world.http.get((await world.authorize(scope=SCOPE, launch=used)).headers["location"])
    assert "code" in returned(await sign_in(world, page, "meyer"))


async def test_the_session_cookie_works_in_a_frame(world: World) -> None:
    answer = await world.sign_in("meyer")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "-session=" in c)
    assert cookie.startswith("__Host-konsil-fhir-session=")
    assert cookie.split("; ")[1:] == ["Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"]


async def sign_in(world: World, page: httpx.Response, username: str) -> httpx.Response:
    """Fill in the sign-in page; gives the page after it, or the way back to the client."""
    form = fields(page) | {"username": username, "password": PASSWORD}
    answer = await world.http.post("/login", data=form)
    assert answer.status_code == 303, answer.text
    return await world.http.get(answer.headers["location"])
