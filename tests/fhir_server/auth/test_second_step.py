"""The second step of signing in: set up by a person or wanted by the role, each code once, guesses slowed down."""

import re
import time
from asyncio import gather
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pyotp
import pytest
from starlette.applications import Starlette

from fhir_server.auth import accounts, administration, totp
from fhir_server.auth.provision import Document, provision
from fhir_server.store import auth_registry
from fhir_server.store.auth_values import Account
from tests.fhir_server.auth.world import DOCUMENT, PASSWORD, World, fields, returned

pytestmark = [pytest.mark.anyio, pytest.mark.spec("RFC 6238 5.2")]
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
NEW_PASSWORD = "a sentence that nobody knows"


async def account_of(world: World, username: str) -> Account:
    found = await auth_registry.find_local_account(world.node.database, username)
    assert found is not None
    return found


async def enrolled(world: World, username: str = "ito") -> Callable[[int], str]:
    """Give a person a second step; the function gives the code some periods from now (the present one is used up)."""
    now, account = time.time(), await account_of(world, username)
    assert await totp.enrol(world.node.database, account, SECRET, pyotp.TOTP(SECRET).at(now - 30), now)
    return lambda periods: pyotp.TOTP(SECRET).at(now + 30 * periods)


async def give(world: World, page: httpx.Response, code: str) -> httpx.Response:
    return await world.http.post("/login/code", data=fields(page) | {"code": code})


@pytest.mark.parametrize(("seconds", "code"), [(59, "94287082"), (1111111109, "07081804"), (20000000000, "65353130")])
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert pyotp.TOTP(SECRET, digits=8).at(seconds) == code
    assert totp.matching_step(SECRET, code[2:], seconds) == seconds // 30
    assert totp.matching_step(SECRET, code[2:], seconds + 30) == seconds // 30
    assert totp.matching_step(SECRET, code[2:], seconds + 90) is None


async def test_the_code_is_asked_after_the_password_and_works_once(world: World) -> None:
    code = await enrolled(world)
    waiting = (await world.authorize()).headers["location"]
    page = await world.http.get(waiting)
    form = fields(page) | {"username": "ito", "password": PASSWORD}
    page = await world.http.post("/login", data=form)
    assert "<h1>Second step</h1>" in page.text
    assert "-session=" not in str(page.headers.get_list("set-cookie"))
    assert (await give(world, page, "000000")).status_code == 401
    answer = await give(world, page, code(0))
    assert "code" in returned(await world.http.get(answer.headers["location"]))
    assert (await give(world, page, code(1))).status_code == 400  # the page is used up
    world.http.cookies.clear()
    again = await world.sign_in("ito")
    assert (await give(world, again, code(0))).status_code == 401  # the code is


async def test_guessing_codes_locks_the_name(world: World) -> None:
    code = await enrolled(world)
    page = await world.sign_in("ito")
    answers = [(await give(world, page, f"00000{number}")).status_code for number in range(6)]
    assert answers == [401] * 5 + [429]
    assert (await give(world, page, code(0))).status_code == 429
    assert (await world.sign_in("ito")).status_code == 429


async def test_many_guesses_at_once_count_as_many(world: World) -> None:
    db, now = world.node.database, time.time()
    guesses = [accounts.authenticate(db, "ito", "wrong", now) for _ in range(12)]
    answers = await gather(*guesses, return_exceptions=True)
    assert sum(answer is None for answer in answers) <= 5
    assert sum(isinstance(answer, accounts.Locked) for answer in answers) >= 7


async def test_a_person_sets_it_up_and_takes_it_away(world: World) -> None:
    await world.sign_in("ito")
    begun = fields(await world.http.get("/account")) | {"act": "begin"}
    page = await world.http.post("/account", data=begun)
    assert "<svg" in page.text
    assert "style=" not in page.text
    secret = "".join(re.findall(r"<code>(.*?)</code>", page.text)[0].split())
    form = fields(page) | {"act": "confirm", "code": pyotp.TOTP(secret).now()}
    assert "password is not right" in (await world.http.post("/account", data=form | {"password": "guess"})).text
    assert (await world.http.post("/account", data=form | {"password": PASSWORD})).status_code == 303
    page = await world.http.get("/account")
    assert "An authenticator is set up" in page.text
    assert (await world.http.post("/account", data=begun)).status_code == 400  # nobody replaces it unseen
    removal = fields(page) | {"act": "remove", "password": PASSWORD}
    assert (await world.http.post("/account", data=removal | {"code": "000000"})).status_code == 400
    next_code = pyotp.TOTP(secret).at(time.time() + 30)
    assert (await world.http.post("/account", data=removal | {"code": next_code})).status_code == 303
    assert not (await account_of(world, "ito")).second_factor


@pytest.fixture
def wanted(app: Starlette) -> Iterator[None]:
    """Consultants must have a second step."""
    before = app.state.node
    changed = before.settings.model_copy(update={"second_factor_roles": ("consultant",)})
    app.state.node = replace(before, settings=changed)
    yield
    app.state.node = before


@pytest.mark.usefixtures("wanted")
async def test_a_role_can_want_it(world: World) -> None:
    page = await world.sign_in("ito")
    assert "<h1>Set up the second step</h1>" in page.text
    secret = "".join(re.findall(r"<code>(.*?)</code>", page.text)[0].split())
    wrong = await world.http.post("/login/enrol", data=fields(page) | {"code": "000000"})
    assert wrong.status_code == 401
    right = await world.http.post("/login/enrol", data=fields(wrong) | {"code": pyotp.TOTP(secret).now()})
    assert right.status_code == 303
    assert "Dr. Aiko Ito" in (await world.http.get("/account")).text


async def test_a_link_gives_a_new_start_once(world: World) -> None:
    await enrolled(world)
    link = await administration.reset_link(world.node, "Ito")
    page = await world.http.get(link)
    short = await world.http.post("/account/reset", data=fields(page) | {"new_password": "short"})
    assert "12 characters" in short.text
    form = fields(page) | {"new_password": NEW_PASSWORD}
    assert (await world.http.post("/account/reset", data=form)).status_code == 303
    assert (await world.http.get(link)).status_code == 400
    assert (await world.http.post("/account/reset", data=form)).status_code == 400
    assert (await world.sign_in("ito")).status_code == 401
    assert (await world.sign_in("ito", NEW_PASSWORD)).status_code == 303
    with pytest.raises(administration.UnknownAccount):
        await administration.reset_link(world.node, "nobody")


async def test_provisioning_again_leaves_it_as_it_is(world: World) -> None:
    await enrolled(world)
    await provision(world.node, Document.model_validate({"accounts": DOCUMENT["accounts"]}))
    assert (await account_of(world, "ito")).second_factor
