"""The administration API: who may, what is refused, what is put down, and that no secret ever comes back."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from anyio import to_thread
from click.testing import CliRunner

from fhir_server.access.policy import POLICY
from fhir_server.auth import accounts, tokens
from fhir_server.auth.provision import Document, provision
from fhir_server.cli import fhir
from fhir_server.store import auth_registry
from tests.fhir_server.auth.test_provision import changes, events
from tests.fhir_server.auth.world import EC_KEY, PASSWORD, World, public

pytestmark = pytest.mark.anyio
ORGANIZATION = {"resourceType": "Organization", "id": "anna", "name": "St. Anna"}
ROOTS = [
    {"username": name, "password": PASSWORD, "name": name.title(), "roles": ["administrator"], "fhir_user": fhir_user}
    for name, fhir_user in (("vance", "Practitioner/vance"), ("ross", "Practitioner/ross"))
]
PRACTITIONERS = [{"resourceType": "Practitioner", "id": name} for name in ("vance", "ross", "ito")]
CLIENT = {"client_id": "lab", "name": "Lab", "scopes": "system/Task.rs", "roles": ["system"]}
ADMINISTRATION = ("administration",)


async def header(world: World, username: str, scopes: tuple[str, ...] = ADMINISTRATION) -> dict[str, str]:
    """A bearer token of this person."""
    account = await auth_registry.find_local_account(world.node.database, username)
    assert account is not None
    async with world.node.database.transaction() as transaction:
        grant = tokens.Grant("app", account.account_id, scopes)
        return {"Authorization": f"Bearer {await tokens.issue(transaction, grant, 'access', 600, time.time())}"}


async def administrators(world: World, count: int = 1) -> dict[str, str]:
    document = {"resources": [ORGANIZATION, *PRACTITIONERS], "accounts": ROOTS[:count]}
    await provision(world.node, Document.model_validate(document))
    return await header(world, "vance")


async def get(world: World, root: dict[str, str], path: str) -> dict[str, Any]:
    answer = await world.http.get(f"/admin/{path}", headers=root)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def change(
    world: World, root: dict[str, str], path: str, version: int, values: dict[str, Any] | None = None
) -> httpx.Response:
    headers = root | {"If-Match": f'W/"{version}"'}
    if values is None:
        return await world.http.post(f"/admin/{path}", headers=headers)
    return await world.http.put(f"/admin/{path}", headers=headers, json=values)


async def account_of(world: World, root: dict[str, str], username: str) -> dict[str, Any]:
    found = (await get(world, root, "accounts"))["accounts"]
    return next(dict(each) for each in found if each["values"]["username"] == username)


CALLS = [
    *(("GET", path) for path in ("clients", "tenants", "accounts", "roles", "clients/app", "accounts/x")),
    *(("POST", path) for path in ("clients", "tenants", "accounts")),
    *(("PUT", path) for path in ("clients/app", "tenants/epic", "accounts/x")),
    *(("POST", f"clients/app/{deed}") for deed in ("activate", "deactivate", "new-secret", "reset", "sign-out")),
]


@pytest.mark.parametrize("role", sorted(set(POLICY) - {"administrator"}))
async def test_every_other_role_is_refused_everywhere(world: World, role: str) -> None:
    await administrators(world)
    somebody = {"username": "x", "password": PASSWORD, "name": "X", "roles": [role], "fhir_user": "Practitioner/x"}
    await provision(world.node, Document.model_validate({"accounts": [somebody]}))
    bearer = await header(world, "x", ("administration", "user/*.cruds"))
    for method, path in CALLS:
        answer = await world.http.request(method, f"/admin/{path}", headers=bearer | {"If-Match": 'W/"1"'}, json={})
        assert answer.status_code == 403, (method, path)
    assert (await changes(world)).count("403 administration") == len(CALLS)


async def test_it_takes_a_token_of_a_person_with_the_scope(world: World) -> None:
    await administrators(world)
    lacking = await header(world, "vance", ("user/*.cruds",))
    backend = (await world.signed("backend", grant_type="client_credentials", scope="system/*.cruds")).json()
    machine = {"Authorization": f"Bearer {backend['access_token']}"}
    await world.sign_in("vance")
    for headers, status in (({}, 401), ({"Authorization": "Bearer x"}, 401), (lacking, 403), (machine, 403)):
        for method, path in CALLS:
            answer = await world.http.request(method, f"/admin/{path}", headers=headers, json={})
            assert answer.status_code == status, (method, path, "a cookie opens nothing here")
    assert "insufficient_scope" in (await world.http.get("/admin/roles", headers=lacking)).headers["www-authenticate"]


@pytest.mark.parametrize(("username", "granted"), [("vance", True), ("ito", False)])
async def test_the_scope_is_granted_to_administrators_alone(world: World, username: str, granted: bool) -> None:
    await administrators(world)
    app = json.loads(json.dumps({"clients": [{**CLIENT, "client_id": "app", "jwks": public(EC_KEY), "roles": []}]}))
    app["clients"][0] |= {"redirect_uris": ["https://app.test/callback"], "trusted": True}
    app["clients"][0]["scopes"] = "openid user/*.cruds administration"
    await provision(world.node, Document.model_validate(app))
    await world.sign_in(username)
    body = (await world.redeem(await world.code(scope="openid user/Task.rs administration"))).json()
    assert ("administration" in body["scope"].split()) is granted


async def test_a_client_lives_and_its_secret_is_shown_once(world: World) -> None:
    root = await administrators(world)
    added = await world.http.post("/admin/clients", headers=root, json=CLIENT)
    assert added.status_code == 201, added.text
    secret = added.json()["once"]
    token = {"grant_type": "client_credentials", "scope": "system/Task.rs"}
    assert (await world.http.post("/oauth/token", data=token, auth=("lab", secret))).status_code == 200
    again = await change(world, root, "clients/lab/new-secret", 1)
    other = again.json()["once"]
    assert (await world.http.post("/oauth/token", data=token, auth=("lab", secret))).status_code == 401
    assert (await world.http.post("/oauth/token", data=token, auth=("lab", other))).status_code == 200
    changed = await change(world, root, "clients/lab", 2, {"name": "Laboratory", "scopes": "system/Task.r"})
    assert (changed.json()["values"]["name"], "once" in changed.json()) == ("Laboratory", False)
    off = await change(world, root, "clients/lab/deactivate", 3)
    assert off.json()["active"] is False
    assert off.json()["about"]["grants"] == 0
    assert (await world.http.post("/oauth/token", data=token, auth=("lab", other))).status_code == 401
    assert (await change(world, root, "clients/lab/activate", 4)).json()["active"] is True
    found = await get(world, root, "clients")
    everything = json.dumps([found, *[event async for event in events(world)]])
    row = next(each for each in found["clients"] if each["key"] == "lab")
    assert row["about"]["secret"] is True
    for hidden in (secret, other, "argon2"):
        assert hidden not in everything
    said = await changes(world)
    assert [each for each in said if "lab" in each] == [
        "client lab added",
        "client lab changed",
        "client lab changed",
        "client lab deactivated",
        "client lab activated",
    ]


async def test_keys_take_the_place_of_a_secret(world: World) -> None:
    root = await administrators(world)
    await world.http.post("/admin/clients", headers=root, json=CLIENT)
    keyed = await change(world, root, "clients/lab", 1, {"jwks": public(EC_KEY)})
    assert keyed.json()["about"]["secret"] is False
    private = await change(world, root, "clients/lab", 2, {"jwks": {"keys": [EC_KEY.as_dict(private=True)]}})
    assert private.status_code == 400
    assert EC_KEY.as_dict(private=True)["d"] not in private.text
    assert "once" in (await change(world, root, "clients/lab", 2, {"jwks": None})).json()


async def test_what_is_wrong_is_said_by_name(world: World) -> None:
    root = await administrators(world)
    bad: list[tuple[str, dict[str, Any], str]] = [
        ("clients", CLIENT | {"scopes": "everything"}, "scopes"),
        ("clients", CLIENT | {"roles": ["administrator"]}, "roles"),
        ("clients", CLIENT | {"redirect_uris": ["javascript:alert(1)"]}, "redirect_uris"),
        ("clients", CLIENT | {"client_id": "app"}, "client_id"),
        ("clients", {"client_id": "x"}, "name"),
        (
            "tenants",
            {"name": "b", "issuer": "i", "client_id": "c", "organization": "Organization/none"},
            "organization",
        ),
        ("accounts", {"username": "b", "name": "B", "roles": ["system"]}, "roles"),
        ("accounts", {"username": "ito", "name": "B", "roles": []}, "username"),
        ("accounts", {"username": "b", "name": "B", "roles": ["patient"]}, "fhir_user"),
    ]
    for kind, values, name in bad:
        answer = await world.http.post(f"/admin/{kind}", headers=root, json=values)
        assert (answer.status_code, list(answer.json()["fields"])) == (400, [name]), answer.text
    for content in (b"", b"[]", b"{", b'{"a":' * 50 + b"1" + b"}" * 50, b" " * 300_000):
        assert (await world.http.post("/admin/clients", headers=root, content=content)).status_code in {400, 413}
    unconditional = await world.http.put("/admin/clients/app", headers=root, json={})
    assert unconditional.status_code == 428
    assert (await change(world, root, "clients/none", 1, {})).status_code == 404
    assert (await world.http.get("/admin/secrets", headers=root)).status_code in {400, 404}


async def test_of_two_changes_the_later_is_refused_and_told_by_whom(world: World) -> None:
    root = await administrators(world, 2)
    other = await header(world, "ross")
    await world.http.post("/admin/clients", headers=root, json=CLIENT)
    assert (await change(world, other, "clients/lab", 1, {"name": "Theirs"})).status_code == 200
    late = await change(world, root, "clients/lab", 1, {"name": "Mine"})
    assert late.status_code == 412
    assert late.json()["current"]["changed_by"] == "Ross"
    assert late.json()["current"]["values"]["name"] == "Theirs"
    both = [change(world, root, "clients/lab", 2, {"name": name}) for name in ("a", "b", "c")]
    assert sorted(each.status_code for each in await asyncio.gather(*both)) == [200, 412, 412]


async def test_nobody_shuts_the_door_behind_everybody(world: World) -> None:
    root = await administrators(world)
    vance = await account_of(world, root, "vance")
    path = f"accounts/{vance['key']}"
    for answer in (
        await change(world, root, path, vance["version"], {"roles": ["him"]}),
        await change(world, root, f"{path}/deactivate", vance["version"]),
    ):
        assert answer.status_code == 409
    root = await administrators(world, 2)
    ross = await account_of(world, root, "ross")
    both = {"vance": root, "ross": await header(world, "ross")}
    versions = {"vance": (await account_of(world, root, "vance"))["version"], "ross": ross["version"]}
    keys = {"vance": vance["key"], "ross": ross["key"]}
    at_once = [
        change(world, both[by], f"accounts/{keys[other]}/deactivate", versions[other])
        for by, other in (("vance", "ross"), ("ross", "vance"))
    ]
    assert sorted(each.status_code for each in await asyncio.gather(*at_once)) in ([200, 401], [200, 409])
    left = [await auth_registry.find_local_account(world.node.database, name) for name in keys]
    assert [each.disabled for each in left if each is not None].count(False) == 1


async def test_a_person_is_added_reset_and_signed_out(world: World) -> None:
    root = await administrators(world)
    values = {"username": "Lee", "name": "Dr. Lee", "roles": ["consultant"], "organization": "Organization/anna"}
    added = (await world.http.post("/admin/accounts", headers=root, json=values)).json()
    assert "/account/reset?step=" in added["once"]
    assert added["values"]["fhir_user"].startswith("Practitioner/")
    assert (await world.http.get(added["once"])).status_code == 200
    account = await auth_registry.find_local_account(world.node.database, "lee")
    assert account is not None
    await accounts.set_password(world.node.database, account, PASSWORD)
    bearer = await header(world, "lee", ("user/*.rs",))
    assert (await world.sign_in("lee")).status_code == 303
    seen = await account_of(world, root, "lee")
    assert (seen["about"]["sessions"], seen["about"]["grants"], seen["about"]["second_step"]) == (1, 1, False)
    assert seen["about"]["signed_in_at"] is not None
    path = f"accounts/{seen['key']}"
    assert (await change(world, root, f"{path}/sign-out", seen["version"])).json()["about"]["sessions"] == 0
    assert (await world.http.get("/fhir/Task", headers=bearer)).status_code == 401
    link = (await change(world, root, f"{path}/reset", seen["version"])).json()["once"]
    handle = link.partition("step=")[2]
    assert handle not in json.dumps([event async for event in events(world)])
    roles = await change(world, root, path, seen["version"], {"roles": ["him", "coordinator"]})
    assert roles.json()["values"]["roles"] == ["coordinator", "him"]
    assert (await change(world, root, f"{path}/deactivate", roles.json()["version"])).status_code == 200
    assert (await world.sign_in("lee")).status_code == 401
    changed = [event async for event in events(world) if event.get("outcomeDesc") == "account lee changed"]
    details = {each["type"]: each["valueString"] for each in changed[0]["entity"][0]["detail"]}
    assert details == {"roles": "consultant → coordinator him"}
    assert changed[0]["agent"][2]["who"]["reference"] == "Practitioner/vance"


async def test_what_a_file_manages_says_so_and_a_file_wins(world: World) -> None:
    root = await administrators(world)
    app = await get(world, root, "clients/spa")
    assert (app["from_file"], app["changed_by"]) == (True, "provisioning file")
    changed = await change(world, root, "clients/spa", app["version"], {"name": "Renamed"})
    assert changed.status_code == 200
    spa = {"client_id": "spa", "name": "Web App", "type": "public", "scopes": "openid"}
    for _ in range(2):
        await provision(world.node, Document.model_validate({"clients": [spa]}))
    now = await get(world, root, "clients/spa")
    assert (now["values"]["name"], now["version"]) == ("Web App", app["version"] + 2)
    assert (await changes(world)).count("client spa changed") == 2


async def test_roles_say_who_holds_them_and_what_they_open(world: World) -> None:
    root = await administrators(world)
    roles = {each["role"]: each for each in (await get(world, root, "roles"))["roles"]}
    assert set(roles) == set(POLICY)
    assert (roles["administrator"]["held"], roles["system"]["held"], roles["system"]["people"]) == (1, 1, False)
    assert all(each["grants"] for each in roles.values())


async def test_a_tenant_of_the_register(world: World) -> None:
    root = await administrators(world)
    values = {"name": "b", "issuer": "https://b.test", "client_id": "c", "organization": "Organization/anna"}
    added = await world.http.post("/admin/tenants", headers=root, json=values)
    assert added.status_code == 201, added.text
    twice = await world.http.post("/admin/tenants", headers=root, json=values | {"name": "c"})
    assert twice.json()["fields"] == {"issuer": "This is taken."}
    assert (await change(world, root, "tenants/b/deactivate", 1)).json()["active"] is False
    assert await auth_registry.find_tenant(world.node.database, "https://b.test") is None


async def test_the_same_by_command(world: World) -> None:
    await administrators(world)

    async def run(*words: str, exit_code: int = 0) -> str:
        settings = world.node.settings
        environment = {"KONSIL_FHIR_DATABASE_URL": settings.database_url, "KONSIL_FHIR_BASE_URL": settings.base_url}
        result = await to_thread.run_sync(lambda: CliRunner(env=environment).invoke(fhir, list(words)))
        assert result.exit_code == exit_code, result.output
        return str(result.output)

    added = await run("client", "add", "lab", "--set", "name=Lab", "--set", "scopes=system/Task.rs")
    secret = added.partition("shown once: ")[2].strip()
    assert len(secret) == 43
    assert secret not in await run("client", "show", "lab") + await run("client", "list")
    assert "scopes" in await run("client", "change", "lab", "--set", "scopes=all", exit_code=1)
    await run("client", "deactivate", "lab")
    assert "no" in next(line for line in (await run("client", "list")).splitlines() if line.startswith("lab"))
    link = await run("account", "add", "lee", "--set", "name=Lee", "--set", "roles=him coordinator")
    assert "/account/reset?step=" in link
    assert '"coordinator"' in await run("account", "show", "LEE")
    last = await run("account", "deactivate", "vance", exit_code=1)
    assert "last administrator" in last
    assert (await changes(world)).count("client lab deactivated") == 1
