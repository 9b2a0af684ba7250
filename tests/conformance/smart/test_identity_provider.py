"""Signing in by a hospital's identity provider: OpenID Connect Core 1.0, RFC 9207, RFC 9700, and attacks on it."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from starlette.applications import Starlette

from fhir_server.auth import records, tokens
from fhir_server.auth.provision import Document, provision
from fhir_server.store import auth_registry
from fhir_server.store.auth_values import Account
from tests.fhir_server.auth.provider import CLIENT_ID, KEY, OTHER_KEY, SECRET, Provider, providers, sign
from tests.fhir_server.auth.world import BASE, World, fields
from tests.markup import checked, mark

pytestmark = pytest.mark.anyio
CORE = "OpenID Connect Core 1.0"
ROLES = [
    {"claim": "groups", "value": "consil", "role": "requester"},
    {"claim": ["realm_access", "roles"], "value": "him", "role": "him"},
]


@pytest.fixture(scope="module")
def make_provider() -> Iterator[Callable[[], Provider]]:
    with providers() as make:
        yield make


@pytest.fixture
async def hospital(world: World, make_provider: Callable[[], Provider]) -> Provider:
    provider = make_provider()
    await provide(world, provider)
    return provider


async def provide(world: World, provider: Provider, name: str = "anna", **changed: Any) -> None:
    entry: dict[str, Any] = {
        "name": name,
        "title": "St. Anna <Hospital>",
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "secret": SECRET,
        "roles": ROLES,
        "organization": "Organization/anna",
    }
    await provision(world.node, Document.model_validate({"identity_providers": [entry | changed]}))


async def leave(world: World, name: str = "anna", waiting: str = "") -> str:
    """Press the button; gives the address at the provider."""
    answer = await world.http.get(f"/login/with/{name}" + (f"?request={waiting}" if waiting else ""))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def come_back(world: World, given: dict[str, str], name: str = "anna") -> httpx.Response:
    return await world.http.get(f"/login/with/{name}/callback", params=given)


async def sign_in(world: World, hospital: Provider, **changed: str) -> httpx.Response:
    return await come_back(world, hospital.authorize(await leave(world)) | changed)


async def account(world: World, hospital: Provider, subject: str = "u-1") -> Account | None:
    return await auth_registry.find_account_by_identity(world.node.database, hospital.issuer, subject)


def is_in(answer: httpx.Response) -> bool:
    return answer.status_code == 303 and any("-session=" in each for each in answer.headers.get_list("set-cookie"))


async def stays_out(world: World, answer: httpx.Response, status: int = 502) -> None:
    """A page that says so and has a way on; nobody is signed in."""
    assert answer.status_code == status, answer.text
    assert "You are not signed in" in answer.text
    assert "Sign in another way" in answer.text
    assert "<Hospital>" not in answer.text
    assert (await world.http.get("/account")).headers["location"] == f"{BASE}/login"


@pytest.mark.spec(f"{CORE} 3.1")
async def test_a_person_signs_in_and_goes_on_with_the_application(world: World, hospital: Provider) -> None:
    page = (await world.http.get((await world.authorize(login_hint="ruiz")).headers["location"])).text
    assert "Sign in with St. Anna &lt;Hospital&gt;" in page
    assert 'name="password"' in page
    waiting = page.split(f'href="{BASE}/login/with/anna?request=')[1].split('"')[0]
    given = hospital.authorize(await leave(world, waiting=waiting))
    assert hospital.asked[0]["login_hint"] == "ruiz"
    assert hospital.asked[0]["code_challenge_method"] == "S256"
    answer = await come_back(world, given)
    assert is_in(answer)
    answer = await world.http.get(answer.headers["location"])
    code = parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]
    body = (await world.redeem(code)).json()
    assert (body["roles"], body["organization"], body["name"]) == (["requester"], "Organization/anna", "Dr. Ada Ruiz")
    caller = await tokens.resolve(world.node.database, body["access_token"])
    assert caller.organization == "Organization/anna"


async def test_one_person_is_one_account_and_one_practitioner(world: World, hospital: Provider) -> None:
    for _ in range(2):
        assert is_in(await sign_in(world, hospital))
    first = await account(world, hospital)
    assert first is not None
    page = (await world.http.get("/account")).text
    assert "with the account of your organization" in page
    assert 'type="password"' not in page
    query = {"identifier": f"{hospital.issuer}|u-1"}
    for resource_type in ("Practitioner", "PractitionerRole"):
        [found] = await records.search(world.node, records.registrar(None), resource_type, query)
        assert found["meta"]["versionId"] == "1"
    hospital.claims |= {"sub": "u-2"}
    assert is_in(await sign_in(world, hospital))
    second = await account(world, hospital, "u-2")
    assert second is not None
    assert second.account_id != first.account_id


@pytest.mark.spec("CWE-79")
async def test_markup_in_claims_is_text(world: World, hospital: Provider) -> None:
    """A person named so, on the own page; the error that a provider words."""
    hospital.claims |= {"name": mark("Claim.name"), "email": mark("Claim.email"), "given_name": mark("Claim.given")}
    assert is_in(await sign_in(world, hospital))
    page = (await world.http.get("/account")).text
    assert checked(page) == {"Claim.name"}
    said = {"error": mark("Error.code"), "error_description": mark("Error.words"), "iss": hospital.issuer}
    given = hospital.authorize(await leave(world))
    refused = await come_back(world, {"state": given["state"]} | said)
    assert refused.status_code == 403
    checked(refused.text)


async def test_roles_follow_the_claims_both_ways(world: World, hospital: Provider) -> None:
    hospital.claims |= {"realm_access": {"roles": ["him", "uma"]}, "groups": ["consil", "administrator", "radiologist"]}
    assert is_in(await sign_in(world, hospital))
    known = await account(world, hospital)
    assert known is not None
    assert known.roles == {"requester", "him"}
    hospital.claims |= {"realm_access": {"roles": []}, "name": "Dr. Ada Ruiz-Lopez"}
    assert is_in(await sign_in(world, hospital))
    known = await account(world, hospital)
    assert known is not None
    assert (known.roles, known.name) == ({"requester"}, "Dr. Ada Ruiz-Lopez")
    [practitioner] = await records.search(
        world.node, records.registrar(None), "Practitioner", {"identifier": f"{hospital.issuer}|u-1"}
    )
    assert practitioner["name"] == [{"text": "Dr. Ada Ruiz-Lopez"}]


async def test_who_has_no_role_any_more_loses_what_is_open(world: World, hospital: Provider) -> None:
    assert is_in(await sign_in(world, hospital))
    token = (await world.redeem(await world.code())).json()["access_token"]
    kept = dict(world.http.cookies)
    hospital.claims |= {"groups": ["unknown", 7, {}]}
    world.http.cookies.clear()
    await stays_out(world, await sign_in(world, hospital), 403)
    known = await account(world, hospital)
    assert known is not None
    assert known.roles == frozenset()
    world.http.cookies.update(kept)
    assert (await world.http.get("/account")).headers["location"] == f"{BASE}/login"
    headers = {"Authorization": f"Bearer {token}"}
    assert (await world.http.get("/fhir/Patient", headers=headers)).status_code == 401


@pytest.mark.parametrize("groups", [None, [], ["Consil"], "consil-2", {"consil": True}, ["administrator"]])
async def test_a_claim_that_no_rule_names_gives_nothing(world: World, hospital: Provider, groups: object) -> None:
    hospital.claims |= {"groups": groups}
    await stays_out(world, await sign_in(world, hospital), 403)
    assert await account(world, hospital) is None


async def test_the_organization_is_that_of_the_claim_and_follows_it(world: World, hospital: Provider) -> None:
    rules = [{"claim": "site", "value": site, "organization": f"Organization/{site}"} for site in ("north", "south")]
    await provide(world, hospital, organizations=rules)
    for site, organization in (("north", "north"), ("south", "south"), (None, "anna")):
        hospital.claims |= {"site": site}
        assert is_in(await sign_in(world, hospital))
        known = await account(world, hospital)
        assert known is not None
        assert known.organization == f"Organization/{organization}"
        [role] = await records.search(
            world.node, records.registrar(None), "PractitionerRole", {"identifier": f"{hospital.issuer}|u-1"}
        )
        assert role["organization"] == {"reference": f"Organization/{organization}"}
    hospital.claims |= {"site": ["north", "south"]}
    await stays_out(world, await sign_in(world, hospital), 403)


async def test_who_was_deactivated_stays_out(world: World, hospital: Provider) -> None:
    assert is_in(await sign_in(world, hospital))
    known = await account(world, hospital)
    assert known is not None
    db = world.node.database
    async with db.transaction() as transaction:
        gone = Account(known.account_id, known.name, known.roles, known.organization, known.fhir_user, disabled=True)
        await auth_registry.put_tenant_account(transaction, gone, hospital.issuer, "u-1")
    world.http.cookies.clear()
    await stays_out(world, await sign_in(world, hospital), 403)


@pytest.mark.spec(f"{CORE} 3.1.3.7")
@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "of somebody else"},
        {"nonce": None},
        {"aud": "another client"},
        {"aud": [CLIENT_ID, "another client"]},
        {"azp": "another client"},
        {"iss": "https://evil.test"},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
        {"exp": -600},
        {"exp": None},
        {"iat": None},
        {"iat": -7_200},
        {"iat": 7_200},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
    ids=lambda changed: " ".join(f"{name}={str(value)[:20]}" for name, value in changed.items()),
)
async def test_an_id_token_that_says_another_thing_lets_nobody_in(
    world: World, hospital: Provider, changed: dict[str, Any]
) -> None:
    """Times are seconds from now."""
    now = int(time.time())
    hospital.claims |= {name: now + value if isinstance(value, int) else value for name, value in changed.items()}
    await stays_out(world, await sign_in(world, hospital))


def unsigned(claims: dict[str, Any]) -> str:
    parts = [{"alg": "none", "kid": "hospital-1"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts) + "."


def shared(claims: dict[str, Any]) -> str:
    """Signed with the public key, as if it were a shared secret."""
    key = OctKey.import_key(KEY.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": "hospital-1"}, claims, key, algorithms=["HS256"])


@pytest.mark.spec("RFC 8725 3.1")
@pytest.mark.parametrize(
    "signs",
    [
        unsigned,
        shared,
        lambda claims: sign(claims, OTHER_KEY),
        lambda claims: sign(claims, OTHER_KEY, kid="hospital-1"),
        lambda claims: sign(claims, alg="RS512"),
        lambda claims: sign(claims, OTHER_KEY, jwk=OTHER_KEY.as_dict(private=False)),
        lambda claims: "no.jwt",
    ],
    ids=["none", "HS256", "unknown key", "another's key", "alg not agreed", "key in the header", "no JWT"],
)
async def test_a_signature_that_is_not_the_providers_lets_nobody_in(
    world: World, hospital: Provider, signs: Callable[[dict[str, Any]], str]
) -> None:
    hospital.signs = signs
    await stays_out(world, await sign_in(world, hospital))


async def test_a_key_that_the_provider_takes_up_is_found(world: World, hospital: Provider) -> None:
    hospital.keys, hospital.signs = [KEY, OTHER_KEY], lambda claims: sign(claims, OTHER_KEY)
    assert is_in(await sign_in(world, hospital))


@pytest.mark.spec("RFC 6819 4.4.1.8")
async def test_a_state_is_of_its_browser_and_works_once(world: World, hospital: Provider) -> None:
    given = hospital.authorize(await leave(world))
    kept = dict(world.http.cookies)
    world.http.cookies.clear()
    await leave(world)  # another browser, which is under way too
    await stays_out(world, await come_back(world, given), 400)
    world.http.cookies.clear()
    world.http.cookies.update(kept)
    await stays_out(world, await come_back(world, given | {"state": "guessed"}), 400)
    assert is_in(await come_back(world, given))
    world.http.cookies.clear()
    world.http.cookies.update(kept)
    await stays_out(world, await come_back(world, given), 400)


async def test_two_tabs_of_a_browser_do_not_disturb_each_other(world: World, hospital: Provider) -> None:
    first, second = hospital.authorize(await leave(world)), hospital.authorize(await leave(world))
    assert is_in(await come_back(world, second))
    assert is_in(await come_back(world, first))


async def test_a_code_of_another_attempt_is_refused(world: World, hospital: Provider) -> None:
    stolen = hospital.authorize(await leave(world))
    world.http.cookies.clear()
    own = hospital.authorize(await leave(world))
    await stays_out(world, await come_back(world, own | {"code": stolen["code"]}))


@pytest.mark.spec("RFC 9207 2.4")
@pytest.mark.parametrize("named", [{"iss": "https://evil.test"}, {"iss": ""}, None])
async def test_an_answer_of_another_issuer_is_refused(
    world: World, hospital: Provider, named: dict[str, str] | None
) -> None:
    given = hospital.authorize(await leave(world))
    given = given | named if named is not None else {name: given[name] for name in ("code", "state")}
    await stays_out(world, await come_back(world, given), 400)


@pytest.mark.spec("RFC 9700 4.4")
async def test_an_answer_for_one_provider_is_none_of_another(
    world: World, hospital: Provider, make_provider: Callable[[], Provider]
) -> None:
    evil = make_provider()
    await provide(world, evil, "evil")
    given = hospital.authorize(await leave(world))
    await stays_out(world, await come_back(world, given | {"iss": evil.issuer}, "evil"), 400)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.test"},
        {"token_endpoint": "https://evil.test/token"},
        {"jwks_uri": "http://127.0.0.1:1/jwks"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "https://evil.test/logout"},
        {"token_endpoint": None},
    ],
    ids=str,
)
@pytest.mark.spec("OpenID Connect Discovery 1.0 4.3")
async def test_a_configuration_that_leads_elsewhere_is_not_followed(
    world: World, make_provider: Callable[[], Provider], document: dict[str, Any]
) -> None:
    provider = make_provider()
    provider.document = document
    await provide(world, provider)
    await stays_out(world, await world.http.get("/login/with/anna"))


async def test_a_provider_that_is_not_there_is_said_so(world: World, hospital: Provider) -> None:
    provider = Provider("http://127.0.0.1:1/none")
    await provide(world, provider, "gone")
    answer = await world.http.get("/login/with/gone")
    await stays_out(world, answer)
    assert "does not answer at the moment" in answer.text
    assert (await world.http.get("/login/with/nobody")).status_code == 400


@pytest.mark.spec("RFC 6749 4.1.2.1")
async def test_an_error_of_the_provider_has_a_way_on(world: World, hospital: Provider) -> None:
    page = (await world.http.get((await world.authorize()).headers["location"])).text
    waiting = page.split("?request=")[1].split('"')[0]
    given = hospital.authorize(await leave(world, waiting=waiting))
    refused = {
        "error": "access_denied",
        "error_description": "<b>call 555</b>",
        "state": given["state"],
        "iss": given["iss"],
    }
    answer = await come_back(world, refused)
    await stays_out(world, answer, 403)
    assert "did not let you in" in answer.text
    assert "555" not in answer.text
    assert f"/oauth/continue?request={waiting}" in answer.text
    assert is_in(await come_back(world, hospital.authorize(await leave(world, waiting=waiting))))


@pytest.mark.spec(f"{CORE} 3.1.2.1")
async def test_who_has_to_sign_in_anew_does_so_there(world: World, hospital: Provider) -> None:
    async def fresh(auth_time: int | None) -> httpx.Response:
        world.http.cookies.clear()
        page = (await world.http.get((await world.authorize(prompt="login")).headers["location"])).text
        hospital.claims |= {"auth_time": auth_time}
        given = hospital.authorize(await leave(world, waiting=page.split("?request=")[1].split('"')[0]))
        assert (hospital.asked[-1]["prompt"], hospital.asked[-1]["max_age"]) == ("login", "0")
        return await come_back(world, given)

    now = int(time.time())
    await stays_out(world, await fresh(now - 3_600), 403)
    await stays_out(world, await fresh(None), 403)
    answer = await fresh(now)
    assert is_in(answer)
    assert (await world.http.get(answer.headers["location"])).headers["location"].startswith("https://app.test/")


async def test_an_old_sign_in_there_is_an_old_one_here(world: World, hospital: Provider) -> None:
    hospital.claims |= {"auth_time": int(time.time()) - 3_600}
    assert is_in(await sign_in(world, hospital))
    asked = (await world.authorize(max_age="600")).headers["location"]
    assert "/oauth/continue" in asked
    assert "Sign in with" in (await world.http.get(asked)).text


@pytest.mark.spec("RFC 8176")
async def test_a_second_factor_that_was_agreed_is_wanted(world: World, hospital: Provider) -> None:
    await provide(world, hospital, acr=["gold"], amr=["otp", "hwk"])
    for claims in ({}, {"acr": "gold"}, {"acr": "gold", "amr": ["pwd"]}, {"acr": "silver", "amr": ["otp"]}):
        hospital.claims = {"sub": "u-1", "groups": ["consil"]} | claims
        await stays_out(world, await sign_in(world, hospital), 403)
    assert hospital.asked[-1]["acr_values"] == "gold"
    hospital.claims |= {"acr": "gold", "amr": ["pwd", "otp"]}
    assert is_in(await sign_in(world, hospital))


@pytest.fixture
def wanted(app: Starlette) -> Iterator[None]:
    """Requesters must have a second step."""
    before = app.state.node
    app.state.node = replace(
        before, settings=before.settings.model_copy(update={"second_factor_roles": ("requester",)})
    )
    yield
    app.state.node = before


@pytest.mark.usefixtures("wanted")
async def test_a_role_that_wants_a_second_step_sets_one_up_where_the_provider_proves_none(
    world: World, hospital: Provider
) -> None:
    page = await sign_in(world, hospital)
    assert "<h1>Set up the second step</h1>" in page.text
    assert not is_in(page)
    secret = "".join(re.findall(r"<code>(.*?)</code>", page.text)[0].split())
    assert is_in(await world.http.post("/login/enrol", data=fields(page) | {"code": pyotp.TOTP(secret).now()}))
    signed_out = await world.http.post("/logout", data=fields(await world.http.get("/account")))
    assert "Sign out of St. Anna" in signed_out.text
    await provide(world, hospital, amr=["mfa"])
    hospital.claims |= {"amr": ["mfa"]}
    assert is_in(await sign_in(world, hospital))


@pytest.mark.spec(f"{CORE} 5.3.2")
async def test_claims_come_from_userinfo_of_the_same_subject_alone(world: World, hospital: Provider) -> None:
    await provide(world, hospital, userinfo=True)
    hospital.claims |= {"groups": None}
    hospital.userinfo = {"sub": "u-2", "groups": ["consil"]}
    await stays_out(world, await sign_in(world, hospital))
    hospital.userinfo = {"sub": "u-1", "groups": ["consil"]}
    assert is_in(await sign_in(world, hospital))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"roles": [{"claim": "groups", "value": "x", "role": "system"}]}, "not a role of people"),
        ({"roles": [{"role": "patient"}]}, "not a role of people"),
        ({"roles": [{"claim": "groups", "role": "him"}]}, "go together"),
        ({"roles": []}, "at least 1"),
        ({"organization": None}, "for whom the people work"),
        ({"algorithms": ["none"]}, "RS256"),
        ({"algorithms": ["HS256"]}, "RS256"),
        ({"issuer": "http://sso.test"}, "not an https address"),
        ({"issuer": "https://sso.test?x=1"}, "no query"),
        ({"parameters": {"redirect_uri": "https://evil.test"}}, "ours to set"),
        ({"scopes": "profile"}, "hold openid"),
        ({"private_key_jwt": True}, "not both"),
        ({"secret": None}, "neither secret nor"),
        ({"name": "../x"}, "pattern"),
    ],
    ids=str,
)
async def test_an_entry_that_is_unsound_is_refused(world: World, changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        await provide(world, Provider("https://sso.test"), **changed)
