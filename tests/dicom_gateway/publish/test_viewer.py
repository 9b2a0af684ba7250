"""The viewer session, and OHIF drawing a released study inside another site's frame with third-party cookies
blocked.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Frame
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from dicom_gateway.app import create_app
from dicom_gateway.viewer.install import pinned
from tests.dicom_gateway.publish.scene import Scene, staged
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import business_status
from tests.end_to_end.browser import GREYS, workstation

COOKIE = "__Host-konsil-viewer"
APP = "http://app.test"
CONTEXTS = "window.cornerstone.getConfiguration().rendering.webGlContextCount"


class Page:
    """A page of another site that posts a code into a frame."""

    def __init__(self) -> None:
        self.code, self.gateway = "", ""

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/", self.show)])

    async def show(self, request: Request) -> Response:
        form = f"<form id=f method=post target=v action={self.gateway}/viewer-session>"
        form += f"<input name=code value={self.code}></form>"
        frame = "<iframe name=v style='width:1300px;height:800px'></iframe><script>f.submit()</script>"
        return HTMLResponse(f"<!doctype html><title>EHR</title>{form}{frame}")


@pytest.fixture
def page() -> Iterator[tuple[Page, str]]:
    """That page, on `localhost`: another site than the gateway's 127.0.0.1."""
    found = Page()
    with serving(lambda base: found.app()) as base:
        yield found, base.replace("127.0.0.1", "localhost")


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: tuple[Page, str]) -> Iterator[tuple[Scene, str]]:
    """A released study and the gateway's address."""
    with staged(tmp_path, monkeypatch, frame_ancestors=[APP, page[1]], viewer_banner=False) as scene:
        scene.arrive()
        scene.decide("accept")
        scene.world.work(lambda: business_status(scene.world.read(scene.case)) == "ready-for-triage")
        with serving(lambda base: create_app(scene.world.gateway)) as base:
            yield scene, base


def new_code(scene: Scene, base: str, who: str = "weber", case: str = "") -> httpx.Response:
    body = {"studies": [scene.study], "case": case or scene.case}
    return httpx.post(
        f"{base}/api/viewer-codes", json=body, headers={"Authorization": f"Bearer {who}"}, trust_env=False
    )


def redeem(base: str, code: str, origin: str | None = APP) -> httpx.Response:
    headers = {"Origin": origin} if origin else {}
    return httpx.post(f"{base}/viewer-session", data={"code": code}, headers=headers, trust_env=False)


def test_code_works_once_and_opens_its_studies_only(released: tuple[Scene, str]) -> None:
    """A code is given for what FHIR shows, works once, from the app's pages; the cookie opens these studies alone."""
    scene, base = released
    assert new_code(scene, base, "elsewhere").status_code == 404
    assert new_code(scene, base, case="Task/none").status_code == 404
    code = new_code(scene, base).json()["code"]
    assert redeem(base, code, "http://evil.test").status_code == 403
    assert redeem(base, code, None).status_code == 403
    answer = redeem(base, code)
    assert answer.status_code == 303 and answer.headers["location"] == f"/viewer?StudyInstanceUIDs={scene.study}"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert cookie.split("; ")[1:] == ["Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"]
    assert redeem(base, code).status_code == 400
    headers = {"Cookie": cookie.split(";")[0]}
    with httpx.Client(base_url=base, headers=headers, trust_env=False) as client:
        assert client.get(f"/dicom-web/studies/{scene.study}/series").status_code == 200
        assert client.get("/dicom-web/studies/1.2.3/series").status_code == 404
        page = client.get("/viewer")
        assert page.status_code == 200 and APP in page.headers["content-security-policy"]
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "a[href^='http']{display:none}" in page.text, "links that lead out are not shown"
        ahead = re.findall(r'<link rel="preload" as="(?:script|style)" href="([^"]+)">', page.text)
        assert len(ahead) >= len(pinned().opens_with) > 20, "the pin names parts that the package no longer has"
        assert {client.head(each).status_code for each in ahead} == {200}
        assert client.get("/api/peers").status_code == 401, "the cookie opens images, not the API"
    assert httpx.get(f"{base}/viewer", trust_env=False).status_code == 401
    assert httpx.get(f"{base}/viewer", headers={"Cookie": f"{COOKIE}=x"}, trust_env=False).status_code == 401


@pytest.mark.peer
def test_ohif_draws_the_study_in_a_cross_site_frame(
    released: tuple[Scene, str], page: tuple[Page, str], tmp_path: Path
) -> None:
    """Pixels are read from the canvas; nothing is asked of any other origin, and no script is refused."""
    scene, base = released
    page[0].gateway, page[0].code = base, new_code(scene, base).json()["code"]
    asked: list[str] = []
    complaints: list[str] = []
    with workstation(tmp_path / "profile") as context:
        tab = context.new_page()
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.goto(page[1])
        frame = tab.frame(name="v")
        assert frame is not None
        assert drawn(frame) > 50
        assert frame.evaluate(CONTEXTS) == 2
        names = [cookie["name"] for cookie in context.cookies()]
    assert names == [COOKIE]
    strangers = [url for url in asked if not url.startswith((base, page[1], "data:", "blob:"))]
    assert strangers == []
    assert [text for text in complaints if "Content Security Policy" in text] == [], json.dumps(complaints)


HUNG = """() => {
  const { viewportGridService, displaySetService } = window.services ?? {};
  const state = viewportGridService?.getState();
  const uids = [...(state?.viewports?.values() ?? [])].map(each => each.displaySetInstanceUIDs?.[0]).filter(Boolean);
  return [state?.layout?.numRows, state?.layout?.numCols,
    ...uids.map(each => displaySetService.getDisplaySetByUID(each)?.StudyInstanceUID)];
}"""


@pytest.mark.peer
@pytest.mark.full
def test_current_hangs_left_and_prior_right(
    released: tuple[Scene, str], page: tuple[Page, str], tmp_path: Path
) -> None:
    """Two studies make two viewports, in the order in which they were asked for, whatever their dates are."""
    scene, base = released
    other = scene.another_study(tmp_path / "other", [1, 12])
    criteria = "Task?code=reconciliation&status=requested"
    scene.world.work(lambda: bool(scene.world.search(criteria)))
    scene.task = f"Task/{scene.world.search(criteria)[0]['id']}"
    scene.decide("accept")
    scene.world.work(lambda: len(scene.world.search("ImagingStudy?status=available", "weber")) == 2)
    for order in ([scene.study, other], [other, scene.study]):
        body = {"studies": order, "case": scene.case}
        headers = {"Authorization": "Bearer weber"}
        code = httpx.post(f"{base}/api/viewer-codes", json=body, headers=headers, trust_env=False).json()["code"]
        page[0].gateway, page[0].code = base, code
        with workstation(tmp_path / order[0]) as context:
            tab = context.new_page()
            tab.goto(page[1])
            frame = tab.frame(name="v")
            assert frame is not None and drawn(frame) > 50
            assert hung(frame, 4) == [1, 2, *order]
            tab.screenshot(path=tmp_path / "compare.png")


def hung(frame: Frame, wanted: int, seconds: float = 60) -> list[object]:
    """Rows, columns, and the studies in the viewports, once there are so many words."""
    until = time.monotonic() + seconds
    found: list[object] = []
    while len(found) < wanted and time.monotonic() < until:
        time.sleep(0.5)
        found = frame.evaluate(HUNG)
    return found


def drawn(frame: Frame, seconds: float = 90) -> int:
    """Grey values on the canvas, once there are some."""
    until = time.monotonic() + seconds
    greys = 0
    while greys <= 50 and time.monotonic() < until:
        time.sleep(0.5)
        greys = int(frame.evaluate(GREYS))
    return greys
