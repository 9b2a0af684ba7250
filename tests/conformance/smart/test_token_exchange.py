"""RFC 8693: an id_token of an EHR tenant becomes our token for that practitioner."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import Key, RSAKey

from fhir_server.auth import records, tokens
from fhir_server.auth.provision import Document, provision
from tests.fhir_server.auth.world import BASE, DOCUMENT, EC_KEY, TENANT_KEY, World, public

pytestmark = pytest.mark.anyio
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ISSUER = "https://ehr.test/epic"
SCOPE = "openid fhirUser user/*.cruds"


def id_token(key: Key = TENANT_KEY, alg: str = "RS256", kid: str | None = "tenant-1", **claims: Any) -> str:
    now = int(time.time())
    standard = {
        "iss": ISSUER,
        "sub": "dr-1",
        "aud": "app-at-epic",
        "iat": now,
        "exp": now + 300,
        "name": "Dr. Ada Ruiz",
    }
    header = {"alg": alg} | ({"kid": kid} if kid is not None else {})
    wanted = {name: value for name, value in (standard | claims).items() if value is not None}
    return jwt.encode(header, wanted, key, algorithms=[alg])


async def exchange(world: World, token: str, client_id: str = "app", **changed: str) -> httpx.Response:
    form = {"grant_type": GRANT_TYPE, "subject_token": token, "subject_token_type": ID_TOKEN, "scope": SCOPE}
    return await world.signed(client_id, **form | changed)


async def found(world: World, resource_type: str, subject: str, issuer: str = ISSUER) -> list[dict[str, Any]]:
    query = {"identifier": f"{issuer}|{subject}"}
    return await records.search(world.node, records.registrar(None), resource_type, query)


async def test_a_practitioner_is_known_from_the_first_sight_on(world: World) -> None:
    answer = await exchange(world, id_token())
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 14_400, SCOPE)
    assert "refresh_token" not in body
    [practitioner] = await found(world, "Practitioner", "dr-1")
    assert practitioner["name"] == [{"text": "Dr. Ada Ruiz"}]
    [role] = await found(world, "PractitionerRole", "dr-1")
    assert role["practitioner"]["reference"] == f"Practitioner/{practitioner['id']}"
    assert role["organization"] == {"reference": "Organization/anna"}
    caller = await tokens.resolve(world.node.database, body["access_token"])
    assert caller.fhir_user == body["fhirUser"] == f"Practitioner/{practitioner['id']}"
    assert (caller.roles, caller.organization, caller.patient) == ({"requester"}, "Organization/anna", None)
    assert (body["roles"], body["organization"], body["name"]) == (["requester"], "Organization/anna", "Dr. Ada Ruiz")
    again = (await exchange(world, id_token(name="Another Name"))).json()
    assert again["fhirUser"] == body["fhirUser"]
    assert (await tokens.resolve(world.node.database, again["access_token"])).subject == caller.subject


async def test_the_token_opens_the_fhir_api_and_nothing_else_does(world: World) -> None:
    body = (await exchange(world, id_token())).json()
    address = f"/fhir/{body['fhirUser']}"
    assert (await world.http.get(address)).status_code == 401
    answer = await world.http.get(address, headers={"Authorization": f"Bearer {body['access_token']}"})
    assert answer.status_code == 200
    assert answer.json()["identifier"] == [{"system": ISSUER, "value": "dr-1"}]


async def test_first_sights_at_once_make_one_person(world: World) -> None:
    answers = await asyncio.gather(*(exchange(world, id_token(jti=str(n))) for n in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json()["fhirUser"] for answer in answers}) == 1
    assert len(await found(world, "Practitioner", "dr-1")) == 1


async def test_one_subject_of_two_tenants_is_two_persons(world: World) -> None:
    other = {"name": "oracle", "issuer": "https://ehr.test/oracle", "jwks": public(TENANT_KEY)}
    tenant = other | {"client_id": "app-at-oracle", "organization": "Organization/bert"}
    await provision(world.node, Document.model_validate({"tenants": [tenant]}))
    here = (await exchange(world, id_token())).json()
    there = (await exchange(world, id_token(iss="https://ehr.test/oracle", aud="app-at-oracle"))).json()
    assert here["fhirUser"] != there["fhirUser"]
    assert there["organization"] == "Organization/bert"


@pytest.mark.parametrize("subject", ["a|b", "a,b", "a\\b", "a$b", "ü &=+"])
async def test_a_subject_of_any_characters_finds_itself_alone(world: World, subject: str) -> None:
    first = (await exchange(world, id_token(sub=subject))).json()
    assert (await exchange(world, id_token(sub=subject, jti="2"))).json()["fhirUser"] == first["fhirUser"]
    assert (await exchange(world, id_token(sub="a"))).json()["fhirUser"] != first["fhirUser"]


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://ehr.test/other"},
        {"iss": f"{ISSUER}/"},
        {"iss": BASE},
        {"iss": None},
        {"aud": "app"},
        {"aud": ["other"]},
        {"aud": None},
        {"aud": ["app-at-epic", "other"], "azp": "other"},
        {"exp": int(time.time()) - 300},
        {"exp": None},
        {"iat": int(time.time()) + 600},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
    ],
    ids="+".join,
)
async def test_a_wrong_claim_is_refused(world: World, claims: dict[str, Any]) -> None:
    answer = await exchange(world, id_token(**claims))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_wrong_key_is_refused(world: World) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "tenant-1"})
    _, payload, _ = id_token().split(".")
    forged = [
        id_token(stranger),
        id_token(kid="other"),
        id_token(kid=None),
        f"eyJhbGciOiJub25lIiwia2lkIjoidGVuYW50LTEifQ.{payload}.",
        "no.jwt",
        "x",
    ]
    for token in forged:
        answer = await exchange(world, token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("jti", [None, "j-1"])
async def test_an_id_token_works_once(world: World, jti: str | None) -> None:
    token = id_token(jti=jti)
    assert (await exchange(world, token)).status_code == 200
    again = await exchange(world, token)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


async def test_only_a_client_that_may_exchange_does(world: World) -> None:
    answer = await exchange(world, id_token(), "backend")
    assert answer.json()["error"] == "unauthorized_client"
    anonymous = await world.token(grant_type=GRANT_TYPE, subject_token=id_token(), subject_token_type=ID_TOKEN)
    assert anonymous.json()["error"] == "invalid_client"
    public_client = await world.token(
        grant_type=GRANT_TYPE, subject_token=id_token(), subject_token_type=ID_TOKEN, client_id="spa"
    )
    assert public_client.json()["error"] == "unauthorized_client"


async def test_a_malformed_exchange_is_refused(world: World) -> None:
    for changed in ({"subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}, {"subject_token": ""}):
        assert (await exchange(world, id_token(), **changed)).json()["error"] == "invalid_request"
    assert (await exchange(world, id_token(), scope="")).json()["error"] == "invalid_scope"
    assert (await exchange(world, id_token(jti="x"), scope="system/*.cruds")).json()["error"] == "invalid_scope"


async def test_our_own_id_tokens_are_not_exchanged(world: World) -> None:
    await world.sign_in("ito")
    own = (await world.redeem(await world.code())).json()["id_token"]
    assert (await exchange(world, own)).json()["error"] == "invalid_grant"


async def test_a_tenant_whose_keys_cannot_be_fetched_is_not_asked_in_a_row(world: World) -> None:
    tenant = DOCUMENT["tenants"][0] | {"jwks": None, "jwks_url": f"{world.address}{world.folder}/down"}
    await provision(world.node, Document.model_validate({"tenants": [tenant]}))
    assert (await exchange(world, id_token())).json()["error"] == "invalid_grant"
    world.publish("/down", TENANT_KEY)
    assert (await exchange(world, id_token())).json()["error"] == "invalid_grant"


async def test_keys_of_a_tenant_by_address(world: World) -> None:
    address = f"{world.address}{world.folder}/epic/jwks"
    tenant = DOCUMENT["tenants"][0] | {"jwks": None, "jwks_url": address}
    await provision(world.node, Document.model_validate({"tenants": [tenant]}))
    assert world.publish("/epic/jwks", TENANT_KEY, EC_KEY) == address
    assert (await exchange(world, id_token(jti="again"))).status_code == 200
