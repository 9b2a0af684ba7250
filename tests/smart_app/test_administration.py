"""The pages of the administrator: nobody else opens them, secrets are shown once, two who change at once are told."""

import json
import re
from html import unescape
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from starlette.datastructures import FormData

from fhir_server.store.models import audit
from konsil.changes import change_event
from smart_app.administration.kinds import KINDS
from smart_app.store.models import outbox
from smart_app.store.told import AUDIT, put_down
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.steps import drain, patient_of

PAGES = [
    *(f"administration{path}" for path in ("", "/roles", *(f"/{slug}" for slug in KINDS))),
    *(f"administration/{slug}/new" for slug in KINDS),
    "administration/hospitals/epic",
    "administration/hospitals/epic/edit",
]
POSTS = [
    "administration/clients/new",
    "administration/hospitals/epic/edit",
    "administration/hospitals/epic/check",
    "administration/hospitals/epic/align",
    "administration/clients/konsil-app/do/deactivate",
]


@pytest.fixture(scope="module")
def office(hospital: Platform) -> tuple[Browser, str]:
    browser = hospital.browser()
    return browser, f"/l/{launch_id(browser.sign_in('vance'))}/administration"


def version(page: httpx.Response) -> str:
    found = re.search(r'name="version" value="(\d+)"', page.text)
    assert found is not None, page.text
    return found[1]


def fields(page: httpx.Response) -> dict[str, Any]:
    """What a browser would send of the form as it stands."""
    found: dict[str, Any] = {}
    form = page.text.partition("k-admin-form")[2].partition("</form>")[0]
    for tag in re.findall(r"<input[^>]*>", form):
        given = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        if given.get("type") in {"text", "hidden"} and "name" in given:
            found[given["name"]] = unescape(given.get("value", ""))
    for name, value in re.findall(r'<textarea[^>]*name="([a-z_]+)"[^>]*>([^<]*)</textarea>', page.text):
        found[name] = unescape(value)
    boxes = re.findall(r'<input[^>]*type="checkbox"[^>]*name="([a-z_]+)"[^>]*value="([^"]*)"[^>]*checked', page.text)
    for name, value in boxes:
        found.setdefault(name, []).append(value)
    for name, body in re.findall(r'<select[^>]*name="([a-z_]+)"[^>]*>(.*?)</select>', page.text, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', body) or re.search(r'value="([^"]*)"', body)
        found[name] = chosen[1] if chosen else ""
    return found


@pytest.mark.parametrize("username", ["castillo", "harper", "ito", "albrecht", "sorensen", "weiss", None])
def test_nobody_else_opens_them(hospital: Platform, username: str | None) -> None:
    browser = hospital.browser()
    page = browser.sign_in(username) if username else browser.launch("epic", patient_of("epic", 2))
    home = f"/l/{launch_id(page)}"
    assert "administration" not in browser.get(f"{home}/help").text.lower().split("<main")[0]
    for path in PAGES:
        assert browser.get(f"{home}/{path}").status_code == 403, path
    for path in POSTS:
        assert browser.post(f"{home}/{path}", data={"version": "1"}).status_code == 403, path


def test_lists_search_sort_and_page(office: tuple[Browser, str]) -> None:
    browser, home = office
    everybody = browser.get(f"{home}/people")
    assert everybody.status_code == 200
    assert "Add person" in everybody.text
    found = browser.get(f"{home}/people?q=castillo&sort=-name").text
    assert "Castillo" in found
    assert "Harper" not in found
    assert "Nothing fits" in browser.get(f"{home}/people?q=nobodyatall").text
    for slug in ("hospitals", "clients", "organizations"):
        assert browser.get(f"{home}/{slug}").status_code == 200
    roles = browser.get(f"{home}/roles").text
    assert "Coordinator" in roles
    assert "1 person" in roles
    assert browser.get(f"{home}/nothing").status_code == 404


def test_a_secret_is_shown_once(office: tuple[Browser, str]) -> None:
    browser, home = office
    values = {"client_id": "lab", "name": "Lab", "type": "confidential", "scopes": "system/Task.rs", "roles": "system"}
    refused = browser.post(f"{home}/clients/new", data={**values, "scopes": "everything", "name": ""})
    assert refused.status_code == 400
    assert "This is needed." in refused.text
    refused = browser.post(f"{home}/clients/new", data={**values, "scopes": "everything"})
    assert refused.status_code == 400
    assert "not SMART scopes" in refused.text
    added = browser.post(f"{home}/clients/new", data=values)
    assert "shown once" in added.text
    once = re.search(r'k-admin-once"[^>]*>([^<]+)<', added.text)
    assert once is not None
    page = browser.get(f"{home}/clients/lab")
    other = browser.post(f"{home}/clients/lab/do/new-secret", data={"version": version(page)})
    assert "shown once" in other.text
    twice = browser.post(f"{home}/clients/lab/do/new-secret", data={"version": version(page)})
    assert "has changed this in the meantime" in twice.text
    for path in ("clients", "clients/lab", "clients/lab/edit"):
        assert once[1] not in browser.get(f"{home}/{path}").text
    page = browser.get(f"{home}/clients/lab")
    off = browser.post(f"{home}/clients/lab/do/deactivate", data={"version": version(page)})
    assert "Deactivated" in off.text


def test_two_who_change_at_once_are_told(hospital: Platform, office: tuple[Browser, str]) -> None:
    browser, home = office
    page = browser.get(f"{home}/hospitals/oracle/edit")
    mine = fields(page)
    assert "d" not in str(mine["key"])
    theirs = browser.post(f"{home}/hospitals/oracle/edit", data={**mine, "title": "Northfield General"})
    assert "Saved." in theirs.text
    late = browser.post(f"{home}/hospitals/oracle/edit", data={**mine, "title": "Northfield West"})
    assert late.status_code == 409
    assert "Thomas Vance has changed this" in late.text
    assert "now: Northfield General" in late.text
    assert 'value="Northfield West"' in late.text
    again = browser.post(f"{home}/hospitals/oracle/edit", data=fields(late) | {"title": mine["title"]})
    assert "Saved." in again.text
    shown = browser.get(f"{home}/hospitals/oracle").text
    assert "Northfield General" in shown, "it is among the changes"
    assert "The server takes its id_tokens" in shown


def test_a_hospital_is_asked_and_has_no_key_to_show(hospital: Platform, office: tuple[Browser, str]) -> None:
    browser, home = office
    page = browser.post(f"{home}/hospitals/epic/check")
    assert page.status_code == 200
    assert page.text.count("k-tone-danger") == 0, page.text
    assert "FHIR 4.0.1" in page.text
    assert "DocumentReference: create" in page.text
    stored = hospital.app.state.services.provisioned.by_name("epic")
    secrets = [stored.key, stored.backend.key if stored.backend else None]
    for path in ("hospitals/epic", "hospitals/epic/edit", "hospitals"):
        text = browser.get(f"{home}/{path}").text
        assert all(each["d"] not in text for each in secrets if each)


def test_nobody_launches_from_a_hospital_that_is_off(hospital: Platform, office: tuple[Browser, str]) -> None:
    browser, home = office
    physician = hospital.browser()
    mine = launch_id(physician.launch("oracle", patient_of("oracle", 1)))
    deed = f"{home}/hospitals/oracle/do"
    browser.post(f"{deed}/deactivate", data={"version": version(browser.get(f"{home}/hospitals/oracle"))})
    try:
        assert physician.get(f"/l/{mine}/requests").status_code == 401
        refused = hospital.browser().get(hospital.launch_url("oracle", patient_of("oracle", 1)))
        assert refused.status_code == 400
    finally:
        back = browser.post(f"{deed}/activate", data={"version": version(browser.get(f"{home}/hospitals/oracle"))})
    assert "It is active again." in back.text
    assert "The server takes its id_tokens" in back.text
    assert hospital.browser().launch("oracle", patient_of("oracle", 1)).status_code == 200


def test_people_and_organizations(hospital: Platform, office: tuple[Browser, str]) -> None:
    browser, home = office
    made = browser.post(f"{home}/organizations/new", data={"name": "Clinic <b>x</b>", "identifier": "urn:x|1"})
    assert "Clinic &lt;b&gt;" in made.text
    reference = re.search(r"<code>(Organization/[^<]+)</code>", made.text)
    assert reference is not None
    person = {"username": "lee", "name": "Dr. Lee", "roles": ["him", "coordinator"], "organization": reference[1]}
    added = browser.post(f"{home}/people/new", data=person)
    assert "/account/reset?step=" in added.text
    page = browser.get(f"{home}/people?q=lee")
    key = re.search(r'administration/people/([0-9a-f-]{36})"', page.text)
    assert key is not None
    shown = browser.get(f"{home}/people/{key[1]}")
    assert "/account/reset" not in shown.text
    out = browser.post(f"{home}/people/{key[1]}/do/sign-out", data={"version": version(shown)})
    assert "signed out everywhere" in out.text
    vance = re.search(r'administration/people/([0-9a-f-]{36})"', browser.get(f"{home}/people?q=vance").text)
    assert vance is not None
    mine = browser.get(f"{home}/people/{vance[1]}")
    kept = browser.post(f"{home}/people/{vance[1]}/do/deactivate", data={"version": version(mine)})
    assert kept.status_code == 409
    assert "yourself" in kept.text
    organization = f"{home}/organizations/{reference[1].partition('/')[2]}"
    mine = browser.get(f"{organization}/edit")
    renamed = browser.post(f"{organization}/edit", data=fields(mine) | {"name": "Clinic Y"})
    assert "Saved." in renamed.text


def test_archives_need_the_gateway(office: tuple[Browser, str]) -> None:
    browser, home = office
    page = browser.get(f"{home}/peers")
    assert page.status_code == 503
    assert "does not answer" in page.text


def test_a_line_may_hold_blanks() -> None:
    hours = next(each for each in KINDS["peers"].fields if each.name == "hours")
    assert hours.read(FormData(hours="18:00-06:00\r\n sat,sun 00:00-24:00 \r\n\r\n")) == [
        "18:00-06:00",
        "sat,sun 00:00-24:00",
    ]


def test_what_a_command_changed_of_a_hospital_reaches_the_audit_once(hospital: Platform) -> None:
    """Told by the worker with a token for this alone; a row that runs again finds the event there."""
    engine = hospital.app.state.services.engine
    source = {"identifier": {"value": "command line (root)"}}, hospital.plan.app_url
    put_down(engine, change_event(source, "hospital epic", "changed", [("title", "A to B")]))
    with engine.connect() as connection:
        row = connection.execute(select(outbox.c.payload).where(outbox.c.kind == AUDIT)).scalar_one()
    event_id = json.loads(row)["event"]["id"]
    again = update(outbox).where(outbox.c.kind == AUDIT).values(state="due", next_attempt_at=0.0)
    for turn in range(2):
        with engine.begin() as connection:
            if turn:
                connection.execute(again)
        drain(hospital)
        with engine.begin() as connection:
            state = connection.execute(select(outbox.c.state).where(outbox.c.kind == AUDIT)).scalar_one()
        assert state == "done"
    database = hospital.ours.state.node.database
    found = hospital.call(database.fetch(select(audit.c.event_id).where(audit.c.event_id == event_id)))
    assert len(found) == 1
