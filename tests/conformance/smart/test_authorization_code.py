"""https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html"""

import asyncio
import base64
import secrets

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from fhir_server.auth import tokens
from fhir_server.errors import Unauthorized
from tests.fhir_server.auth.world import AUTHORIZE, BASE, CALLBACK, RSA_KEY, VERIFIER, World, returned

pytestmark = pytest.mark.anyio


@pytest.mark.spec("SMART app-launch.html#obtain-access-token")
async def test_a_code_gives_tokens_and_says_who_it_is(world: World) -> None:
    await world.sign_in("ito")
    answer = returned(await world.authorize(nonce="n-1"))
    assert (answer["state"], answer["iss"]) == (AUTHORIZE["state"], BASE)
    redeemed = await world.redeem(answer["code"], key=RSA_KEY)
    assert redeemed.status_code == 200, redeemed.text
    assert redeemed.headers["cache-control"] == "no-store"
    body = redeemed.json()
    assert body["scope"] == AUTHORIZE["scope"]
    assert body["expires_in"] == 3600
    assert (body["fhirUser"], body["roles"], body["name"]) == ("Practitioner/ito", ["consultant"], "Dr. Aiko Ito")
    caller = await tokens.resolve(world.node.database, body["access_token"])
    assert (caller.fhir_user, caller.roles, caller.client_id) == ("Practitioner/ito", {"consultant"}, "app")
    keys = KeySet.import_key_set((await world.http.get("/oauth/jwks")).json())
    token = jwt.decode(body["id_token"], keys, algorithms=["RS256"])
    assert token.header["kid"] in {key.kid for key in keys}
    assert (token.claims["iss"], token.claims["aud"], token.claims["nonce"]) == (BASE, "app", "n-1")
    assert token.claims["sub"] == caller.subject
    assert len(token.claims["sub"]) < 256
    assert token.claims["iat"] < token.claims["exp"]
    assert token.claims["fhirUser"] == f"{BASE}/fhir/Practitioner/ito"
    assert (token.claims["name"], token.claims["preferred_username"]) == ("Dr. Aiko Ito", "ito")


@pytest.mark.spec("SMART app-launch.html#obtain-authorization-code")
async def test_authorize_by_post(world: World) -> None:
    await world.sign_in("ito")
    answer = await world.http.post("/oauth/authorize", data=AUTHORIZE)
    assert (await world.redeem(returned(answer)["code"])).status_code == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"aud": "https://other.test/fhir"}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"aud": f"{BASE}/fhir/Patient"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"scope": "system/*.cruds"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"launch": "unknown", "scope": "launch user/*.rs"}, "invalid_request"),
        ({"scope": "launch user/*.rs"}, "invalid_request"),
        ({"launch": "x"}, "invalid_request"),
        ({"request": "jwt"}, "invalid_request"),
    ],
)
async def test_a_wrong_request_yields_no_code(world: World, changed: dict[str, str | None], error: str) -> None:
    await world.sign_in("ito")
    answer = returned(await world.authorize(**changed))
    assert "code" not in answer
    assert answer["state"] == AUTHORIZE["state"]
    assert answer["error"] in {error, "request_not_supported"}


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.test/callback"},
        {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": f"{CALLBACK}?next=1"},
        {"redirect_uri": f"{CALLBACK}#x"},
        {"redirect_uri": "HTTPS://app.test/callback"},
        {"redirect_uri": "https://app.test/callback/../evil"},
        {"redirect_uri": "https://app.test@evil.test/callback"},
        {"redirect_uri": "https://app.test\\@evil.test/callback"},
        {"redirect_uri": "https://app.test./callback"},
        {"redirect_uri": "https://app.test:443/callback"},
        {"redirect_uri": "https://app.test/%63allback"},
        {"redirect_uri": "https://app.test.evil.test/callback"},
        {"redirect_uri": "//app.test/callback"},
        {"redirect_uri": "https://\u0430pp.test/callback"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": 'x"\u00e9'},
        {"client_id": None},
        {"client_id": "nobody"},
        {"client_id": "backend"},
    ],
)
async def test_nothing_is_sent_to_an_address_that_is_not_registered(
    world: World, changed: dict[str, str | None]
) -> None:
    await world.sign_in("ito")
    answer = await world.authorize(**changed)
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "evil" not in answer.text


async def test_repeated_parameters_are_refused(world: World) -> None:
    await world.sign_in("ito")
    pairs = [(name, value) for name, value in AUTHORIZE.items()]
    twice = await world.http.get("/oauth/authorize", params=[*pairs, ("aud", "https://other.test")])
    assert returned(twice)["error"] == "invalid_request"
    addresses = await world.http.get("/oauth/authorize", params=[*pairs, ("redirect_uri", "https://evil.test")])
    assert addresses.status_code == 400


@pytest.mark.spec("RFC 7636 4.6")
@pytest.mark.parametrize(
    "verifier",
    ["", "short", secrets.token_urlsafe(48), AUTHORIZE["code_challenge"]],
    ids=["blank", "short", "other", "challenge"],
)
async def test_a_wrong_verifier_gives_no_token(world: World, verifier: str) -> None:
    await world.sign_in("ito")
    answer = await world.redeem(await world.code(), code_verifier=verifier)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_request", "invalid_grant"}


async def test_a_missing_verifier_gives_no_token(world: World) -> None:
    await world.sign_in("ito")
    form = {"grant_type": "authorization_code", "code": await world.code(), "redirect_uri": CALLBACK}
    assert (await world.signed("app", **form)).status_code == 400


async def test_a_code_is_for_its_client_and_its_address(world: World) -> None:
    await world.sign_in("ito")
    code = await world.code()
    other = await world.redeem(code, "backend")
    assert other.json()["error"] in {"invalid_grant", "unauthorized_client"}
    public = await world.token(
        grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER, client_id="spa"
    )
    assert public.json()["error"] == "invalid_grant"
    elsewhere = await world.redeem(code, redirect_uri="https://app.test/other")
    assert elsewhere.json()["error"] == "invalid_grant"
    assert (await world.redeem("unknown")).json()["error"] == "invalid_grant"
    assert (await world.redeem(code)).status_code == 200


@pytest.mark.spec("RFC 6749 4.1.2")
async def test_a_code_works_once_and_a_replay_takes_the_tokens_back(world: World) -> None:
    await world.sign_in("ito")
    code = await world.code()
    first = (await world.redeem(code)).json()
    again = await world.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    with pytest.raises(Unauthorized):
        await tokens.resolve(world.node.database, first["access_token"])
    renewed = await world.signed("app", grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert renewed.json()["error"] == "invalid_grant"


async def test_of_two_redemptions_at_once_at_most_one_succeeds(world: World) -> None:
    await world.sign_in("ito")
    code = await world.code()
    answers = await asyncio.gather(*(world.redeem(code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


@pytest.mark.spec("SMART client-confidential-symmetric.html")
async def test_basic_credentials_are_form_encoded_and_checked(world: World) -> None:
    form = {"grant_type": "client_credentials", "scope": "openid"}
    for credentials, status in (("old:s3cret%3Ax", 400), ("old:wrong", 401), ("nobody:x", 401), ("app:x", 401)):
        encoded = base64.b64encode(credentials.encode()).decode()
        answer = await world.http.post("/oauth/token", data=form, headers={"Authorization": f"Basic {encoded}"})
        assert answer.status_code == status
        error = "invalid_scope" if status == 400 else "invalid_client"
        assert answer.json()["error"] == error
        assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_prompt_none_never_shows_a_page(world: World) -> None:
    assert returned(await world.authorize(prompt="none"))["error"] == "login_required"
    await world.sign_in("ito")
    assert "code" in returned(await world.authorize(prompt="none"))
    assert returned(await world.authorize(prompt="none", client_id="spa"))["error"] == "interaction_required"


async def test_state_comes_back_as_it_was(world: World) -> None:
    await world.sign_in("ito")
    for state in ("a b+c%20&d=e", "ü/?#", ""):
        assert returned(await world.authorize(state=state)).get("state", "") == state
