"""Accounts by e-mail link: who may invite, who gets in, and what strangers try."""

import re
import time

import anyio
import pyotp
import pytest
from sqlalchemy import select, update

from fhir_server.auth import administration
from fhir_server.auth import mail as mailing
from fhir_server.auth.provision import Document, provision
from fhir_server.store.auth_joining_models import invitation, mail
from fhir_server.store.auth_models import account
from fhir_server.store.models import audit, resource
from tests.fhir_server.auth.mailbox import (
    HOSPITAL,
    NEW_PASSWORD,
    bearer,
    choose,
    code_in,
    empty_mailbox,
    invite,
    invited,
    joined,
    link_in,
    mails,
    next_mail,
    prove,
    put,
    related,
    resources,
)
from tests.fhir_server.auth.world import EC_KEY, PASSWORD, World, fields, proof, public

pytestmark = [pytest.mark.anyio, pytest.mark.spec("45 CFR 164.312(d)")]
AUDIT_EVENTS = select(resource.c.content).where(resource.c.resource_type == "AuditEvent")
NOOR, LINA = "1980-05-17", "2016-02-29"
CLIENTS = [
    {
        "client_id": "inviter",
        "name": "Engine that invites",
        "jwks": public(EC_KEY),
        "scopes": "system/*.rs",
        "role": "interface-engine",
        "organization": "Organization/anna",
    },
    {
        "client_id": "elsewhere",
        "name": "Engine of another hospital",
        "jwks": public(EC_KEY),
        "scopes": "system/*.rs",
        "role": "interface-engine",
        "organization": "Organization/other",
    },
]


@pytest.fixture(autouse=True)
async def hospital(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "LOOK_SECONDS", 0.02)
    empty_mailbox(world)
    await provision(world.node, Document.model_validate({"clients": CLIENTS}))
    await put(world, *resources())


async def sign_in_with_code(world: World, email: str, password: str = NEW_PASSWORD) -> str:
    world.http.cookies.clear()
    page = await world.sign_in(email, password)
    assert "<h1>Second step</h1>" in page.text
    code = code_in(await next_mail(world, email))
    answer = await world.http.post("/login/mailed", data=fields(page) | {"code": code})
    return answer.headers.get("location", "")


async def test_a_patient_sets_an_account_up_and_signs_in(world: World) -> None:
    answer = await joined(world, "Patient/noor", "noor@mail.test", NOOR)
    assert answer.headers["location"].endswith("/account")
    assert "Noor" in (await world.http.get("/account")).text
    assert (await sign_in_with_code(world, "Noor@Mail.test")).endswith("/account")
    kept = await world.node.database.fetch(select(account).where(account.c.email == "noor@mail.test"))
    assert (kept[0]["fhir_user"], kept[0]["roles_json"]) == ("Patient/noor", '["patient"]')


async def test_link_and_mail_name_the_hospital_and_nobody(world: World) -> None:
    await invite(world, "Patient/noor", "x1@mail.test")
    text = await next_mail(world, "x1@mail.test")
    assert HOSPITAL in text
    assert not re.search(r"noor|haddad|1980|patient", text.casefold())
    assert re.fullmatch(r"https://fhir\.test/account/welcome\?link=[\w-]{43}", link_in(text))


async def test_a_mail_is_plain_and_html_and_asks_no_machine_to_answer(world: World) -> None:
    await invite(world, "Patient/noor")  # the address of the record
    while not (found := mails(world, "noor@home.test")):
        await anyio.sleep(0.02)
    kinds = [part.get_content_type() for part in found[0].walk()]
    assert kinds == ["multipart/alternative", "text/plain", "text/html"]
    assert found[0]["Auto-Submitted"] == "auto-generated"


async def test_a_link_works_once(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    page = await choose(world, await prove(world, link, NOOR))
    code = code_in(await next_mail(world, "noor@mail.test"))
    form = fields(page) | {"code": code}
    assert (await world.http.post("/account/welcome/code", data=form)).status_code == 303
    assert (await world.http.post("/account/welcome/code", data=form)).status_code == 400
    assert (await world.http.get(link)).status_code == 400


async def test_looking_at_a_link_uses_nothing_up(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    assert [(await world.http.get(link)).status_code for _ in range(7)] == [200] * 7


async def test_an_expired_a_former_and_a_withdrawn_link_open_nothing(world: World) -> None:
    old = await invited(world, "Patient/noor", "noor@mail.test")
    new = await invited(world, "Patient/noor", "noor@mail.test")
    assert (await world.http.get(old)).status_code == 400
    assert (await world.http.get(new)).status_code == 200
    listed = (await world.http.get("/account/invitations", headers=await bearer(world))).json()["invitations"]
    assert [each["state"] for each in listed] == ["open", "revoked"]
    gone = await world.http.post(f"/account/invitations/{listed[0]['id']}/revoke", headers=await bearer(world))
    assert gone.json()["state"] == "revoked"
    assert (await world.http.get(new)).status_code == 400
    last = await invited(world, "Patient/noor", "noor@mail.test")
    async with world.node.database.transaction() as transaction:
        await transaction.execute(update(invitation).values(expires_at=time.time() - 1))
    assert (await world.http.get(last)).status_code == 400
    assert (await prove(world, last, NOOR)).status_code == 400


async def test_sent_again_the_former_link_ends(world: World) -> None:
    old = await invited(world, "Patient/noor", "noor@mail.test")
    listed = (await world.http.get("/account/invitations", headers=await bearer(world))).json()["invitations"]
    again = await world.http.post(f"/account/invitations/{listed[0]['id']}/resend", headers=await bearer(world))
    assert again.status_code == 200
    new = link_in(await next_mail(world, "noor@mail.test"))
    assert ((await world.http.get(old)).status_code, (await world.http.get(new)).status_code) == (400, 200)


async def test_five_wrong_birth_dates_end_the_link_even_for_who_then_knows(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    answers = [(await prove(world, link, f"1980-05-{day}")).status_code for day in (11, 12, 13, 14, 15)]
    assert answers == [401] * 4 + [400]
    assert (await prove(world, link, NOOR)).status_code == 400
    listed = (await world.http.get("/account/invitations", headers=await bearer(world))).json()["invitations"]
    assert listed[0]["state"] == "locked"


async def test_the_birth_date_of_another_patient_opens_nothing(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    assert (await prove(world, link, LINA)).status_code == 401


async def test_guessing_the_code_ends_the_link(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    page = await choose(world, await prove(world, link, NOOR))
    right = code_in(await next_mail(world, "noor@mail.test"))
    wrong = "000000" if right != "000000" else "000001"
    for _ in range(5):
        answer = await world.http.post("/account/welcome/code", data=fields(page) | {"code": wrong})
        assert answer.status_code in {400, 401}
    answer = await world.http.post("/account/welcome/code", data=fields(page) | {"code": right})
    assert answer.status_code == 400


async def test_terms_and_a_good_password_are_wanted(world: World) -> None:
    page = await prove(world, await invited(world, "Patient/noor", "noor@mail.test"), NOOR)
    form = fields(page) | {"new_password": NEW_PASSWORD, "factor": "email"}
    assert (await world.http.post("/account/welcome/password", data=form)).status_code == 400
    form |= {"accept": "yes", "new_password": "short"}
    assert "12 characters" in (await world.http.post("/account/welcome/password", data=form)).text


async def test_an_authenticator_is_the_other_second_step(world: World) -> None:
    page = await prove(world, await invited(world, "Patient/noor", "noor@mail.test"), NOOR)
    page = await choose(world, page, "totp")
    secret = next(iter(re.findall(r"<code>([A-Z2-7 ]+)</code>", page.text))).replace(" ", "")
    form = fields(page) | {"code": pyotp.TOTP(secret).now()}
    assert (await world.http.post("/account/welcome/code", data=form)).status_code == 303
    world.http.cookies.clear()
    assert "authenticator" in (await world.sign_in("noor@mail.test", NEW_PASSWORD)).text


async def test_only_a_form_of_ours_goes_on(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    form = {"link": link.partition("link=")[2], "birth_date": NOOR, "form_token": "forged"}
    assert (await world.http.post("/account/welcome", data=form)).status_code == 400


@pytest.mark.parametrize(
    ("person", "why"),
    [
        (related("r", "lina", active=False), "active"),
        (related("r", "lina", period={"start": "2020-01-01", "end": "2021-01-01"}), "ended"),
        (related("r", "lina", relationship=[]), "related"),
        (related("r", "lina", birthDate=None), "birth date"),
        (related("r", "lina", name=[]), "name"),
    ],
)
async def test_who_acts_for_nobody_is_not_invited(world: World, person: dict[str, object], why: str) -> None:
    await put(world, {name: value for name, value in person.items() if value})
    if person.get("active") is False:
        await put(world, person)
    answer = await invite(world, "RelatedPerson/r", "r@mail.test")
    assert answer.status_code == 422
    assert why in answer.text


async def test_who_invites_sees_the_patient_and_has_a_role_for_it(world: World) -> None:
    assert (await invite(world, "Patient/unknown", "x@mail.test")).status_code == 404
    assert (await invite(world, "Practitioner/ito", "x@mail.test")).status_code == 422
    assert (await invite(world, "Patient/noor", "not an address")).status_code == 422
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"} | proof("elsewhere")
    token = (await world.http.post("/oauth/token", data=form)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    body = {"subject": "Patient/noor", "email": "x@mail.test"}
    assert (await world.http.post("/account/invitations", json=body, headers=headers)).status_code == 404
    await invited(world, "Patient/noor", "noor@mail.test")
    assert (await world.http.get("/account/invitations", headers=headers)).json()["invitations"] == []
    assert (await world.http.post("/account/invitations", json=body)).status_code == 401
    await world.sign_in("ito")
    consultant = (await world.redeem(await world.code())).json()["access_token"]
    refused = await world.http.post(
        "/account/invitations", json=body, headers={"Authorization": f"Bearer {consultant}"}
    )
    assert refused.status_code == 403


async def test_nothing_readable_of_a_link_or_an_address_is_in_the_database(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    for table in (invitation, mail):
        rows = await world.node.database.fetch(select(table))
        text = " ".join(str(row[name]) for row in rows for name in set(row.keys()))
        assert link.partition("link=")[2] not in text
        assert "noor@mail.test" not in text


async def test_codes_at_sign_in_are_limited_and_belong_to_their_page(world: World) -> None:
    await joined(world, "Patient/noor", "noor@mail.test", NOOR)
    world.http.cookies.clear()
    page = await world.sign_in("noor@mail.test", NEW_PASSWORD)
    first = code_in(await next_mail(world, "noor@mail.test"))
    again = await world.http.post("/login/mailed", data=fields(page) | {"act": "again", "code": ""})
    second = code_in(await next_mail(world, "noor@mail.test"))
    stale = await world.http.post("/login/mailed", data=fields(page) | {"code": first})
    assert stale.status_code == 400
    wrong = "000000" if second != "000000" else "000001"
    answers = [
        (await world.http.post("/login/mailed", data=fields(again) | {"code": wrong})).status_code for _ in range(6)
    ]
    assert answers[:4] == [401] * 4
    assert 429 in answers
    assert (await world.http.post("/login/mailed", data=fields(again) | {"code": second})).status_code == 429


async def test_a_forgotten_password_is_answered_alike_for_everybody(world: World) -> None:
    await joined(world, "Patient/noor", "noor@mail.test", NOOR)
    world.http.cookies.clear()
    texts, times = [], []
    for address in ("noor@mail.test", "nobody@mail.test"):
        form = fields(await world.http.get("/account/forgot")) | {"email": address}
        began = time.perf_counter()
        answer = await world.http.post("/account/forgot", data=form)
        times.append(time.perf_counter() - began)
        texts.append(re.sub(r'value="[^"]*"', "", answer.text))
    assert texts[0] == texts[1]
    assert max(times) - min(times) < 0.25
    link = link_in(await next_mail(world, "noor@mail.test"))
    assert not mails(world, "nobody@mail.test")
    page = await world.http.get(link)
    form = fields(page) | {"birth_date": LINA, "new_password": "another sentence of mine"}
    assert (await world.http.post("/account/forgotten", data=form)).status_code == 400
    done = await world.http.post("/account/forgotten", data=form | {"birth_date": NOOR})
    assert done.status_code == 303
    assert (await world.http.get(link)).status_code == 400
    assert (await sign_in_with_code(world, "noor@mail.test", "another sentence of mine")).endswith("/account")


async def test_guessing_the_birth_date_of_a_forgotten_password_ends_the_link(world: World) -> None:
    await joined(world, "Patient/noor", "noor@mail.test", NOOR)
    form = fields(await world.http.get("/account/forgot")) | {"email": "noor@mail.test"}
    await world.http.post("/account/forgot", data=form)
    page = await world.http.get(link_in(await next_mail(world, "noor@mail.test")))
    form = fields(page) | {"birth_date": LINA, "new_password": "another sentence of mine"}
    for _ in range(5):
        assert (await world.http.post("/account/forgotten", data=form)).status_code == 400
    assert (await world.http.post("/account/forgotten", data=form | {"birth_date": NOOR})).status_code == 400
    world.http.cookies.clear()
    assert "Second step" in (await world.sign_in("noor@mail.test", NEW_PASSWORD)).text


async def test_a_new_address_is_confirmed_at_both(world: World) -> None:
    await joined(world, "Patient/noor", "noor@mail.test", NOOR)
    page = await world.http.get("/account")
    form = fields(page) | {"act": "email", "password": NEW_PASSWORD, "new_email": "new@mail.test"}
    assert (await world.http.post("/account", data=form | {"password": PASSWORD})).status_code == 400
    assert (await world.http.post("/account", data=form)).status_code == 200
    links = []
    for address in ("noor@mail.test", "new@mail.test"):
        until = time.monotonic() + 20
        while not mails(world, address) and time.monotonic() < until:
            await anyio.sleep(0.02)
        body = mails(world, address)[-1].get_body(("plain",))
        assert body is not None
        links.append(link_in(str(body.get_content())))
    empty_mailbox(world)
    confirm = await world.http.get(links[1])
    assert "once the mail at the other" in (await world.http.post("/account/address", data=fields(confirm))).text
    world.http.cookies.clear()
    assert "Second step" in (await world.sign_in("noor@mail.test", NEW_PASSWORD)).text
    await next_mail(world, "noor@mail.test")
    confirm = await world.http.get(links[0])
    assert "with the new address" in (await world.http.post("/account/address", data=fields(confirm))).text
    assert (await sign_in_with_code(world, "new@mail.test")).endswith("/account")
    world.http.cookies.clear()
    assert (await world.sign_in("noor@mail.test", NEW_PASSWORD)).status_code == 401
    assert [(await world.http.get(link)).status_code for link in links] == [400, 400]


async def test_invitation_account_and_wrong_answers_are_audited(world: World) -> None:
    link = await invited(world, "Patient/noor", "noor@mail.test")
    await prove(world, link, LINA)
    page = await choose(world, await prove(world, link, NOOR))
    code = code_in(await next_mail(world, "noor@mail.test"))
    await world.http.post("/account/welcome/code", data=fields(page) | {"code": code})
    rows = [*await world.node.database.fetch(select(audit)), *await world.node.database.fetch(AUDIT_EVENTS)]
    text = " ".join(bytes(row["content"] or b"").decode() for row in rows)
    for said in ("invitation sent for Patient/noor", "wrong birth date", "account set up by invitation"):
        assert said in text


async def test_provisioning_leaves_who_came_by_a_link_alone(world: World) -> None:
    await joined(world, "Patient/noor", "noor@mail.test", NOOR)
    await administration.deactivate_others(world.node, "account", ["ito"])
    assert (await sign_in_with_code(world, "noor@mail.test")).endswith("/account")


async def test_an_address_gets_ten_mails_an_hour(world: World) -> None:
    for _ in range(10):
        assert (await invite(world, "Patient/noor", "noor@mail.test")).status_code == 200
    assert (await invite(world, "Patient/noor", "noor@mail.test")).status_code == 429
