"""Who has no password here signs by a new sign-in at the hospital's identity provider.  docs/signature.md"""

import time
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.conformance.smart.test_identity_provider import come_back, is_in, leave, provide, sign_in
from tests.fhir_server.auth.provider import Provider, providers
from tests.fhir_server.auth.world import World, fields, proof

pytestmark = pytest.mark.anyio
SHA256 = "a" * 64


@pytest.fixture(scope="module")
def make_provider() -> Iterator[Callable[[], Provider]]:
    with providers() as make:
        yield make


async def signing(world: World, token: str, path: str = "", **form: str) -> dict[str, object]:
    answer = await world.http.post(f"/oauth/signing{path}", data={"token": token} | form | proof("app"))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def at_the_provider(world: World, hospital: Provider, waiting: str, auth_time: int) -> httpx.Response:
    """Go on from the window to the hospital, which asks anew, and come back."""
    hospital.claims |= {"auth_time": auth_time}
    there = await leave(world, waiting=waiting)
    answer = await come_back(world, hospital.authorize(there))
    assert (hospital.asked[-1]["prompt"], hospital.asked[-1]["max_age"]) == ("login", "0")
    return answer


@pytest.mark.spec("RFC 8176 2")
@pytest.mark.spec("OpenID Connect Core 1.0 3.1.2.1")
async def test_a_new_sign_in_at_the_hospital_proves_the_signer(
    world: World, make_provider: Callable[[], Provider]
) -> None:
    hospital = make_provider()
    await provide(world, hospital, roles=[{"claim": "groups", "value": "consil", "role": "consultant"}])
    assert is_in(await sign_in(world, hospital))
    token = (await world.redeem(await world.code())).json()["access_token"]
    assert await signing(world, token, "/methods") == {"methods": [], "pin_locked": False}
    began = await signing(world, token, resource="DiagnosticReport/r", sha256=SHA256, title="Second opinion")
    window, handle = str(began["window"]), str(began["signing"])
    waiting = parse_qs(urlsplit(window).query)["request"][0]
    page = await world.http.get(window)
    assert "Sign in again as Dr. Ada Ruiz to sign: Second opinion." in page.text

    old = await at_the_provider(world, hospital, waiting, int(time.time()) - 3_600)
    assert old.status_code == 403, "a sign-in of an hour ago is none for this signature"
    hospital.claims |= {"sub": "u-2", "name": "Dr. Other"}
    assert is_in(await at_the_provider(world, hospital, waiting, int(time.time())))
    assert "Sign in again as Dr. Ada Ruiz" in (await world.http.get(window)).text, "somebody else's is none either"
    assert (await signing(world, token, "/status", signing=handle))["status"] == "waiting"

    hospital.claims |= {"sub": "u-1", "name": "Dr. Ada Ruiz"}
    behind = int(time.time()) - 5  # the hospital's clock
    answer = await at_the_provider(world, hospital, waiting, behind)
    assert is_in(answer)
    page = await world.http.get(answer.headers["location"])
    assert "Is this what you sign?" in page.text
    assert "You have signed" in (await world.http.post("/oauth/continue", data=fields(page))).text
    proved = await signing(world, token, "/status", signing=handle)
    assert (proved["status"], proved["amr"]) == ("proved", ["fed"])
