"""Markup in every text field of a chart, a request and an opinion is shown as text, on every page that is linked.

R4's definitions say which fields hold text: those that a record lacks are added, as far as they are texts or have one.
"""

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.sandbox import charts
from deploy.sandbox.hospitals import HOSPITALS
from fhir_server.auth import records
from fhir_server.definitions import Definitions
from tests.markup import SCRIPT, checked, mark, short
from tests.smart_app.platform import Browser, Platform, launch_id
from tests.smart_app.request.test_bad_input import pdf
from tests.smart_app.steps import QUESTION, draft_path, new_request, offer, open_room, opinion, submit
from tests.smart_app.steps import shown as wait_for

CHART = "lefevre"
TEXTS = {"string", "markdown"}
HOLDERS = {
    "CodeableConcept": "text",
    "Annotation": "text",
    "HumanName": "text",
    "Address": "text",
    "ContactPoint": "value",
    "Attachment": "title",
}
"""Types that are shown by one text."""
LEFT_ALONE = {"id", "reference", "dataAbsentReason", "valueString", "contact"}
"""An absent reason excludes a value (obs-6), `contact` of a patient wants a name (pat-1)."""
EACH = 2
PAGES = 7
LINK = re.compile(r'(?:href|hx-get|src)="(/l/[^"#]+)')
ID = re.compile(r"(?<=/)[^/]*[0-9][^/]*")


def hostile(definitions: Definitions, node: Any, type_: str, path: str) -> Any:
    """The same with a mark in every text field that the type has, those that were absent too."""
    if isinstance(node, list):
        return [hostile(definitions, each, type_, path) for each in node]
    if isinstance(node, str):
        return node + mark(path) if type_ in TEXTS and not path.endswith((".id", ".reference")) else node
    if not isinstance(node, dict):
        return node
    elements = definitions.keys(type_)
    made = {
        key: hostile(definitions, value, elements[key].type, f"{path}.{key}") if key in elements else value
        for key, value in node.items()
    }
    for key, element in elements.items():
        if key not in made and key == element.name and key not in LEFT_ALONE:
            added = absent(element.type, f"{path}.{key}")
            made |= {key: [added] if element.many else added} if added else {}
    return made


def absent(type_: str, path: str) -> Any:
    """What stands in a field that was empty: a mark, a link that would run, nothing where a text has no place."""
    if type_ in TEXTS:
        return mark(path)
    if type_ == "url":
        return SCRIPT
    address = {"url": SCRIPT, "contentType": "text/html"} if type_ == "Attachment" else {}
    return {HOLDERS[type_]: mark(path), **address} if type_ in HOLDERS else None


def chart(definitions: Definitions) -> list[dict[str, Any]]:
    """Some of each kind of one patient's records, under ids of their own, every text field hostile."""
    kept: list[dict[str, Any]] = []
    for resource in charts.resources("epic"):
        of_patient = resource["id"] == CHART or f"Patient/{CHART}" in json.dumps(resource)
        same = [each for each in kept if each["resourceType"] == resource["resourceType"]]
        if of_patient and len(same) < EACH:
            kept.append(resource)
    text = json.dumps([{key: value for key, value in each.items() if key != "text"} for each in kept])
    for each in kept:
        text = text.replace(f'"{each["resourceType"]}/{each["id"]}"', f'"{each["resourceType"]}/{each["id"]}-x"')
    return [
        hostile(definitions, each, each["resourceType"], each["resourceType"]) | {"id": f"{each['id']}-x"}
        for each in json.loads(text)
    ]


def shape(path: str) -> str:
    """What pages of one kind have in common."""
    return ID.sub("*", path.partition("?")[0])


def crawl(browser: Browser, page: httpx.Response) -> Iterator[str]:
    """The page and those it leads to, and those they lead to: one of each kind, so many at most."""
    home, seen = f"/l/{launch_id(page)}/", set[str]()
    yield page.text
    waiting = LINK.findall(page.text)
    while waiting and len(seen) < PAGES:
        path = html.unescape(waiting.pop(0))
        if shape(path) in seen or not path.startswith(home):
            continue
        seen.add(shape(path))
        answer = browser.get(path)
        if answer.headers.get("content-type", "").startswith("text/html"):
            yield answer.text
            waiting += LINK.findall(answer.text)


@pytest.fixture(scope="module")
def patient(hospital: Platform) -> str:
    """The hospital has this chart."""
    node = hospital.tenants["epic"].state.node
    hospital.call(records.put(node, records.registrar(HOSPITALS[0].organization), chart(node.definitions)))
    return f"{CHART}-x"


@pytest.mark.spec("CWE-79")
def test_markup_in_records_is_text_on_every_page(hospital: Platform, patient: str) -> None:
    requester = hospital.browser()
    page = requester.launch("epic", patient)
    shown = {field for text in crawl(requester, page) for field in checked(text)}
    form = new_request(requester, f"/l/{launch_id(page)}")
    shown |= checked(form.text)
    asked = {"question": QUESTION + mark("Question.text"), "history": "x" + mark("History.text")}
    case = submit(requester, form, **asked)
    for text in crawl(requester, requester.get(f"/l/{launch_id(page)}/cases/{case}")):
        shown |= checked(text)
    coordinator = hospital.browser()
    for text in crawl(coordinator, coordinator.sign_in("castillo")):
        shown |= checked(text)
    offer(hospital, case, "ito")
    consultant = hospital.browser()
    home = f"/l/{launch_id(consultant.sign_in('ito'))}/cases/{case}"
    room = open_room(consultant, home)
    shown |= checked(room)
    written = opinion(room)
    said = {name: f"{written[name]}{mark(f'Opinion.{name}')}" for name in SAID}
    signed = consultant.post(f"{home}/sign", data=written | said)
    for text in crawl(consultant, signed):
        shown |= checked(text)
    kinds = {field.partition(".")[0] for field in shown}
    assert {
        "Patient",
        "Condition",
        "Observation",
        "DiagnosticReport",
        "MedicationRequest",
        "Question",
        "Opinion",
    } <= kinds
    assert len(shown) > 20, sorted(shown)


SAID = ("answer", "findings", "recommendations")


DESKS = {
    "sorensen": ("access", "emergencies"),
    "harper": ("inbox", "sources"),
    "castillo": ("triage", "invitations"),
    "vance": ("administration/clients", "administration/hospitals", "sources"),
    "albrecht": ("triage",),
    "ito": ("my", "find"),
}
TYPED = (
    "q",
    "sort",
    "band",
    "state",
    "group",
    "patient",
    "person",
    "kind",
    "by",
    "from",
    "to",
    "view",
    "page",
    "before",
)


@pytest.mark.spec("CWE-79")
def test_what_was_typed_is_text_at_every_desk(hospital: Platform, patient: str) -> None:
    """Words of an address, of an emergency and a file's name; the audit of people and records so named."""
    requester = hospital.browser()
    page = requester.launch("epic", patient)
    form = new_request(requester, f"/l/{launch_id(page)}")
    kept = {"consent": (f"{short('File.name')}.pdf", pdf(), "application/pdf")}
    shown = checked(requester.post(f"{draft_path(form.text)}/consent", files=kept, headers={"HX-Request": "true"}).text)
    case = submit(requester, form, question=QUESTION)
    opened = hospital.browser()
    home = f"/l/{launch_id(opened.sign_in('chen'))}"
    why = {"case": case, "reason": "cover", "words": WORDS + mark("Emergency.words"), "minutes": "15"}
    answer = opened.post(f"{home}/emergency", data=why)
    assert answer.status_code == 200, answer.text
    shown |= checked(answer.text)
    hospital.app.state.emergencies.forget("Practitioner/sorensen")
    for username, desks in DESKS.items():
        browser = hospital.browser()
        home = f"/l/{launch_id(browser.sign_in(username))}"
        for desk in desks:
            for asked in ({}, {name: mark(f"Typed.{name}") for name in TYPED}, {"q": mark("Typed.q")}):
                shown |= checked(browser.get(f"{home}/{desk}", params=asked).text)
    officer = hospital.browser()
    home = f"/l/{launch_id(officer.sign_in('sorensen'))}"
    seen = checked(wait_for(officer, f"{home}/access?patient=Lefevre&kind=written", "[Patient."))
    assert {each.partition(".")[0] for each in seen} >= {"Patient"}, seen
    assert {"File.name", "Emergency.words", "Typed.q"} <= shown, shown


WORDS = "Unconscious in our emergency room, nobody to ask."
