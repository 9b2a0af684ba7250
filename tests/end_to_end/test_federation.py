"""People sign in with the account of their hospital: at another server of ours, and at a real Keycloak.

OpenID Connect Core 1.0, RP-Initiated Logout 1.0, Back-Channel Logout 1.0
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from fhir_server.store.auth_models import account
from konsil.secrets import new_master_key
from tests.end_to_end.federation import Keycloak, Ours, Person, ours, running_keycloak

PASSWORD = "correct horse battery staple"
BUTTON = "Sign in with St. Anna"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    """The second-opinion service."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KONSIL_MASTER_KEY", new_master_key())
        with ours(tmp_path_factory.mktemp("platform"), "platform") as server:
            yield server


@pytest.fixture
def person() -> Iterator[Person]:
    one = Person()
    yield one
    one.close()


def entry(issuer: str, **changed: Any) -> dict[str, Any]:
    known = {"name": "anna", "title": "St. Anna", "issuer": issuer, "client_id": "konsil"}
    return known | {"organization": "Organization/anna"} | changed


def is_in(page: httpx.Response, name: str) -> bool:
    return page.url.path == "/account" and name in page.text


def test_two_servers_of_ours_know_each_others_people(platform: Ours, person: Person, tmp_path: Path) -> None:
    with ours(tmp_path, "hospital", "localhost") as hospital:
        client = {
            "client_id": "konsil",
            "name": "Opinions",
            "secret": "s3cret",
            "trusted": True,
            "scopes": "openid profile",
        }
        client |= {"redirect_uris": [f"{platform.url}/login/with/anna/callback"]}
        staff = {"username": "ruiz", "password": PASSWORD, "name": "Dr. Ada Ruiz", "roles": ["requester"]}
        hospital.provision(clients=[client], accounts=[staff])
        rule = {"claim": "preferred_username", "value": "ruiz", "role": "requester"}
        more = {"secret": "s3cret", "roles": [rule], "parameters": {"aud": f"{hospital.url}/fhir"}}
        platform.provision(identity_providers=[entry(hospital.url, **more)])
        page = person.press(person.open(f"{platform.url}/login"), BUTTON)
        assert str(page.url).startswith(hospital.url)
        assert is_in(person.send(page, username="ruiz", password=PASSWORD), "Dr. Ada Ruiz")


CLIENT: dict[str, Any] = {"enabled": True, "protocol": "openid-connect", "publicClient": False}
GROUPS: dict[str, Any] = {
    "name": "groups",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-group-membership-mapper",
    "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true"},
}
ROLES = [
    {"claim": "groups", "value": "physicians", "role": "requester"},
    {"claim": "groups", "value": "records", "role": "him"},
]


def realm(base: str) -> dict[str, Any]:
    """A hospital's staff, and the second-opinion service as a client, by secret and by key."""
    here = f"{base}/login/with/anna"
    own = CLIENT | {"redirectUris": [f"{here}/callback"], "protocolMappers": [GROUPS]}
    attributes = {
        "pkce.code.challenge.method": "S256",
        "post.logout.redirect.uris": f"{base}/login",
        "backchannel.logout.url": f"{here}/backchannel-logout",
        "backchannel.logout.session.required": "true",
    }
    keys = {"use.jwks.url": "true", "jwks.url": f"{base}/oauth/jwks", "token.endpoint.auth.signing.alg": "RS256"}
    by_key = {"clientId": "konsil-by-key", "clientAuthenticatorType": "client-jwt", "attributes": attributes | keys}
    user = {"username": "ruiz", "enabled": True, "firstName": "Ada", "lastName": "Ruiz", "email": "ruiz@anna.test"}
    user |= {"credentials": [{"type": "password", "value": PASSWORD}], "groups": ["/physicians"]}
    return {
        "realm": "staff",
        "enabled": True,
        "sslRequired": "none",
        "groups": [{"name": "physicians"}, {"name": "records"}],
        "users": [user],
        "clients": [own | {"clientId": "konsil", "secret": "s3cret", "attributes": attributes}, own | by_key],
    }


@pytest.fixture(scope="module")
def real(platform: Ours, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    with running_keycloak(tmp_path_factory.mktemp("keycloak"), realm(platform.url)) as started:
        yield started


@pytest.fixture
def hospital(platform: Ours, real: Keycloak) -> Keycloak:
    """The hospital's Keycloak, provisioned as it is at first, nobody signed in there, one group."""
    provide(platform, real, secret="s3cret")
    user = real.of("users", username="ruiz")
    real.admin("POST", f"/staff/users/{user}/logout")
    real.admin("PUT", f"/staff/users/{user}/groups/{real.of('groups', search='physicians')}")
    real.admin("DELETE", f"/staff/users/{user}/groups/{real.of('groups', search='records')}")
    return real


def provide(platform: Ours, real: Keycloak, **changed: Any) -> None:
    platform.provision(identity_providers=[entry(f"{real.url}/realms/staff", **({"roles": ROLES} | changed))])


def sign_in(platform: Ours, person: Person) -> httpx.Response:
    page = person.press(person.open(f"{platform.url}/login"), BUTTON)
    assert "kc-form-login" in page.text, page.text
    return person.send(page, username="ruiz", password=PASSWORD)


def roles(platform: Ours) -> list[str]:
    """The roles of the newest account that a provider named."""
    chosen = select(account.c.roles_json).where(account.c.issuer.like("%/realms/staff"))
    [row] = platform.call(platform.node.database.fetch(chosen))
    return sorted(json.loads(row["roles_json"]))


@pytest.mark.full
@pytest.mark.peer
@pytest.mark.timeout(900)
def test_keycloaks_people_sign_in_and_their_groups_are_their_roles(
    platform: Ours, hospital: Keycloak, person: Person
) -> None:
    assert is_in(sign_in(platform, person), "Ada Ruiz")
    assert roles(platform) == ["requester"]
    user = hospital.of("users", username="ruiz")
    hospital.admin("PUT", f"/staff/users/{user}/groups/{hospital.of('groups', search='records')}")
    person.open(f"{platform.url}/login/with/anna")  # without a password: the session there is still open
    assert roles(platform) == ["him", "requester"]
    for group in ("records", "physicians"):
        hospital.admin("DELETE", f"/staff/users/{user}/groups/{hospital.of('groups', search=group)}")
    page = person.open(f"{platform.url}/login/with/anna")
    assert (page.status_code, "has given you no part in second opinions" in page.text) == (403, True)
    assert roles(platform) == []
    assert person.open(f"{platform.url}/account").url.path == "/login"


@pytest.mark.full
@pytest.mark.peer
@pytest.mark.timeout(900)
def test_a_client_without_secret_proves_itself_to_keycloak_by_our_published_keys(
    platform: Ours, hospital: Keycloak, person: Person
) -> None:
    provide(platform, hospital, client_id="konsil-by-key", private_key_jwt=True)
    assert is_in(sign_in(platform, person), "Ada Ruiz")


@pytest.mark.full
@pytest.mark.peer
@pytest.mark.timeout(900)
def test_claims_of_keycloaks_userinfo_count_too_and_acr_is_as_agreed(
    platform: Ours, hospital: Keycloak, person: Person
) -> None:
    provide(platform, hospital, userinfo=True, acr=["1"])
    assert is_in(sign_in(platform, person), "Ada Ruiz")
    provide(platform, hospital, acr=["gold"])
    page = person.open(f"{platform.url}/login/with/anna")
    if "kc-form-login" in page.text:  # it asks again for what it was told to, and knows no stronger way
        page = person.send(page, username="ruiz", password=PASSWORD)
    assert "did not ask for the second step" in page.text


@pytest.mark.full
@pytest.mark.peer
@pytest.mark.timeout(900)
def test_signing_out_here_leads_to_the_sign_out_at_keycloak(platform: Ours, hospital: Keycloak, person: Person) -> None:
    page = sign_in(platform, person)
    form = next(each for each in page.text.split("<form") if "/logout" in each)
    token = form.split('name="form_token" value="')[1].split('"')[0]
    page = person.request("POST", f"{platform.url}/logout", data={"form_token": token})
    assert "At St. Anna you are still signed in" in page.text
    back = person.press(page, "Sign out of St. Anna too")
    assert str(back.url).startswith(f"{platform.url}/login")
    assert "kc-form-login" in person.press(back, BUTTON).text


@pytest.mark.full
@pytest.mark.peer
@pytest.mark.timeout(900)
def test_a_sign_out_at_keycloak_ends_the_session_here(platform: Ours, hospital: Keycloak, person: Person) -> None:
    assert is_in(sign_in(platform, person), "Ada Ruiz")
    hospital.admin("POST", f"/staff/users/{hospital.of('users', username='ruiz')}/logout")
    deadline = time.monotonic() + 30
    while person.open(f"{platform.url}/account").url.path != "/login":
        assert time.monotonic() < deadline, "the session is still open"


@pytest.mark.full
@pytest.mark.peer
@pytest.mark.timeout(900)
def test_a_key_that_keycloak_takes_up_is_believed(platform: Ours, hospital: Keycloak, person: Person) -> None:
    assert is_in(sign_in(platform, person), "Ada Ruiz")
    key = {"providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "name": "newer"}
    parent = hospital.admin("GET", "/staff")["id"]
    hospital.admin("POST", "/staff/components", key | {"parentId": parent, "config": {"priority": ["200"]}})
    deadline = time.monotonic() + 60  # an unknown key is looked for every ten seconds at most
    while not is_in(person.open(f"{platform.url}/login/with/anna"), "Ada Ruiz"):
        assert time.monotonic() < deadline, "the new key is not known"
