"""https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html"""

import pytest

from tests.fhir_server.auth.world import BASE, World

pytestmark = pytest.mark.anyio


@pytest.mark.spec("SMART conformance.html#using-well-known")
async def test_smart_configuration(world: World) -> None:
    answer = await world.http.get("/fhir/.well-known/smart-configuration", headers={"Origin": "https://spa.test"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    body = answer.json()
    assert body["issuer"] == BASE
    assert body["authorization_endpoint"] == f"{BASE}/oauth/authorize"
    assert body["token_endpoint"] == f"{BASE}/oauth/token"
    assert body["jwks_uri"] == f"{BASE}/oauth/jwks"
    assert {"authorization_code", "client_credentials"} <= set(body["grant_types_supported"])
    assert body["code_challenge_methods_supported"] == ["S256"]
    assert {"RS384", "ES384"} == set(body["token_endpoint_auth_signing_alg_values_supported"])
    wanted = {
        "launch-ehr",
        "launch-standalone",
        "authorize-post",
        "sso-openid-connect",
        "permission-v1",
        "permission-v2",
    }
    assert wanted <= set(body["capabilities"])


@pytest.mark.spec("OpenID Connect Discovery 4")
async def test_openid_configuration_and_keys(world: World) -> None:
    body = (await world.http.get("/.well-known/openid-configuration")).json()
    required = {"issuer", "jwks_uri", "response_types_supported", "subject_types_supported"}
    assert required <= body.keys()
    assert body["id_token_signing_alg_values_supported"] == ["RS256"]
    keys = (await world.http.get("/oauth/jwks")).json()["keys"]
    assert [(key["kty"], key["alg"], key["use"]) for key in keys] == [("RSA", "RS256", "sig")]
    assert keys[0]["kid"]
    assert not {"d", "p", "q"} & keys[0].keys()


async def test_a_page_of_another_origin_may_ask(world: World) -> None:
    for path in ("/oauth/token", "/oauth/jwks", "/fhir/.well-known/smart-configuration", "/oauth/revoke"):
        answer = await world.http.options(
            path, headers={"Access-Control-Request-Method": "POST", "Origin": "https://a.test"}
        )
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "Authorization" in answer.headers["access-control-allow-headers"]
