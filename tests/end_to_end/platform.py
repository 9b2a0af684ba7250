"""The whole platform on free ports, with Orthanc as the outside PACS and storescp as a radiologist's PACS."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydicom import dcmread
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless

from deploy.sandbox.hospitals import OUR_AE_TITLE
from deploy.sandbox.plan import Destination, OutsidePeer, Plan, Ports, Program
from deploy.sandbox.prepare import prepare
from konsil import supervise
from konsil.http_client import guarded_client
from konsil.oauth_client import BackendToken, ClientKey
from tests.peers import Orthanc, StoreScp, orthanc, storescp, storescu, unused_port

START_SECONDS = 90
PROPOSED = {JPEGBaseline8Bit: ("-xy",), JPEGLSLossless: ("-xt",), JPEG2000Lossless: ("-xv",), JPEG2000: ("-xw",)}
"""How storescu is told to propose a transfer syntax; nothing for uncompressed ones."""


@dataclass
class Platform:
    """Everything that runs, and the clients a script has."""

    plan: Plan
    content: dict[str, Any]
    supervisor: supervise.Supervisor
    pacs: Orthanc
    radiologist: StoreScp
    killed: dict[str, int] = field(default_factory=dict)

    def fhir(self, server: str) -> httpx.Client:
        """A FHIR client as demo.json lets any script have one: `konsil`, `epic` or `oracle`."""
        entry = self.content["fhir"][server]
        http = guarded_client([entry["issuer"]], timeout_seconds=30)
        client = entry["backend_client"]
        key = ClientKey(client["client_id"], client["private_key"], entry["token_url"])
        scope = "system/*.cruds" if server == "konsil" else "system/*.rs"
        token = BackendToken(http, key, scope)
        http.base_url = httpx.URL(entry["base"])
        http.headers.update(token.header())
        return http

    def person(self, username: str) -> dict[str, str]:
        """Somebody of demo.json."""
        found: dict[str, str] = next(each for each in self.content["open"]["people"] if each["user"] == username)
        return found

    def kill(self, name: str) -> None:
        """SIGKILL to a program and whatever it started; the supervisor starts it again."""
        process = self.supervisor.process(name)
        assert process is not None, f"{name} does not run"
        os.killpg(process, signal.SIGKILL)
        self.killed[name] = process

    def wait_for(self, name: str) -> None:
        """Until a killed program runs again and is healthy."""

        def back() -> bool:
            return self.supervisor.process(name) not in (None, self.killed[name]) and self.supervisor.healthy(name)

        eventually(back, f"{name} to be back")

    def log(self, name: str) -> str:
        """What a program wrote."""
        return (self.plan.directory / "log" / f"{name}.log").read_text(errors="replace")


@contextmanager
def platform(
    folder: Path,
    databases: dict[Program, str] | None = None,
    broker_url: str | None = None,
    keep_every: int = 5,
    like_demo: bool = False,
) -> Iterator[Platform]:
    """Prepare, start, yield, stop.  Images are thinned out by `keep_every`.

    `like_demo`: everybody is shown round at first, and a workstation for readers runs as well.
    """
    ports = Ports(**{name: unused_port() for name in Ports.__dataclass_fields__})
    pacs_peer = orthanc(folder / "orthanc", OUR_AE_TITLE, ports.scp)
    with pacs_peer as pacs, storescp(folder / "radiologist") as radiologist:
        plan = Plan(
            folder / "konsil",
            ports,
            databases or {},
            broker_url,
            OutsidePeer(pacs.ae_title, pacs.port),
            (Destination("reading-room", radiologist.ae_title, radiologist.port),),
            keep_every,
            0.5,
            guided_visits=like_demo,
            workstation=like_demo,
        )
        content = prepare(plan, lambda _: None)
        fill(pacs, plan.directory / "images")
        with supervised(plan, content) as supervisor:
            yield Platform(plan, content, supervisor, pacs, radiologist)


def fill(pacs: Orthanc, images: Path) -> None:
    """Send everything with DCMTK's storescu, each file in the transfer syntax that it has."""
    by_syntax: dict[str, list[Path]] = {}
    for path in sorted(images.glob("*/*.dcm")):
        syntax = str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)
        by_syntax.setdefault(syntax, []).append(path)
    for syntax, files in by_syntax.items():
        storescu(pacs.port, pacs.ae_title, files, options=("-R", *PROPOSED.get(syntax, ())))


@contextmanager
def supervised(plan: Plan, content: dict[str, Any]) -> Iterator[supervise.Supervisor]:
    """All programs under one supervisor, watched by a thread."""
    programs = [supervise.Program(**entry) for entry in content["programs"]]
    supervisor = supervise.Supervisor(programs, plan.directory / "log", lambda _: None)
    assert supervisor.start(START_SECONDS)
    watcher = threading.Thread(target=supervisor.watch)
    watcher.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        watcher.join()


T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    """What `look` gives once it gives something; fails after so many seconds, saying what was awaited."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.25)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")
