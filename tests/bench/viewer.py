"""From opening a study to its first image: OHIF on our gateway against OHIF on Orthanc with its DICOMweb plug-in.

    python -m tests.bench viewer

Same browser, same CT of 300 slices, same version of the viewer, in turns.  Orthanc serves no viewer at the root, so its
OHIF comes from a static server, compressed, as the package ships it: its own page and a configuration with the one data
source (so the browser runs without same-origin checks for both); ours has the page and the configuration that the
gateway makes.  Ours asks a real FHIR server who may see the study; Orthanc asks nobody.  `cold` is a fresh browser
profile, `warm` the second opening in it.  BENCH_SLICES and BENCH_REPEATS set the size.
"""

import base64
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
from playwright.sync_api import BrowserContext, sync_playwright
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from deploy.sandbox.imaging import ct
from deploy.sandbox.imaging.catalogue import CT_CHEST
from dicom_gateway.app import create_app
from dicom_gateway.gateway import Gateway
from dicom_gateway.index.upsert import set_state
from dicom_gateway.ingest import Incoming, Source
from dicom_gateway.viewer import config
from dicom_gateway.web.viewer import asset_file
from fhir_server.settings import cache_folder
from tests.dicom_gateway.web.serving import serving
from tests.dicom_gateway.world import World, open_case, world
from tests.end_to_end.browser import CHROMIUM, FLAGS
from tests.peers import Orthanc, orthanc

SLICES = int(os.environ.get("BENCH_SLICES", "300"))
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
VIEWER = cache_folder() / "viewer"
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
DRAWN = """() => {
  const canvas = [...document.querySelectorAll('canvas')].find(each => each.width > 200);
  if (!canvas) return false;
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [64, 64];
  const pen = copy.getContext('2d', { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0, 64, 64);
  const data = pen.getImageData(0, 0, 64, 64).data;
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) seen.add(data[at]);
  return seen.size > 30;
}"""

POST = """code => {
  const form = document.createElement('form');
  [form.method, form.action] = ['post', '/viewer-session'];
  form.innerHTML = `<input name="code" value="${code}">`;
  document.body.append(form);
  form.submit();
}"""


def draw(folder: Path) -> list[Path]:
    """The CT, or every so manieth slice of it."""
    ct.ct_chest(folder, max(1, 300 // SLICES))
    return sorted(folder.glob("*.dcm"))


@contextmanager
def ours(folder: Path, files: list[Path]) -> Iterator[str]:
    """Our gateway with the study released, and a FHIR server that shows it; gives the gateway's address."""
    settings = {"viewer_dir": VIEWER, "viewer_banner": False}
    with world(folder, **settings) as found:
        for path in files:
            found.gateway.ingest.accept(Incoming.from_file(path.read_bytes(), Source(peer="outside")))
        found.gateway.ingest.replay()
        release(found)
        case = open_case(found, CT_CHEST.study_instance_uid)
        show(found, case["patient"])
        with serving(lambda base: create_app(at(found.gateway, base))) as base:
            (folder / "case").write_text(case["case"])
            yield base


def at(gateway: Gateway, base: str) -> Gateway:
    """The gateway under the address at which it is served."""
    return replace(gateway, settings=gateway.settings.model_copy(update={"base_url": base}))


def release(found: World) -> None:
    """Let everything out of quarantine, as a decision would."""
    with found.gateway.engine.begin() as connection:
        uids = connection.exec_driver_sql("SELECT sop_instance_uid FROM instance").scalars().all()
        set_state(connection, list(uids), "released")


def show(found: World, patient: str) -> None:
    """The ImagingStudy that lets people see the study."""
    body = {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": {"reference": patient},
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{CT_CHEST.study_instance_uid}"}],
    }
    assert found.call("root", "POST", "ImagingStudy", body).status_code == 201


@contextmanager
def theirs(folder: Path, files: list[Path]) -> Iterator[tuple[Orthanc, str]]:
    """Orthanc with the study, and the viewer's files with a configuration that points to it."""
    options = {"Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full"}}
    with orthanc(folder, options=options) as pacs:
        for path in files:
            httpx.post(f"{pacs.http}/instances", content=path.read_bytes(), timeout=60).raise_for_status()
        with serving(lambda base: static(pacs.http)) as base:
            yield pacs, base


def static(archive: str) -> Starlette:
    """The viewer's files as they are, for an archive elsewhere."""
    root = f"{archive}/dicom-web"
    found = config.configuration(banner=False)
    found["dataSources"][0]["configuration"] |= {"qidoRoot": root, "wadoRoot": root, "wadoUriRoot": root}
    script = f"window.config = {json.dumps(found | {'modesConfiguration': {}, 'customizationService': []})};"

    def page(request: object) -> Response:
        return HTMLResponse((VIEWER / "index.html").read_bytes())

    def settings(request: object) -> Response:
        return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    routes = [Route("/viewer", page), Route("/app-config.js", settings)]
    return Starlette(routes=[*routes, Route("/{path:path}", lambda request: asset_file(VIEWER, request))])


@contextmanager
def browser(profile: Path) -> Iterator[BrowserContext]:
    """Chromium with a profile of its own, without same-origin checks."""
    flags = [*FLAGS, "--disable-web-security"]
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=flags, viewport={"width": 1440, "height": 900}
        )
        try:
            yield context
        finally:
            context.close()


def open_ours(context: BrowserContext, base: str, case: str) -> None:
    """Sign the browser in to the viewer as the app does: a code, posted by a form."""
    body = {"studies": [CT_CHEST.study_instance_uid], "case": case}
    caller = {"Authorization": "Bearer root"}
    answer = httpx.post(f"{base}/api/viewer-codes", json=body, headers=caller, trust_env=False)
    page = context.new_page()
    page.route("**/viewer?*", lambda route: route.fulfill(body="signed in"))
    page.goto(f"{base}/healthz")
    page.evaluate(POST, answer.raise_for_status().json()["code"])
    page.wait_for_url("**/viewer?*")
    page.close()


def seconds_to_image(context: BrowserContext, base: str) -> float:
    """From navigation to a picture on the canvas."""
    page = context.new_page()
    start = time.perf_counter()
    page.goto(f"{base}/viewer?StudyInstanceUIDs={CT_CHEST.study_instance_uid}", wait_until="commit")
    page.wait_for_function(DRAWN, polling=100, timeout=180_000)
    spent = time.perf_counter() - start
    page.close()
    return spent


def rounds(folder: Path, bases: dict[str, str], case: str) -> dict[tuple[str, str], list[float]]:
    """Both in turns, a fresh profile each time: cold, then warm."""
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(REPEATS):
        order = list(bases) if number % 2 == 0 else list(reversed(bases))
        for name in order:
            with browser(folder / f"profile-{name}-{number}") as context:
                if name == "konsil":
                    open_ours(context, bases[name], case)
                for state in ("cold", "warm"):
                    times.setdefault((name, state), []).append(seconds_to_image(context, bases[name]))
    return times


def p95(values: list[float]) -> float:
    """The 95th percentile of few values: the largest but for more than twenty."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def measure() -> Iterator[str]:
    os.environ.setdefault("KONSIL_MASTER_KEY", base64.b64encode(os.urandom(32)).decode())
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for each in ("ours", "theirs"):
            (folder / each).mkdir()
        files = draw(folder / "ct")
        base = stack.enter_context(ours(folder / "ours", files))
        _, other = stack.enter_context(theirs(folder / "theirs", files))
        case = (folder / "ours" / "case").read_text()
        yield f"{len(files)} slices, {REPEATS} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        times = rounds(folder, {"konsil": base, "Orthanc": other}, case)
        for state in ("cold", "warm"):
            mine, others = times["konsil", state], times["Orthanc", state]
            ratio = statistics.median(others) / statistics.median(mine)
            yield (
                f"{state}: konsil median {statistics.median(mine):.2f} s, p95 {p95(mine):.2f} s; Orthanc median "
                f"{statistics.median(others):.2f} s, p95 {p95(others):.2f} s; ratio {ratio:.2f}"
            )
