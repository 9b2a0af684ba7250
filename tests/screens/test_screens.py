"""Every screen of a hospital with cases at every stage: axe-core finds nothing, nothing is cut off, in both themes.

`KONSIL_PICTURES=folder` keeps a picture of each; `make pictures` does so for docs/guide.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deploy.sandbox.cases import run as cases
from deploy.sandbox.people import OUTSIDERS, Outsider
from tests.end_to_end import people
from tests.end_to_end.people import Desk, at_desk
from tests.end_to_end.platform import Platform, platform
from tests.screens import states
from tests.screens.look import Looker

pytestmark = [pytest.mark.peer, pytest.mark.timeout(1500)]
EPIC, ORACLE, READER = "nunez", "meyer", "lindqvist"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform as the demo is, with its cases, images thinned out."""
    with platform(tmp_path_factory.mktemp("screens"), keep_every=20, like_demo=True) as up:
        assert cases.run(up.plan.directory) == 0
        yield up


@pytest.fixture
def looker(hospital: Platform) -> Iterator[Looker]:
    """Looks, and says at the end what was wrong."""
    looking = Looker(hospital.plan.gateway_url)
    yield looking
    assert looking.seen
    assert not looking.problems, f"{len(looking.problems)} problems\n" + "\n".join(looking.problems)


def become(desk: Desk, username: str) -> Page:
    """In by the door of the front page; not shown round."""
    desk.page.goto(desk.platform.person(username)["door"])
    desk.page.wait_for_load_state()
    states.alone(desk.page)
    return desk.page


def below(page: Page, path: str) -> str:
    """An address of the launch that the page is in."""
    return re.sub(r"(/l/[^/]+/).*", rf"\g<1>{path}", page.url)


def visit(desk: Desk, looker: Looker, paths: dict[str, str]) -> None:
    """Look at pages of one's own, by name and path."""
    for name, path in paths.items():
        desk.page.goto(below(desk.page, path))
        desk.page.wait_for_timeout(700)
        looker.look(desk.page, name)


def ready_case(page: Page) -> str:
    """The path of the first case that the board offers."""
    link = str(page.locator("a[href$='/offer']").first.get_attribute("href"))
    return re.sub(r"^.*/l/[^/]+/", "", link).removesuffix("/offer")


def first_arrival(page: Page) -> str:
    """The path of the first arrival of the inbox."""
    link = str(page.locator("a[href*='/reconcile/']").first.get_attribute("href"))
    return re.sub(r"^.*/l/[^/]+/", "", link)


def test_the_front_page(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        desk.page.goto(f"{hospital.plan.ehr_url}/")
        looker.look(desk.page, "front")
        desk.page.goto(f"{hospital.plan.ehr_url}/epic/sign-in")
        looker.look(desk.page, "ehr-sign-in")


@pytest.mark.parametrize(
    ("tenant", "patient"), [("epic", "lefevre"), pytest.param("oracle", "huang", marks=pytest.mark.full)]
)
def test_the_record(hospital: Platform, looker: Looker, tmp_path: Path, tenant: str, patient: str) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, {"epic": EPIC, "oracle": ORACLE}[tenant])
        looker.look(page, f"{tenant}-patients")
        chart = f"{hospital.plan.ehr_url}/{tenant}/patients/{patient}"
        page.goto(chart)
        tabs = page.locator(f"nav a[href*='/patients/{patient}/']")
        for path in dict.fromkeys(str(each.get_attribute("href")) for each in tabs.all()):
            page.goto(f"{hospital.plan.ehr_url}{path}" if path.startswith("/") else path)
            page.wait_for_timeout(4000 if path.endswith("second-opinion") else 400)
            states.alone(page.frame_locator("iframe[title='Second opinion']"))
            looker.look(page, f"{tenant}-{path.rpartition('/')[2].partition('?')[0]}")


def test_the_physician(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    """The app by itself in the EHR's frame: lists, a new request, cases at their stages."""
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, EPIC)
        page.goto(f"{hospital.plan.ehr_url}/epic/patients/nguyen/second-opinion")
        frame = page.frame_locator("iframe[title='Second opinion']")
        frame.get_by_role("heading").first.wait_for()
        page.wait_for_timeout(3000)
        states.alone(frame)
        looker.look(page, "request")
        app = next(each for each in page.frames if "/l/" in each.url)
        app.goto(re.sub(r"(/l/[^/]+/).*", r"\g<1>requests", app.url))
        page.wait_for_timeout(800)
        looker.look(page, "requests")
        found = app.locator("a[href*='/cases/']")
        paths = {str(each.get_attribute("href")).partition("?")[0] for each in found.all()}
        for number, path in enumerate(sorted(paths)[:4]):
            app.goto(re.sub(r"/l/.*", path, app.url))
            page.wait_for_timeout(800)
            looker.look(page, f"requester-case-{number}")


def test_health_information(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "harper")
        looker.look(page, "inbox")
        visit(desk, looker, {"sources": "sources", "reconcile": first_arrival(page)})
        page.get_by_role("link", name="Search the archives for more").click()
        page.get_by_role("button", name="Search all archives").click()
        expect(page.get_by_role("list", name="Outside archives")).to_contain_text("St. Anna Hospital holds")
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)
        expect(page.get_by_text("A check mark stands for")).to_be_visible()
        expect(page.get_by_role("button", name="Fetch what is ticked")).to_have_count(0)  # both were asked for
        looker.look(page, "search")


def test_the_administrator(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    """A list, an entry, a form with mistakes, filled and sent by keyboard alone."""
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "vance")
        looker.look(page, "administration")
        page.locator("a[data-row]").first.focus()
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="What it affects").wait_for()
        looker.look(page, "administration-hospital")
        page.goto(below(page, "administration/clients/new"))
        page.get_by_label("Client id").focus()
        page.keyboard.type("night shift")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This was not saved")
        looker.look(page, "administration-refused")


@pytest.mark.parametrize("who", OUTSIDERS, ids=lambda who: who.role)
def test_a_patient_and_who_acts_for_one(hospital: Platform, looker: Looker, tmp_path: Path, who: Outsider) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, who.username)
        page.get_by_role(
            "heading", name="Your second opinions" if who.role == "patient" else "second opinion"
        ).wait_for()
        looker.look(page, who.role)
        if who.role == "patient":
            page.get_by_role("button", name=re.compile("Withdraw")).first.click()
            page.get_by_role("heading", name="Withdraw this release?").wait_for()
            looker.look(page, "patient-withdraws")
        visit(desk, looker, {f"{who.role}-looked": "looked"})


@pytest.mark.full
def test_the_administrators_other_pages(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "vance")
        names = ("clients", "people", "organizations", "peers", "roles")
        entries = ("hospitals/epic/edit", "clients/konsil-app", "peers/st-anna", "peers/st-anna/edit")
        paths = [f"administration/{each}" for each in (*names, *entries)]
        visit(desk, looker, {path.replace("/", "-"): path for path in paths})
        page.goto(below(page, "administration/people?q=vance"))
        page.locator("a[data-row]").click()
        page.get_by_role("heading", name="What it affects").wait_for()
        looker.look(page, "administration-person")


def test_the_coordinator(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "castillo")
        looker.look(page, "board")
        ready = ready_case(page)
        tabs = ("", "/offer", "/records", "/imaging", "/messages", "/activity")
        of_case = {f"coordinator{tab.replace('/', '-')}": ready + tab for tab in tabs}
        visit(desk, looker, {"triage-list": "triage?view=table"} | of_case)
        visit(desk, looker, {"invitations": "invitations", "invite": "invitations/new"})


def test_the_keys_and_the_palette(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "castillo")
        page.keyboard.press("?")
        page.locator("dialog[open]").wait_for()
        looker.look(page, "keys")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+k")
        page.locator("dialog[open] input").fill("a")
        page.wait_for_timeout(1000)
        looker.look(page, "palette")


@pytest.mark.parametrize("username", ["ito", "adeyemi", "weiss"])
def test_the_consultants(hospital: Platform, looker: Looker, tmp_path: Path, username: str) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, username)
        looker.look(page, f"{username}-worklist")
        links = page.locator("a[href*='/cases/']")
        paths = dict.fromkeys(re.sub(r"^.*/l/[^/]+/", "", str(each.get_attribute("href"))) for each in links.all())
        for number, path in enumerate([each for each in paths if each.count("/") == 1][:3]):
            visit(desk, looker, {f"{username}-case-{number}": path, f"{username}-report-{number}": f"{path}/report"})


def test_the_programme_manager(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        looker.look(become(desk, "albrecht"), "programme-manager")


def test_the_privacy_officer(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "sorensen")
        looker.look(page, "access")
        visit(
            desk, looker, {"access-nobody": "access?patient=nobody-at-all", "access-no-case": "access?unusual=no-case"}
        )


def test_an_emergency(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, READER)
        case = states.in_reading(page)
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "rossi")
        page.goto(below(page, case))
        looker.look(page, "no-right-to-a-case")
        page.get_by_role("link", name="Emergency access").last.click()
        page.get_by_label("Reason").select_option("life-or-limb")
        page.get_by_label("In your words").fill("Unconscious in our emergency room, nobody to ask.")
        looker.look(page, "emergency-form")
        page.get_by_role("button", name="Open the record").first.click()
        page.get_by_role("heading", name="Open this record in an emergency?").wait_for()
        looker.look(page, "emergency-dialog")
        page.get_by_role("dialog").get_by_role("button", name="Open the record").click()
        page.get_by_role("heading", name="Record in an emergency").wait_for()
        looker.look(page, "emergency-record")
        visit(desk, looker, {"emergency-case": case})
    with at_desk(hospital, tmp_path) as desk:
        become(desk, "sorensen")
        visit(desk, looker, {"access-waiting": "access", "emergencies": "emergencies"})


def test_what_is_not_there(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "harper")
        visit(desk, looker, {"not-found": "nowhere", "no-right": "triage", "no-case": "cases/does-not-exist"})
        page.goto(f"{hospital.plan.app_url}/launch?iss=https://unknown.example/fhir&launch=x")
        looker.look(page, "unknown-issuer")
        page.goto(f"{hospital.plan.app_url}/callback?state=forged&code=x")
        looker.look(page, "forged-state")
        desk.context.clear_cookies()
        page.goto(f"{hospital.plan.app_url}/")
        looker.look(page, "signed-out")


@pytest.mark.full
def test_pages_of_the_record_server(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "castillo")
        page.goto(f"{hospital.plan.fhir_url}/fhir/Task?code=fulfill&_count=5")
        looker.look(page, "server-list")
        page.locator("tbody a").first.click()
        looker.look(page, "server-resource")


@pytest.mark.full
def test_the_guided_visit(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "castillo")
        page.get_by_role("button", name="Help").click()
        page.get_by_role("button", name="Show me round").click()
        page.get_by_role("button", name="Next").click()
        looker.look(page, "guided-visit")
        page.set_viewport_size({"width": 320, "height": 640})
        expect(page.locator(".k-tour-here h2").first).to_be_in_viewport()
        told, step = page.locator(".k-tour-here").bounding_box(), page.locator("konsil-tour").bounding_box()
        assert told and step and step["y"] >= told["y"] + told["height"], "the step covers what it speaks of"
        page.get_by_role("button", name="Leave").click()
        expect(page.locator("konsil-tour")).to_have_count(0)


@pytest.mark.full
def test_the_report_half_way(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    """Beside the live viewer: writing, the signing dialog, two windows in one report."""
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, READER)
        case = states.in_reading(page)
        states.reading_room(page, case)
        people.viewer(desk)
        looker.look(page, "reading-room")
        states.fully(page)
        page.get_by_role("button", name="Sign…").click()
        page.get_by_text("It cannot be taken back.").wait_for()
        page.get_by_label("Your signing PIN").wait_for()
        looker.look(page, "signing")
        page.keyboard.press("Escape")
        beside = desk.context.new_page()
        beside.goto(page.url)
        states.write(beside, "Another answer.")
        beside.close()
        page.get_by_label("Answer to the question").fill("Half of an answer, then more.")
        page.get_by_text("in another window").wait_for()
        looker.look(page, "report-conflict")
        page.locator("#report-conflict").get_by_role("button", name="Compare").click()
        page.get_by_role("heading", name="Two versions of this report").wait_for()
        looker.look(page, "report-compare")
        page.get_by_role("button", name="Take mine").first.click()
        expect(page.locator("#report-conflict")).to_be_empty()


def test_images_are_cited_opened_again_and_announced(hospital: Platform, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, READER)
        case = states.in_reading(page)
        states.reading_room(page, case)
        states.name_study(hospital, case, "Chest PA")
        people.viewer(desk)
        page.get_by_role("button", name="Cite this image").click()
        expect(page.locator(".k-chip a").last).to_contain_text(re.compile(r"image \d+ of \d+"))
        arrived = page.locator("#reading-news a")
        arrived.wait_for()
        hospital.kill("dicom_gateway")
        arrived.click()
        page.get_by_text("The viewer does not answer.").wait_for()
        hospital.wait_for("dicom_gateway")
        page.get_by_role("button", name="Open again").click()
        people.viewer(desk)
        expect(page.locator("[data-state=failed]")).to_be_hidden()
        expect(page.locator("#reading-news")).to_be_empty()


def test_a_report_outlives_the_line_and_the_sign_in(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page, answer = become(desk, READER), desk.page.get_by_label("Answer to the question")
        page.route(re.compile("/viewer[?]"), lambda route: route.abort())  # the pictures are other tests' matter
        states.reading_room(page, states.in_reading(page))
        hospital.kill("smart_app")
        answer.fill("Written while nobody listened.")
        page.get_by_text(states.NO_LINE).wait_for()
        expect(page.locator("#report-saved")).to_have_text("Not saved yet")
        looker.check(page, "line lost, light")
        hospital.wait_for("smart_app")
        expect(page.locator("#report-saved")).to_contain_text("Saved")
        page.reload()
        expect(answer).to_have_value("Written while nobody listened.")
        states.end_sign_ins(hospital)
        answer.fill("Typed after the session had ended.")
        page.get_by_role("heading", name="Your sign-in has ended").wait_for()
        looker.look(page, "sign-in-ended", narrow=False)
        states.sign_in_again(desk, READER)
        expect(page.locator("#again")).to_be_hidden()
        expect(page.locator("#report-saved")).to_contain_text("Saved")
        page.reload()
        expect(answer).to_have_value("Typed after the session had ended.")


def test_after_the_sign_out_the_back_button_shows_no_patient(hospital: Platform, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, READER)
        states.at(page, states.in_reading(page))
        name = str(page.locator(".k-banner-name").first.text_content()).split()[0]
        page.get_by_role("button", name=re.compile("Signed in")).click()
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method))
        page.get_by_role("button", name="Sign out").dblclick()
        page.get_by_role("heading", name="You are signed out").wait_for()
        assert sent.count("POST") == 1, "a double click signs out once"
        page.go_back()
        page.get_by_role("heading", name="You are signed out").wait_for()
        assert name not in page.locator("body").inner_text()


@pytest.mark.full
def test_the_workstation(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "demir")
        case = states.in_reading(page)
        states.at(page, f"{case}/imaging")
        page.get_by_role("button", name=re.compile("^Send")).last.click()
        page.locator(".k-sending-state", has_text="Sent").first.wait_for()
        looker.look(page, "workstation")
        states.reading_room(page, case)
        people.viewer(desk)
        page.locator(".k-entry", has_text="Report of CT angiography").locator("a[data-study]").click()
        expect(page.locator("[data-state=opening]")).to_be_visible()
        expect(page.locator("[data-state=opening]")).to_be_hidden()
        expect(page.locator("[data-state=failed]")).to_be_hidden()
        page.keyboard.press("w")
        page.locator("#sending .k-sendings").wait_for()
        looker.look(page, "workstation-dialog")


def test_the_request_half_way(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    """In the hospital's frame: a field that is not right, a file refused and one under way, the line lost."""
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, EPIC)
        app = states.request_form(desk, "nguyen")
        app.locator("#priors").get_by_role("button", name="Search again").scroll_into_view_if_needed()
        expect(app.get_by_role("list", name="Outside archives")).to_contain_text("St. Anna Hospital holds")
        app.get_by_label("Your question").fill("Why?")
        page.keyboard.press("Tab")
        app.get_by_text("ten letters at least").wait_for()
        upload = app.locator("#consent-upload")
        upload.set_input_files({"name": "consent.pdf", "mimeType": "application/pdf", "buffer": b"no PDF at all"})
        app.locator("#consent-problem").wait_for()
        looker.look(page, "request-not-right", narrow=False)
        held = states.hold(page, "/consent$")
        upload.set_input_files({"name": "consent.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4 half"})
        page.wait_for_timeout(1500)
        looker.check(page, "a file under way")
        states.let_go(page, held)
        app.locator("#consent-problem").wait_for()
        hospital.kill("smart_app")
        app.get_by_label("Your question").fill("Is there another explanation for the seizures?")
        app.get_by_text(states.NO_LINE).wait_for()
        looker.check(page, "line lost in the request")
        hospital.wait_for("smart_app")
        expect(app.locator("#saved")).to_contain_text("saved")
        app = states.request_form(desk, "nguyen")
        expect(app.get_by_label("Your question")).to_have_value("Is there another explanation for the seizures?")


@pytest.mark.full
def test_dialogs_and_toasts(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "castillo")
        held = states.hold(page, "/offer$")
        page.get_by_role("link", name="Offer").first.click()
        page.wait_for_timeout(1500)
        looker.look(page, "board-waits", narrow=False)
        states.let_go(page, held)
        page.get_by_role("heading", name="Who could answer?").wait_for()
        looker.look(page, "offer")
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "harper")
        page.goto(below(page, first_arrival(page)))
        page.get_by_role("button", name="Reject", exact=True).click()
        page.get_by_label("It is another person of the same name.").wait_for()
        looker.look(page, "reject")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Put off").dblclick()
        page.get_by_text("Put off until").first.wait_for()
        looker.check(page, "toast with undo, light")
        page.get_by_role("button", name="Undo").click()
        page.wait_for_url("**/inbox?at=*")
