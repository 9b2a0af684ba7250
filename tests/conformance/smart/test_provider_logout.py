"""A sign-out at the hospital ends the sessions here: OpenID Connect Back-Channel Logout 1.0; and what is audited."""

import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from fhir_server.audit.batch import events_of
from fhir_server.auth.provision import Document, provision
from fhir_server.store.models import audit, resource
from tests.conformance.smart.test_identity_provider import (
    come_back,
    hospital,
    is_in,
    leave,
    make_provider,
    provide,
    sign_in,
    unsigned,
)
from tests.fhir_server.auth.provider import CLIENT_ID, EVENT, OTHER_KEY, Provider, sign
from tests.fhir_server.auth.world import BASE, World

__all__ = ["hospital", "make_provider"]
pytestmark = pytest.mark.anyio
SPEC = "OpenID Connect Back-Channel Logout 1.0"


def logout_token(provider: Provider, **changed: Any) -> dict[str, Any]:
    now = int(time.time())
    standard = {"iss": provider.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": str(uuid4())}
    claims = standard | {"sub": "u-1", "sid": "s-1", "events": {EVENT: {}}} | changed
    return {name: value for name, value in claims.items() if value is not None}


async def tell(world: World, token: str) -> httpx.Response:
    return await world.http.post("/login/with/anna/backchannel-logout", data={"logout_token": token})


async def is_open(world: World, cookies: dict[str, str], access_token: str) -> list[bool]:
    """Whether the browser's session, and what an application was given in it, are still good."""
    world.http.cookies.clear()
    page = await world.http.get("/account", headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())})
    called = await world.http.get("/fhir/Patient", headers={"Authorization": f"Bearer {access_token}"})
    return [page.status_code == 200, called.status_code == 200]


async def a_browser(world: World, provider: Provider, sid: str | None) -> tuple[dict[str, str], str]:
    """Sign in in a browser of its own; its cookies, and the access token of an application that was opened there."""
    world.http.cookies.clear()
    provider.claims |= {"sid": sid}
    assert is_in(await sign_in(world, provider))
    token = (await world.redeem(await world.code())).json()["access_token"]
    return dict(world.http.cookies), token


@pytest.mark.spec(f"{SPEC} 2.7")
async def test_the_session_that_is_named_ends_with_its_tokens_and_no_other(world: World, hospital: Provider) -> None:
    first, second = await a_browser(world, hospital, "s-1"), await a_browser(world, hospital, "s-2")
    answer = await tell(world, sign(logout_token(hospital), typ="logout+jwt"))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert await is_open(world, *first) == [False, False]
    assert await is_open(world, *second) == [True, True]
    assert (await tell(world, sign(logout_token(hospital, sid=None)))).status_code == 200
    assert await is_open(world, *second) == [False, False]


async def test_somebody_unknown_is_no_error(world: World, hospital: Provider) -> None:
    one = await a_browser(world, hospital, "s-1")
    for changed in ({"sub": "u-9"}, {"sid": "s-9", "sub": None}):
        assert (await tell(world, sign(logout_token(hospital, **changed)))).status_code == 200
    assert await is_open(world, *one) == [True, True]


@pytest.mark.spec(f"{SPEC} 2.6")
async def test_a_token_that_is_not_the_providers_logout_token_ends_nothing(world: World, hospital: Provider) -> None:
    one = await a_browser(world, hospital, "s-1")
    wrong: list[dict[str, Any]] = [
        {"iss": "https://evil.test"},
        {"aud": "another"},
        {"exp": int(time.time()) - 600},
        {"iat": None},
        {"jti": None},
        {"nonce": "n"},
        {"events": None},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"sub": None, "sid": None},
        {"sub": {"a": 1}},
    ]
    tokens = [sign(logout_token(hospital, **changed)) for changed in wrong]
    tokens += [unsigned(logout_token(hospital)), sign(logout_token(hospital), OTHER_KEY, kid="hospital-1"), "x", ""]
    tokens += [sign(logout_token(hospital), typ="at+jwt")]
    for token in tokens:
        answer = await tell(world, token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert (await world.http.post("/login/with/nobody/backchannel-logout", data={})).status_code == 400
    assert await is_open(world, *one) == [True, True]


async def test_a_logout_token_works_once(world: World, hospital: Provider) -> None:
    token = sign(logout_token(hospital))
    assert (await tell(world, token)).status_code == 200
    one = await a_browser(world, hospital, "s-1")
    assert (await tell(world, token)).status_code == 400
    assert await is_open(world, *one) == [True, True]


async def test_a_provider_that_is_taken_away_lets_nobody_in_and_ends_what_is_open(
    world: World, hospital: Provider
) -> None:
    one = await a_browser(world, hospital, "s-1")
    given = hospital.authorize(await leave(world))
    await provision(world.node, Document(), deactivate_others=True)
    assert await is_open(world, *one) == [False, False]
    assert (await come_back(world, given)).status_code == 400
    assert "Sign in with" not in (await world.http.get("/login")).text
    await provide(world, hospital, secret=None)  # the secret is still known
    assert is_in(await sign_in(world, hospital))


async def test_sign_ins_failures_changes_and_sign_outs_are_audited(world: World, hospital: Provider) -> None:
    assert is_in(await sign_in(world, hospital))
    hospital.claims |= {"realm_access": {"roles": ["him"]}, "sid": "s-1"}
    assert is_in(await sign_in(world, hospital))
    await come_back(world, hospital.authorize(await leave(world)) | {"state": "forged"})
    hospital.claims |= {"nonce": "forged"}
    await sign_in(world, hospital)
    await tell(world, sign(logout_token(hospital)))
    found = await audited(world)
    first = next(at for at, line in enumerate(found) if "account made" in line)
    assert found[first:] == [
        "110137 account made by anna: requester of Organization/anna",
        "110122 ",
        "110137 roles by anna: +him",
        "110122 ",
        "110122 anna: state of another browser, or unknown",
        "110122 anna: id_token refused: nonce is not that of this sign-in",
        "110123 ",
    ]


async def audited(world: World) -> list[str]:
    """What was put down of sign-ins and of security: code and outcome in words, in order."""
    await world.node.journal.flush()
    rows = await world.node.database.fetch(
        select(audit.c.event_id, audit.c.content, resource.c.content.label("kept"))
        .select_from(audit.outerjoin(resource, resource.c.resource_id == audit.c.event_id))
        .order_by(audit.c.position)
    )
    some = [events_of(row["event_id"], bytes(row["content"] or row["kept"])) for row in rows]
    events = [event for each in some for event in each.values() if event["type"]["code"] in {"110113", "110114"}]
    return [f"{event['subtype'][0]['code']} {event.get('outcomeDesc', '')}" for event in events]


async def test_the_sign_in_page_is_as_before_where_no_provider_is(world: World) -> None:
    page = (await world.http.get("/login")).text
    assert "login/with" not in page
    assert "autofocus" in page
    assert (await world.http.get(f"{BASE}/login/with/anna/logout?step=x")).status_code == 400
