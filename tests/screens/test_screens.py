"""Every screen of a hospital with cases at every stage: axe-core finds nothing, nothing is cut off, in both themes.

`KONSIL_PICTURES=folder` keeps a picture of each; `make pictures` does so for docs/guide.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from deploy.sandbox.cases import run as cases
from tests.end_to_end.people import Desk, at_desk
from tests.end_to_end.platform import Platform, platform
from tests.screens import states
from tests.screens.look import Looker

pytestmark = [pytest.mark.peer, pytest.mark.timeout(1500)]
EPIC, ORACLE = "nunez", "meyer"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The whole platform with the demo's cases, images thinned out."""
    with platform(tmp_path_factory.mktemp("screens"), keep_every=20) as up:
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
    """In by the door of the front page."""
    desk.page.goto(desk.platform.person(username)["door"])
    desk.page.wait_for_load_state()
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


@pytest.mark.parametrize(("tenant", "patient"), [("epic", "lefevre"), ("oracle", "huang")])
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
            looker.look(page, f"{tenant}-{path.rpartition('/')[2].partition('?')[0]}")


def test_the_physician(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    """The app by itself in the EHR's frame: lists, a new request, cases at their stages."""
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, EPIC)
        page.goto(f"{hospital.plan.ehr_url}/epic/patients/nguyen/second-opinion")
        frame = page.frame_locator("iframe[title='Second opinion']")
        frame.get_by_role("heading").first.wait_for()
        page.wait_for_timeout(3000)
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
        visit(desk, looker, {"reconcile": first_arrival(page), "sources": "sources"})


def test_the_coordinator(hospital: Platform, looker: Looker, tmp_path: Path) -> None:
    with at_desk(hospital, tmp_path) as desk:
        page = become(desk, "castillo")
        looker.look(page, "board")
        ready = ready_case(page)
        tabs = ("", "/offer", "/records", "/imaging", "/messages", "/activity")
        of_case = {f"coordinator{tab.replace('/', '-')}": ready + tab for tab in tabs}
        visit(desk, looker, {"triage-list": "triage?view=table"} | of_case)


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
        page.get_by_role("button", name="Put off").click()
        page.get_by_text("Put off until").first.wait_for()
        looker.check(page, "toast with undo, light")
        page.get_by_role("button", name="Undo").click()
        page.wait_for_url("**/inbox?at=*")
