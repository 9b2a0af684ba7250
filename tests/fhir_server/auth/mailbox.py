"""What arrives by e-mail in tests, and people of a hospital who are invited."""

import re
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import anyio
import httpx

from fhir_server.auth import records
from tests.fhir_server.auth.world import World, fields, proof

NEW_PASSWORD = "a sentence that nobody knows"
INSTANT = "2020-01-01T00:00:00Z"
HOSPITAL = "Lakeside Hospital"


def resources() -> list[dict[str, Any]]:
    """A hospital, Noor, her child Lina, the sibling Omar, and Noor as who acts for Lina and for Omar."""
    return [
        {"resourceType": "Organization", "id": "anna", "name": HOSPITAL},
        patient("noor", "1980-05-17"),
        patient("lina", "2016-02-29"),
        patient("omar", "2012-09-01"),
        related("mother-of-lina", "lina"),
        related("mother-of-omar", "omar"),
    ]


def patient(name: str, birth_date: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": name,
        "name": [{"family": "Haddad", "given": [name.title()]}],
        "birthDate": birth_date,
        "managingOrganization": {"reference": "Organization/anna"},
        "telecom": [{"system": "email", "value": f"{name}@home.test"}],
    }


def related(person: str, child: str, **changed: Any) -> dict[str, Any]:
    mother = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
    return {
        "resourceType": "RelatedPerson",
        "id": person,
        "active": True,
        "patient": {"reference": f"Patient/{child}"},
        "relationship": [{"coding": [{"system": mother, "code": "MTH"}]}],
        "name": [{"family": "Haddad", "given": ["Noor"]}],
        "birthDate": "1980-05-17",
        "period": {"start": "2020-01-01"},
    } | changed


async def put(world: World, *found: dict[str, Any]) -> None:
    await records.put(world.node, records.registrar("Organization/anna"), list(found))


def mails(world: World, to: str = "") -> list[EmailMessage]:
    """What lies in the folder, the oldest first."""
    folder: Path = world.node.settings.mail_folder
    files = sorted(folder.glob("*.eml"), key=lambda each: each.stat().st_mtime_ns)
    found = [message_from_bytes(each.read_bytes(), policy=default) for each in files]
    return [each for each in found if to in str(each["To"])]


def empty_mailbox(world: World) -> None:
    for each in world.node.settings.mail_folder.glob("*.eml"):
        each.unlink()


async def next_mail(world: World, to: str, having: str = "") -> str:
    """The text of the next mail to an address, that has these words; it is taken out of the mailbox."""
    until = time.monotonic() + 20
    while not (found := [each for each in mails(world, to.casefold()) if having in each.as_string()]):
        assert time.monotonic() < until, "no mail came"
        await anyio.sleep(0.02)
    body = found[-1].get_body(("plain",))
    assert body is not None
    empty_mailbox(world)
    return str(body.get_content()).replace("\r\n", "\n")


def link_in(text: str) -> str:
    return next(iter(re.findall(r"https://\S+", text)))


def code_in(text: str) -> str:
    return next(iter(re.findall(r"^\d{6}$", text, re.MULTILINE)))


async def bearer(world: World) -> dict[str, str]:
    """An interface engine of the hospital, as one that invites."""
    form = {"grant_type": "client_credentials", "scope": "system/*.rs"} | proof("inviter")
    answer = await world.http.post("/oauth/token", data=form)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def invite(world: World, subject: str, email: str = "") -> httpx.Response:
    body = {"subject": subject, "email": email}
    return await world.http.post("/account/invitations", json=body, headers=await bearer(world))


async def invited(world: World, subject: str, email: str) -> str:
    """Invite, and read the link in the mail."""
    answer = await invite(world, subject, email)
    assert answer.status_code == 200, answer.text
    return link_in(await next_mail(world, email, "https://"))  # not a code for signing in that comes late


async def prove(world: World, link: str, *dates: str) -> httpx.Response:
    page = await world.http.get(link)
    named = dict(zip(("birth_date", "own_birth_date"), dates, strict=False))
    return await world.http.post("/account/welcome", data=fields(page) | named)


async def choose(world: World, page: httpx.Response, factor: str = "email") -> httpx.Response:
    chosen = {"new_password": NEW_PASSWORD, "factor": factor, "accept": "yes"}
    return await world.http.post("/account/welcome/password", data=fields(page) | chosen)


async def joined(world: World, subject: str, email: str, *dates: str) -> httpx.Response:
    """Set an account up with codes by e-mail; who did is signed in."""
    page = await choose(world, await prove(world, await invited(world, subject, email), *dates))
    code = code_in(await next_mail(world, email))
    return await world.http.post("/account/welcome/code", data=fields(page) | {"code": code})
