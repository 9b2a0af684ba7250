"""OHIF in Chromium measures a length, stores it as a structured report, and shows it again when it is reopened."""

import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Frame, Page

from tests.dicom_gateway.publish.scene import Scene
from tests.dicom_gateway.publish.test_stow import scene  # noqa: F401 - the fixture
from tests.end_to_end.browser import GREYS, workstation

# A length across the image that is shown, as the tool draws it: in the annotations of its image.
MEASURE = """() => {
  const { viewportGridService, cornerstoneViewportService } = window.services;
  const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
  const element = viewport.element.getBoundingClientRect();
  window.commandsManager.run('setToolActive', { toolName: 'Length' });
  return [element.left, element.top, element.width, element.height];
}"""
COUNT = "() => window.services?.measurementService?.getMeasurements().length ?? 0"
PANEL = """() => window.services.panelService.activatePanel(
  '@ohif/extension-measurement-tracking.panelModule.trackedMeasurements', true)"""
REPORTS = """() => window.services.displaySetService.getActiveDisplaySets()
  .filter(each => each.Modality === 'SR').map(each => each.SeriesDescription)"""


def opened(tab: Page, here: Scene, web: httpx.Client) -> None:
    """Open the viewer in the browser by a code, as the app does."""
    asked = {"studies": [here.study], "case": here.case}
    code = web.post("/api/viewer-codes", json=asked, headers={"Authorization": "Bearer weber"}).json()["code"]
    tab.goto(f"{web.base_url}/healthz")
    form = f"<form method=post action=/viewer-session><input name=code value={code}></form>"
    tab.evaluate(f"document.body.innerHTML = `{form}`; document.forms[0].submit()")
    waited(tab.main_frame, GREYS, 50)


def waited(frame: Frame, question: str, more_than: int, seconds: float = 90) -> None:
    """Ask until the answer is larger."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.5)
        try:
            if int(frame.evaluate(question)) > more_than:
                return
        except Exception:  # noqa: S112, B112 - the page is still loading
            continue
    raise AssertionError(question)


@pytest.mark.peer
@pytest.mark.full
def test_a_measurement_is_stored_and_shown_again(
    scene: tuple[Scene, httpx.Client],  # noqa: F811
    tmp_path: Path,
) -> None:
    here, web = scene
    with workstation(tmp_path / "profile") as context:
        tab = context.new_page()
        opened(tab, here, web)
        left, top, width, height = tab.evaluate(MEASURE)
        tab.mouse.move(left + width * 0.4, top + height * 0.4)
        tab.mouse.down()
        tab.mouse.move(left + width * 0.6, top + height * 0.6, steps=8)
        tab.mouse.up()
        waited(tab.main_frame, COUNT, 0)
        tab.get_by_role("button", name="Yes").click()
        tab.evaluate(PANEL)
        tab.get_by_text("Create SR").click(timeout=5000)
        tab.get_by_placeholder("Report name").fill("Second look")
        with tab.expect_response(lambda answer: answer.request.method == "POST") as stored:
            tab.get_by_role("button", name="Save", exact=True).click()
        assert stored.value.status == 200, stored.value.text()
        world = here.world
        world.work(lambda: bool(world.search("DocumentReference", "weber")))
        (found,) = world.search("DocumentReference", "weber")
        assert found["description"] == "Second look"
        opened(tab, here, web)
        assert tab.evaluate(REPORTS) == ["Second look"]
        tab.screenshot(path=tmp_path / "again.png")
