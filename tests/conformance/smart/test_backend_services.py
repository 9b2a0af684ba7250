"""https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html"""

import time
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, RSAKey

from fhir_server.auth import tokens
from fhir_server.errors import Unauthorized
from tests.fhir_server.auth.world import ASSERTION_TYPE, BASE, EC_KEY, RSA_KEY, World, assertion, proof

pytestmark = pytest.mark.anyio
GRANT = {"grant_type": "client_credentials", "scope": "system/Task.rs system/Patient.r"}


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["ES384", "RS384"])
async def test_a_signed_assertion_gives_a_token_that_resolves(world: World, key: Key) -> None:
    answer = await world.signed("backend", key, **GRANT)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"].lower(), body["scope"], body["expires_in"]) == ("bearer", GRANT["scope"], 300)
    caller = await tokens.resolve(world.node.database, body["access_token"])
    assert (caller.subject, caller.client_id, caller.fhir_user) == ("backend", "backend", None)
    assert (caller.roles, caller.scopes) == ({"system"}, ("system/Task.rs", "system/Patient.r"))


async def test_keys_by_address_are_fetched_and_fetched_again_for_a_new_kid(world: World) -> None:
    form = {"grant_type": "client_credentials", "scope": "system/Task.rs"}
    world.publish("/jwks", EC_KEY)
    assert (await world.signed("engine", EC_KEY, **form)).status_code == 200
    rotated = ECKey.generate_key("P-384", {"kid": "ec-2"})
    world.publish("/jwks", rotated)
    assert (await world.signed("engine", rotated, **form)).status_code == 400  # asked again at most every 10 s
    assert (await world.signed("engine", EC_KEY, **form)).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "engine"},
        {"sub": "app"},
        {"aud": f"{BASE}/oauth/authorize"},
        {"aud": None},
        {"exp": int(time.time()) - 60},
        {"exp": int(time.time()) + 3600},
        {"exp": None},
        {"exp": "tomorrow"},
        {"jti": None},
        {"jti": 7},
        {"nbf": int(time.time()) + 600},
        {"iss": None},
        {"iss": ["backend"]},
    ],
    ids="+".join,
)
async def test_a_wrong_claim_is_refused(world: World, changed: dict[str, Any]) -> None:
    answer = await world.token(
        **GRANT, client_assertion_type=ASSERTION_TYPE, client_assertion=assertion("backend", **changed)
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize(
    ("key", "header"),
    [
        (EC_KEY, {"kid": "unknown"}),
        (EC_KEY, {"kid": None}),
        (RSA_KEY, {"alg": "RS256"}),
        (ECKey.generate_key("P-384", {"kid": "ec-1"}), {}),
        (RSAKey.generate_key(2048, {"kid": "ec-1"}), {}),
    ],
    ids=["wrong kid", "no kid", "RS256", "other key, same kid", "other type, same kid"],
)
async def test_a_wrong_key_is_refused(world: World, key: Key, header: dict[str, Any]) -> None:
    answer = await world.token(
        **GRANT, client_assertion_type=ASSERTION_TYPE, client_assertion=assertion("backend", key, header)
    )
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


async def test_alg_none_is_refused(world: World) -> None:
    _, payload, _ = assertion("backend").split(".")
    forged = f"eyJhbGciOiJub25lIiwia2lkIjoiZWMtMSJ9.{payload}."
    answer = await world.token(**GRANT, client_assertion_type=ASSERTION_TYPE, client_assertion=forged)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")


async def test_an_assertion_works_once(world: World) -> None:
    used = proof("backend")
    assert (await world.token(**GRANT, **used)).status_code == 200
    again = await world.token(**GRANT, **used)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_client")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "system/Task.rs"}, "unsupported_grant_type"),
        ({"grant_type": "password", "scope": "system/Task.rs"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_scope"),
        ({"grant_type": "client_credentials", "scope": "user/*.rs patient/*.rs openid"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_is_refused(world: World, form: dict[str, str], error: str) -> None:
    answer = await world.signed("backend", **form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_scopes_are_narrowed_to_the_registration(world: World) -> None:
    world.publish("/jwks", EC_KEY)
    answer = await world.signed("engine", grant_type="client_credentials", scope="system/*.cruds")
    assert answer.json()["scope"] == "system/Task.rs"


async def test_without_proof_there_is_no_token(world: World) -> None:
    for form in ({}, {"client_id": "backend"}, {"client_id": "spa"}, {"client_id": "nobody"}):
        answer = await world.token(**GRANT, **form)
        assert answer.status_code == 400
        assert answer.json()["error"] in {"invalid_client", "unauthorized_client"}


async def test_a_body_that_is_no_form_is_refused(world: World) -> None:
    answer = await world.http.post("/oauth/token", json=GRANT)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    repeated = await world.http.post("/oauth/token", content=b"grant_type=a&grant_type=b",
                                     headers={"Content-Type": "application/x-www-form-urlencoded"})  # fmt: skip
    assert (repeated.status_code, repeated.json()["error"]) == (400, "invalid_request")


async def test_no_token_resolves_to_nobody(world: World) -> None:
    for bearer in ("", "x", "0" * 43):
        with pytest.raises(Unauthorized):
            await tokens.resolve(world.node.database, bearer)
