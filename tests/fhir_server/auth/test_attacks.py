"""What attackers try at the authorization server, beside what the tests of each clause refuse (docs/security.md)."""

import base64
import json
import time
from hashlib import sha384
from hmac import new as hmac
from typing import Any
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.applications import Starlette

from fhir_server.auth import accounts, passwords, sessions, tokens
from fhir_server.errors import TooManyRequests
from fhir_server.http.endpoint import limited
from tests.fhir_server.auth.world import (
    ASSERTION_TYPE,
    BASE,
    PASSWORD,
    RSA_KEY,
    World,
    assertion,
    fields,
    public,
    returned,
)

pytestmark = pytest.mark.anyio
GRANT = {"grant_type": "client_credentials", "scope": "system/Task.rs", "client_assertion_type": ASSERTION_TYPE}
ATTACKER = ECKey.generate_key("P-384", {"kid": "mine", "use": "sig"})


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims() -> dict[str, Any]:
    now = int(time.time())
    return {"iss": "backend", "sub": "backend", "aud": f"{BASE}/oauth/token", "exp": now + 200, "jti": str(uuid4())}


@pytest.mark.spec("RFC 8725 2.1")
@pytest.mark.parametrize("algorithm", ["HS256", "HS384"])
async def test_a_public_key_is_no_shared_secret(world: World, algorithm: str) -> None:
    """Key confusion: what everybody may read, used to make a MAC."""
    signed = f"{part({'alg': algorithm, 'kid': 'rsa-1'})}.{part(claims())}"
    for secret in (RSA_KEY.as_pem(private=False), json.dumps(public(RSA_KEY)["keys"][0]).encode()):
        mac = base64.urlsafe_b64encode(hmac(secret, signed.encode(), sha384).digest()).rstrip(b"=").decode()
        answer = await world.token(**GRANT, client_assertion=f"{signed}.{mac}")
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


@pytest.mark.spec("RFC 7515 4.1.2")
@pytest.mark.parametrize("kid", ["mine", "ec-1"])
async def test_keys_that_come_with_the_assertion_do_not_count(world: World, kid: str) -> None:
    """JWKS poisoning: `jwk`, `jku` and `x5u` in the header lead to the attacker's key."""
    address = world.publish("/attacker", ATTACKER)
    header = {"kid": kid, "jku": address, "x5u": address, "jwk": public(ATTACKER)["keys"][0]}
    forged = jwt.encode({"alg": "ES384", **header}, claims(), ATTACKER, algorithms=["ES384"])
    answer = await world.token(**GRANT, client_assertion=forged)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


@pytest.mark.spec("RFC 7523 3")
async def test_a_key_serves_its_own_client_alone(world: World) -> None:
    """The engine's key does not prove the worker, whatever `kid` its own key set gives it."""
    mine = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
    world.publish("/jwks", mine)
    form = {**GRANT, "client_assertion_type": ASSERTION_TYPE}
    assert (await world.token(**form, client_assertion=assertion("engine", mine))).status_code == 200
    answer = await world.token(**form, client_assertion=assertion("backend", mine))
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.spec("RFC 9207 2")
async def test_the_answer_says_who_gave_it(world: World) -> None:
    """Mix-up: the code and every error name the issuer, so that a client sends the code nowhere else."""
    await world.sign_in("ito")
    assert returned(await world.authorize())["iss"] == BASE
    assert returned(await world.authorize(scope="system/*.rs"))["iss"] == BASE
    assert returned(await world.authorize(aud="https://other.test"))["iss"] == BASE


@pytest.mark.spec("RFC 6749 3.3")
async def test_a_scope_at_the_token_endpoint_widens_nothing(world: World) -> None:
    await world.sign_in("ito")
    body = (await world.redeem(await world.code(scope="user/Task.rs"), scope="user/*.cruds system/*.cruds")).json()
    assert body["scope"] == "user/Task.rs"
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await world.http.get("/fhir/Task", headers=bearer)).status_code == 200
    assert (await world.http.get("/fhir/Patient", headers=bearer)).status_code == 403


@pytest.mark.spec("RFC 7636 4.6")
async def test_the_verifier_of_another_request_opens_no_code(world: World) -> None:
    """Code injection: a code that was stolen for another challenge."""
    await world.sign_in("ito")
    stolen = await world.code(code_challenge="A" * 43)
    assert (await world.redeem(stolen)).json()["error"] == "invalid_grant"


async def test_a_cookie_that_was_planted_is_not_taken_over(world: World) -> None:
    """Session fixation: signing in makes a new secret, and the one before it is worth nothing."""
    name = sessions.cookie_name(world.node.settings)
    world.http.cookies.set(name, "planted", domain="fhir.test")
    assert (await world.sign_in("ito")).status_code == 303
    first = {key: value for key, value in world.http.cookies.items() if value != "planted"}[name]
    page = await world.http.get("/account")
    assert "Dr. Aiko Ito" in page.text
    await world.sign_in_again("meyer")
    for worthless in ("planted", first):
        world.http.cookies.clear()
        world.http.cookies.set(name, worthless, domain="fhir.test")
        assert (await world.http.get("/account")).headers["location"] == f"{BASE}/login"


async def test_a_name_takes_as_long_whether_it_exists_or_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing: the same number of hashes of the same cost; a clock would only measure the machine's moods."""
    checked: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
            checked.append(str(hash).rpartition("$")[0].rpartition("$")[0])
            return super().verify(hash, password)  # type: ignore[return-value]

    monkeypatch.setattr(passwords, "HASHER", Counting(time_cost=1, memory_cost=8, parallelism=1))
    passwords._decoy.cache_clear()
    for name in ("ito", "nobody"):
        assert await accounts.authenticate(world.node.database, name, "wrong", time.time()) is None
    passwords._decoy.cache_clear()
    assert len(checked) == 2
    assert checked[0] == checked[1]


async def test_one_password_tried_for_many_names_is_slowed_down_by_address(world: World, app: Starlette) -> None:
    """Spraying: no name is locked by it, but the address waits."""
    attacker = httpx.ASGITransport(app, client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=attacker, base_url=BASE) as http:
        form = fields(await http.get("/login")) | {"password": "Winter2026!"}
        answers = [await http.post("/login", data=form | {"username": f"name-{tried}"}) for tried in range(101)]
        assert {answer.status_code for answer in answers[:100]} == {401}
        assert (answers[100].status_code, answers[100].headers["retry-after"]) == (429, "60")
        assert (await http.post("/login", data=form | {"username": "ito", "password": PASSWORD})).status_code == 429
    assert (await world.sign_in("ito")).status_code == 303


async def test_a_caller_who_asks_too_often_waits_and_others_do_not(world: World) -> None:
    settings = world.node.settings.model_copy(update={"requests_per_minute": 2, "client_requests_per_minute": 3})
    authenticate = limited(tokens.resolve, settings)
    await world.sign_in("ito")
    person = (await world.redeem(await world.code())).json()["access_token"]
    program = (await world.signed("backend", grant_type="client_credentials", scope="system/Task.rs")).json()
    for token, count in ((person, 2), (program["access_token"], 3)):
        for _ in range(count):
            await authenticate(world.node.database, token)
        with pytest.raises(TooManyRequests) as refused:
            await authenticate(world.node.database, token)
        assert int(refused.value.headers["Retry-After"]) <= 30


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/Patient/%2e%2e/%2e%2e/metrics",
        "/fhir/Patient/..%2f..%2fetc%2fpasswd",
        "/fhir/Patient/x%00",
        "/fhir//Patient/x",
        "/fhir/Binary/%2e%2e%2f%2e%2e%2fsettings.py",
    ],
)
async def test_a_path_leads_nowhere_else(world: World, path: str) -> None:
    await world.sign_in("ito")
    token = (await world.redeem(await world.code(scope="user/*.rs"))).json()["access_token"]
    request = world.http.build_request("GET", BASE, headers={"Authorization": f"Bearer {token}"})
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = await world.http.send(request)
    assert answer.status_code in {400, 404}
    assert "root:" not in answer.text


async def test_a_form_that_never_ends_is_refused(world: World) -> None:
    answer = await world.token(grant_type="client_credentials", scope="x" * 70_000)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    many = await world.http.post("/oauth/token", data={f"field{number}": "x" for number in range(60)})
    assert many.json()["error"] == "invalid_request"


async def test_another_patient_is_not_found_by_id(world: World) -> None:
    """Horizontal access: a patient's own token and another's id."""
    await world.sign_in("noor")
    body = (await world.redeem(await world.code(scope="launch/patient patient/*.rs"))).json()
    bearer = {"Authorization": f"Bearer {body['access_token']}"}
    for address in (
        "Patient/other",
        "Patient/other/_history",
        "Patient/other/$everything",
        "Observation?patient=other",
    ):
        answer = await world.http.get(f"/fhir/{address}", headers=bearer)
        assert answer.status_code in {403, 404} or answer.json().get("total", 0) == 0


@pytest.mark.spec("RFC 6819 4.4.1.9")
async def test_pages_may_be_framed_by_ourselves_alone(world: World) -> None:
    """Click-jacking: sign-in, consent, account and errors."""
    world.http.cookies.clear()
    pages = [await world.http.get("/login"), await world.http.get("/oauth/authorize")]
    await world.sign_in("ito")
    waiting = (await world.authorize(client_id="spa")).headers["location"]
    pages += [await world.http.get(waiting), await world.http.get("/account")]
    for page in pages:
        assert "frame-ancestors 'self';" in page.headers["content-security-policy"] + ";"
    assert fields(pages[-1])["form_token"]
