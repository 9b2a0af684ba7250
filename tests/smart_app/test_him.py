"""HIM staff and coordinator at their pages, against a real gateway and a real outside archive."""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Route, expect
from sqlalchemy import select

from deploy.sandbox import charts, keys
from deploy.sandbox.hospitals import HOSPITALS
from deploy.sandbox.people import PASSWORD
from dicom_gateway.app import create_app
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.models import outbox
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.jobs import GatewayRunner
from konsil.http_client import guarded_client
from konsil.oauth_client import BackendToken, ClientKey
from konsil.outbox import NewJob, enqueue
from tests.dicom_gateway.conftest import know, listening, opened
from tests.dicom_gateway.objects import write_study
from tests.end_to_end import engine
from tests.end_to_end.browser import workstation
from tests.markup import checked, short
from tests.peers import storescp, unused_port
from tests.smart_app.platform import Browser, Platform, launch_id, serving
from tests.smart_app.steps import offer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
HTMX = {"HX-Request": "true"}
HOSTILE = {
    "PatientID": f"X-1{short('Patient.id')}",
    "PatientName": f"Other{short('Patient.name')}^Olga",
    "PatientAddress": short("Patient.address"),
    "AccessionNumber": "'\"><xss a>",
    "StudyDescription": short("Study.description"),
    "SeriesDescription": short("Series.description"),
    "InstitutionName": short("Institution.name"),
    "IssuerOfPatientID": short("Patient.issuer"),
}
"""A CD that somebody made for it."""
QUESTION = "Is the nodule on this study new?"


@dataclass
class Imaging:
    """The gateway, the cases that asked for studies, and June Harper at her inbox."""

    hospital: Platform
    gateway: Gateway
    runner: GatewayRunner
    patient: dict[str, Any]
    june: Browser
    launch: str

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.june.get(f"/l/{self.launch}/{path}", **options)

    def post(self, path: str, **form: str) -> httpx.Response:
        return self.june.post(f"/l/{self.launch}/{path}", data=form)

    def work(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            self.runner.run_due()
            if until():
                return
            time.sleep(0.1)
        raise AssertionError("the gateway did not get there")

    def submit(self, study: str, description: str, priority: str = "routine") -> None:
        """A case as the interface engine sends it."""
        kept = keys.load_or_make(self.hospital.plan.directory / "keys.json")
        base, token_url = f"{self.hospital.plan.fhir_url}/fhir", f"{self.hospital.plan.fhir_url}/oauth/token"
        bundle = engine.submission(self.patient, study)
        for entry in bundle["entry"]:
            resource = entry["resource"]
            if resource["resourceType"] == "Patient":
                resource["address"] = self.patient["address"]
            if resource["resourceType"] == "Task" and "fulfill" in str(resource["code"]):
                resource |= {"priority": priority, "description": QUESTION}
            elif resource["resourceType"] == "Task":
                resource["input"][2]["valueString"] = description
        with guarded_client([base, token_url]) as client:
            key = ClientKey("interface-engine-demo", kept["interface-engine"], token_url)
            headers = BackendToken(client, key, "system/*.cruds").header()
            answer = client.post(base, json=bundle, headers={**headers, "Content-Type": "application/fhir+json"})
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def imaging(hospital: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imaging]:
    """Three studies asked for: of the patient, of another woman of the same name, and one that nobody has."""
    folder, plan = tmp_path_factory.mktemp("imaging"), hospital.plan
    patient = next(each for each in charts.resources("epic") if each["resourceType"] == "Patient")
    with ExitStack() as stack:
        outside = stack.enter_context(opened(folder / "outside", mode="archive", ae_title="OUTSIDE"))
        pacs = stack.enter_context(listening(outside))
        gateway = stack.enter_context(opened(folder / "ours", **settings(hospital)))
        know(outside, name="konsil", ae_title="KONSIL", port=1, can=["store"])
        know(gateway, name="st-anna", title="St. Anna", ae_title="OUTSIDE", port=pacs.port, can=["find", "get"])
        stack.enter_context(serving([(create_app(gateway), plan.ports.gateway)]))
        runner = GatewayRunner(gateway)
        stack.callback(runner.close)
        june = hospital.browser()
        found = Imaging(hospital, gateway, runner, patient, june, launch_id(june.sign_in("harper")))
        found.submit(keep(outside, folder / "own", patient), "CT chest", "routine")
        found.submit(keep(outside, folder / "trap", patient, PatientBirthDate="19510101"), "CT abdomen", "urgent")
        found.submit("1.2.3.4.5", "CT of 2019")
        found.work(lambda: len(arrivals(found)) == 2 and "does not know" in found.get("sources").text)
        yield found


def settings(hospital: Platform) -> dict[str, object]:
    plan = hospital.plan
    (plan.directory / "gateway-key.json").write_text(
        json.dumps(keys.load_or_make(plan.directory / "keys.json")["gateway"])
    )
    return {
        "fhir_base_url": f"{plan.fhir_url}/fhir",
        "fhir_token_url": f"{plan.fhir_url}/oauth/token",
        "fhir_key_file": plan.directory / "gateway-key.json",
        "poll_seconds": 0.1,
        "id_domains": {each.mrn_system: each.issuer for each in HOSPITALS},
    }


def keep(outside: Gateway, folder: Path, patient: dict[str, Any], **changes: object) -> str:
    """A small study in the archive that names the patient as our record does, but for the changes."""
    name = next(each for each in patient["name"] if each.get("use") in ("official", None))
    attributes = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": "^".join([name["family"], name["given"][0], " ".join(name["given"][1:])]).rstrip("^"),
        "PatientBirthDate": patient["birthDate"].replace("-", ""),
        "PatientSex": {"female": "F", "male": "M"}[patient["gender"]],
    }
    study, files = write_study(folder, [3], **attributes | changes)
    for file in files:
        outside.ingest.accept(Incoming.from_file(file.read_bytes(), Source()))
    outside.ingest.replay()
    return study


def arrivals(imaging: Imaging) -> list[str]:
    """The ids of what the inbox lists, in its order."""
    return re.findall(r'<tr id="arrival-([^"]+)"', imaging.get("inbox").text)


def version_of(page: str) -> str:
    found = re.search(r'name="version" value="([^"]+)"', page)
    assert found, page
    return found.group(1)


def test_the_inbox_shows_the_most_urgent_first_with_its_band(imaging: Imaging) -> None:
    page = imaging.get("inbox").text
    trap, own = arrivals(imaging)
    assert page.index("Probably another person") < page.index("Same person")
    assert "2 arrivals wait" in page and "urgent" in page and "St. Anna" in page
    shown = imaging.get(f"inbox/{own}").text
    assert "<html" not in shown and "Same person" in shown and 'value="accept"' in shown
    assert 'value="accept"' not in imaging.get(f"inbox/{trap}").text, "what differs is accepted on its own page only"
    assert arrivals_of(imaging.get("inbox?band=Same+person").text) == [own]
    assert "Nothing fits" in imaging.get("inbox?q=nobody-of-this-name").text
    assert imaging.get("inbox/unknown").status_code == 404


def arrivals_of(page: str) -> list[str]:
    return re.findall(r'<tr id="arrival-([^"]+)"', page)


def test_the_comparison_says_how_it_comes_about(imaging: Imaging) -> None:
    trap, _ = arrivals(imaging)
    page = imaging.get(f"reconcile/{trap}").text
    assert re.findall(r'<div class="k-note[^>]*>.*?</div>', page, re.DOTALL) == [], "no word of a gateway in trouble"
    assert "Probably another person" in page
    assert ">-7<" in page and "<strong>+5</strong>" in page
    assert "Lakeside Medical Center" in page, "the issuer by its name"
    assert "/thumbnails/0" in page and imaging.get(f"reconcile/{trap}/images/0").content.startswith(b"\x89PNG")


def test_what_differs_is_not_accepted_without_a_confirmation(imaging: Imaging) -> None:
    trap, _ = arrivals(imaging)
    version = version_of(imaging.get(f"reconcile/{trap}").text)
    refused = imaging.post(f"reconcile/{trap}", decision="accept", version=version)
    assert refused.status_code == 400 and "Differs in birth date" in refused.text
    assert imaging.post(f"reconcile/{trap}", decision="reject", version=version).status_code == 400
    assert len(arrivals(imaging)) == 2


def test_putting_off_can_be_undone(imaging: Imaging) -> None:
    trap, own = arrivals(imaging)
    version = version_of(imaging.get(f"reconcile/{trap}").text)
    after = imaging.post(f"reconcile/{trap}/defer", version=version)
    assert after.url.path.endswith(f"reconcile/{own}") and "Put off until" in after.text
    assert f"reconcile/{trap}/resume" in after.text, "with a way back"
    assert arrivals(imaging) == [own, trap] and "1 put off" in imaging.get("inbox").text
    imaging.post(f"reconcile/{trap}/resume")
    assert arrivals(imaging) == [trap, own]


def test_the_other_of_two_people_reads_who_was_first(imaging: Imaging) -> None:
    trap, own = arrivals(imaging)
    version = version_of(imaging.get(f"reconcile/{trap}").text)
    first = imaging.post(f"reconcile/{trap}", decision="reject", version=version, choice="same-name")
    assert first.url.path.endswith(f"reconcile/{own}"), "the next arrival opens"
    assert "it stays away from" in first.text
    second = imaging.post(f"reconcile/{trap}", decision="accept", version=version)
    assert second.status_code == 409
    assert re.search("June Harper rejected this study (just now|1 minute ago)", second.text), second.text
    shown = imaging.get(f"reconcile/{trap}").text
    assert "It is another person of the same name." in shown and "Fetch it again" in shown
    imaging.post(f"reconcile/{trap}/again")
    imaging.work(lambda: len(arrivals(imaging)) == 2)


def test_accepting_the_same_person_needs_no_more(imaging: Imaging) -> None:
    own = next(each for each in arrivals(imaging) if "Same person" in imaging.get(f"inbox/{each}").text)
    version = version_of(imaging.get(f"reconcile/{own}").text)
    done = imaging.june.post(
        f"/l/{imaging.launch}/reconcile/{own}?from=inbox", data={"decision": "accept", "version": version}
    )
    assert "/inbox" in done.url.path and "Accepted for" in done.text
    imaging.work(lambda: "Released</dt><dd>1 " in imaging.get("sources").text)


def test_sources_and_transfers(imaging: Imaging) -> None:
    page = imaging.get("sources").text
    assert "St. Anna does not know this study any more." in page and "Search the prior imaging again" in page
    assert "1 transfer needs a look" in page and "MB" in page or "kB" in page
    echoed = imaging.june.post(f"/l/{imaging.launch}/sources/st-anna/echo", headers={"HX-Request": "true"})
    assert "St. Anna answers and lets us in." in echoed.text
    failed = re.search(r'action="[^"]*/(sources/retrievals/[^"]+/again)"', page)
    assert failed
    assert imaging.post(failed.group(1), status="completed").status_code == 409, "the page was an old one"
    again = imaging.post(failed.group(1), status="failed")
    assert "Asked for once more." in again.text
    imaging.work(lambda: "1 transfer needs a look" in imaging.get("sources").text)
    assert arrivals_of(imaging.get("sources?group=Running").text) == []


def test_what_was_given_up_is_seen_by_staff_and_tried_again_by_administrators(
    hospital: Platform, imaging: Imaging
) -> None:
    with imaging.gateway.engine.begin() as connection:
        connection.execute(enqueue(outbox, connection.dialect.name, NewJob("forward", {}, "lost", "forward:reading")))
        lost = outbox.c.dedupe_key == "lost"
        given_up = {"state": "failed", "last_error": "reading: peer-down"}
        connection.execute(outbox.update().where(lost).values(given_up))
        number = connection.execute(select(outbox.c.id).where(lost)).scalar_one()
    page = imaging.get("sources").text
    assert "Given up" in page and "reading: peer-down" in page and "Try again<span" not in page
    assert imaging.post(f"sources/work/{number}/retry").status_code == 403
    vance = hospital.browser()
    here = f"/l/{launch_id(vance.sign_in('vance'))}/sources"
    assert f"{here}/work/{number}/retry" in vance.get(here).text
    done = vance.post(f"{here}/work/{number}/retry").text
    assert "It is tried once more." in done and "reading: peer-down" not in done
    assert vance.post(f"{here}/work/{number}/retry").status_code == 404
    with imaging.gateway.engine.begin() as connection:
        connection.execute(outbox.delete().where(lost))


@pytest.mark.peer
def test_a_radiologist_sends_the_images_to_her_workstation(
    hospital: Platform, imaging: Imaging, tmp_path: Path
) -> None:
    """From the case to DCMTK's storescp: off at first, with cause and remedy; then on; HIM staff see who asked."""
    sources = imaging.get("sources").text
    case = next(iter(re.findall(r"/cases/([^/]+)/imaging\" data-row>CT chest", sources)))
    offer(hospital, case, "weiss")
    weiss, port = hospital.browser(), unused_port()
    here = f"/l/{launch_id(weiss.sign_in('weiss'))}/cases/{case}"
    assert "No workstation is set up for you" in weiss.get(f"{here}/workstation").text
    know(imaging.gateway, name="desk", title="Reading desk", ae_title="DESK", port=port, can=["store"], readers=["*"])
    first = weiss.get(f"{here}/workstation").text
    assert "Not sent yet" in first and "every 2s" not in first
    assert f"{here}/workstation" in weiss.get(f"{here}/imaging").text
    study = re.findall(r'name="study" value="([^"]+)"', first)
    started = weiss.post(f"{here}/workstation", data={"workstation": "desk", "study": study[:1]}, headers=HTMX)
    assert "<html" not in started.text and "Waits for its turn" in started.text and "every 2s" in started.text
    imaging.work(lambda: "does not answer" in weiss.get(f"{here}/workstation").text)
    waiting = weiss.get(f"{here}/workstation").text
    assert "Tries again soon" in waiting and "Cancel" in waiting
    cancelled = weiss.post(re.findall(r'action="([^"]+/cancel)"', waiting)[0], headers=HTMX).text
    assert "Cancelled" in cancelled and "Send again" in cancelled and "every 2s" not in cancelled
    with storescp(tmp_path, "DESK", port) as desk:
        back = weiss.post(f"{here}/workstation", data={"workstation": "desk", "study": study[:1]})
        assert back.url.path.endswith("/imaging") and "on their way to the workstation" in back.text
        imaging.work(lambda: "3 images" in weiss.get(f"{here}/workstation").text)
        assert len(desk.files()) == 3 and "Send again" in weiss.get(f"{here}/workstation").text
    seen = imaging.get("sources").text
    assert "Reading desk" in seen and "asked for by Dr. Hannah Weiss" in seen
    assert "readers send studies there themselves" in seen
    assert weiss.post(f"{here}/workstation", data={"workstation": "desk"}).status_code == 400


@pytest.mark.peer
def test_a_cd_is_uploaded_from_the_browser_though_the_connection_breaks(
    hospital: Platform, imaging: Imaging, tmp_path: Path
) -> None:
    """The folder of a CD, in Chromium: a piece is lost and sent again; what became of it is said in words."""
    study, files = write_study(tmp_path / "CD", [2], **HOSTILE)
    (tmp_path / "CD" / "autorun.inf").write_text("[autorun]")
    (tmp_path / "CD" / "cut <xss a>.dcm").write_bytes(files[0].read_bytes()[:500])
    case = re.search(r"/cases/([^/\"]+)/imaging", imaging.get("sources").text)
    assert case
    lost: list[str] = []
    with workstation(tmp_path / "profile") as browser:
        page = browser.pages[0]
        page.goto(f"{hospital.plan.app_url}/sign-in")
        page.fill("[name=username]", "harper")
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/l/*/**")
        page.goto(
            f"{page.url.split('/l/')[0]}/l/{page.url.split('/l/')[1].split('/')[0]}/cases/{case.group(1)}/imaging"
        )
        page.get_by_role("link", name="Upload a CD").click()
        page.locator("input[webkitdirectory]").set_input_files(tmp_path / "CD")
        expect(page.get_by_text("Chosen: 4 files")).to_be_visible()
        page.route("**/files/0", lambda route: _break_once(route, lost))
        page.get_by_role("button", name="Upload 4 files").click()
        page.wait_for_url("**/imports/*")
        expect(page.get_by_text("You can leave this page")).to_be_visible()
        imaging.work(lambda: "in quarantine" in page.content())
        text = page.locator("#import-state").inner_text()
        assert page.locator("xss").count() == 0
        if pictures := os.environ.get("KONSIL_SCREENS"):
            for name, width, scheme in (("wide", 1440, "light"), ("narrow", 320, "dark")):
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.screenshot(path=f"{pictures}/imported-{name}.png")
    assert lost and "1 study with 2 images" in text
    assert "2 images are new here" in text and "1 file was refused" in text and "1 file is no DICOM" in text
    imaging.work(lambda: "Uploaded media" in imaging.get("inbox").text)
    assert "Uploaded media" in imaging.get("sources").text
    arrived = next(each for each in arrivals(imaging) if "Olga" in imaging.get(f"reconcile/{each}").text)
    paths = ("inbox", "sources", f"inbox/{arrived}", f"reconcile/{arrived}", f"cases/{case.group(1)}/imaging")
    seen = set[str]().union(*(checked(imaging.get(path).text) for path in paths))
    assert {"Patient.name", "Study.description", "Patient.id"} <= seen, seen
    other = hospital.browser()
    launch = launch_id(other.sign_in("castillo"))
    assert "Upload a CD" not in other.get(f"/l/{launch}/cases/{case.group(1)}/imaging").text
    assert other.get(f"/l/{launch}/cases/{case.group(1)}/import").status_code == 403


def _break_once(route: Route, lost: list[str]) -> None:
    if route.request.method == "PUT" and not lost:
        lost.append(route.request.url)
        route.abort()
    else:
        route.continue_()


def test_pages_of_him_staff_are_for_nobody_else(hospital: Platform, imaging: Imaging) -> None:
    coordinator = hospital.browser()
    launch = launch_id(coordinator.sign_in("castillo"))
    for path in ("inbox", "sources", "reconcile/anything", "inbox/anything", "cases/anything/workstation"):
        assert coordinator.get(f"/l/{launch}/{path}").status_code in (403, 404), path
    assert coordinator.post(f"/l/{launch}/sources/st-anna/echo").status_code == 403


def test_the_board_says_what_is_missing_and_who_is_licensed(hospital: Platform, imaging: Imaging) -> None:
    coordinator = hospital.browser()
    board = coordinator.sign_in("castillo")
    launch = launch_id(board)
    assert "could not be fetched" in board.text and "Images being compared" in board.text
    assert "licensed in Minnesota" in board.text
    table = coordinator.get(f"/l/{launch}/triage?view=table&state=Ready&q=nodule&sort=promised").text
    assert "<table" in table and "Images being compared" not in table
    case = re.search(r"/cases/([^/\"]+)/offer", board.text)
    assert case
    dialog = coordinator.get(f"/l/{launch}/cases/{case.group(1)}/offer", headers={"HX-Request": "true"}).text
    assert "<html" not in dialog
    assert re.search("Licensed in [A-Z]", dialog)
    assert re.search("Has not answered a case yet|Last answer|answered", dialog)


def test_a_programme_manager_looks_on(hospital: Platform, imaging: Imaging) -> None:
    manager = hospital.browser()
    board = manager.sign_in("albrecht")
    assert board.url.path.endswith("/triage") and QUESTION in board.text
    assert "data-offer" not in board.text
    case = re.search(r"/cases/([^/\"]+)\"", board.text)
    assert case
    assert manager.get(f"/l/{launch_id(board)}/cases/{case.group(1)}/offer").status_code == 403


@pytest.mark.peer
def test_what_a_stopped_search_found_can_be_fetched(imaging: Imaging, tmp_path: Path) -> None:
    """One archive answers, another takes the connection and says nothing; who does not wait for it goes on."""
    (arrival, *_) = arrivals(imaging)
    where = re.search(r"/(cases/[^/]+/search)", imaging.get(f"reconcile/{arrival}").text)
    assert where
    with socket.create_server(("127.0.0.1", 0)) as silent, workstation(tmp_path / "profile") as browser:
        peer = {"name": "silent", "title": "Silent Hospital", "ae_title": "SILENT", "port": silent.getsockname()[1]}
        know(imaging.gateway, **peer, can=["find", "get"])
        page = browser.new_page()
        page.goto(f"{imaging.hospital.plan.app_url}/sign-in")
        page.get_by_label("User name").fill("harper")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/inbox")
        page.goto(re.sub(r"inbox.*", where.group(1), page.url))
        page.get_by_role("button", name="Search all archives").click()
        expect(page.get_by_role("list", name="Outside archives")).to_contain_text("St. Anna holds")
        fetch = page.get_by_role("button", name="Fetch what is ticked")
        expect(fetch).to_be_hidden()
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("The search was stopped")).to_be_visible()
        page.locator("input[name=study]").first.check()
        expect(fetch).to_be_visible()


def test_staff_search_the_archives_by_other_values(imaging: Imaging) -> None:
    """Each archive's answer as a line; what is ticked is fetched for the case, once, and compared like all else."""
    (arrival, *_) = arrivals(imaging)
    page = imaging.get(f"reconcile/{arrival}").text
    assert "This study is relevant" in page
    where = re.search(r"/(cases/[^/]+/search)", page)
    assert where and "Record number there" in imaging.get(where.group(1)).text
    path = f"/l/{imaging.launch}/{where.group(1)}"
    answer = imaging.june.post(path, headers=HTMX | {"Accept": "application/x-ndjson"}, data={"until": "1950-01-01"})
    lines = [json.loads(each)["html"] for each in answer.text.splitlines()]
    assert "is asked" in lines[0] and "Stop" in lines[0]
    assert "No such study was found" in lines[-1] and "Stop" not in lines[-1]
    found = imaging.post(where.group(1)).text
    assert "The birth dates agree." in found and "same person" in found and "Relevant:" in found
    ticks = re.findall(r'name="study" value="([^"]+)"', found)
    assert ticks
    fetched = imaging.post(f"{where.group(1)}/fetch", study=ticks[0])
    assert fetched.url.path.endswith("/imaging") and "is fetched" in fetched.text
    uid = ticks[0].split("|")[1]
    assert uid not in str(re.findall(r'name="study" value="([^"]+)"', imaging.post(where.group(1)).text))
    assert "No study was ticked" in imaging.post(f"{where.group(1)}/fetch", study=ticks[0]).text
