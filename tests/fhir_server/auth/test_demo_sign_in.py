"""Signing in by name alone: only in a demo, only on loopback."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette

from fhir_server.settings import Settings
from tests.fhir_server.auth.world import BASE, World, returned

pytestmark = pytest.mark.anyio


@pytest.fixture
def demo(app: Starlette) -> Iterator[None]:
    """The setting is on.  (The world's name is not loopback, so it goes round the check that Settings makes.)"""
    before = app.state.node
    app.state.node = replace(before, settings=before.settings.model_copy(update={"demo_sign_in": True}))
    yield
    app.state.node = before


async def arrive(world: World, **parameters: str | None) -> dict[str, str]:
    """Follow the authorization request to the client."""
    waiting = await world.authorize(**parameters)
    assert waiting.headers["location"].startswith(f"{BASE}/oauth/continue?")
    return returned(await world.http.get(waiting.headers["location"]))


async def test_a_hint_does_nothing_by_default(world: World) -> None:
    answer = await world.authorize(login_hint="ito")
    page = await world.http.get(answer.headers["location"])
    assert "<h1>Sign in</h1>" in page.text
    assert "set-cookie" not in answer.headers
    assert not any("-session" in cookie for cookie in page.headers.get_list("set-cookie"))


async def test_a_hint_does_not_change_who_is_signed_in_by_default(world: World) -> None:
    await world.sign_in("meyer")
    body = (await world.redeem(await world.code(login_hint="ito"))).json()
    assert body["fhirUser"].endswith("Practitioner/meyer")


@pytest.mark.spec("OpenID Connect Core 1.0 3.1.2.1")
@pytest.mark.usefixtures("demo")
async def test_in_a_demo_the_named_person_is_signed_in(world: World) -> None:
    body = (await world.redeem((await arrive(world, login_hint="ITO"))["code"])).json()
    assert body["fhirUser"].endswith("Practitioner/ito")


@pytest.mark.usefixtures("demo")
async def test_in_a_demo_one_person_follows_another(world: World) -> None:
    await world.sign_in("meyer")
    body = (await world.redeem((await arrive(world, login_hint="ito"))["code"])).json()
    assert body["fhirUser"].endswith("Practitioner/ito")
    again = (await world.redeem(await world.code(login_hint="ito"))).json()  # signed in already: nothing is asked
    assert again["fhirUser"].endswith("Practitioner/ito")


@pytest.mark.usefixtures("demo")
async def test_in_a_demo_consent_is_not_asked_either(world: World) -> None:
    assert "code" in await arrive(world, login_hint="ito", client_id="spa")


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("hint", ["nobody", "", "Practitioner/ito"])
async def test_in_a_demo_an_unknown_name_is_asked_for_the_password(world: World, hint: str) -> None:
    page = await world.http.get((await world.authorize(login_hint=hint)).headers["location"])
    assert "<h1>Sign in</h1>" in page.text


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8401"),  # noqa: S104 - refused
        ("127.0.0.1", "https://fhir.hospital.example"),
        ("10.1.2.3", "http://localhost:8401"),
        ("", "http://localhost:8401"),
    ],
)
def test_it_refuses_to_start_away_from_loopback(host: str, base_url: str) -> None:
    with pytest.raises(ValidationError, match="is not loopback"):
        Settings(host=host, base_url=base_url, demo_sign_in=True)
    Settings(host=host, base_url=base_url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_it_starts_on_loopback(host: str) -> None:
    assert Settings(host=host, base_url="http://localhost:8400/epic", demo_sign_in=True).demo_sign_in
    assert not Settings().demo_sign_in
